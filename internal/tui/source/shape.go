package source

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The JSON of the API, as far as it is read. Names are the API's.

type jsonMember struct {
	Name   string
	Addr   string
	Port   int
	Tags   map[string]string
	Status int
}

// memberStates are the words for gossip's numbers.
var memberStates = [...]string{"none", "alive", "leaving", "left", "failed"}

func (j *jsonMember) member() *Member {
	m := &Member{
		Name: j.Name, ID: j.Tags["id"], Address: j.Addr, Port: j.Port, State: memberStates[0],
		Server: j.Tags["role"] == "consul", Datacenter: j.Tags["dc"], Tags: j.Tags, RTT: -1,
	}
	if j.Status >= 0 && j.Status < len(memberStates) {
		m.State = memberStates[j.Status]
	}
	m.Build, _, _ = strings.Cut(j.Tags["build"], ":")
	m.Protocol = j.Tags["vsn"]
	return m
}

type jsonNode struct {
	ID, Node, Address, Datacenter string
	Meta                          map[string]string
	ModifyIndex                   uint64
}

func (j *jsonNode) node() *Node {
	return &Node{Name: j.Node, ID: j.ID, Address: j.Address, Datacenter: j.Datacenter, Meta: j.Meta, Index: j.ModifyIndex}
}

type jsonService struct {
	ID, Service, Kind, Address string
	Port                       int
	Tags                       []string
	Meta                       map[string]string
	ModifyIndex                uint64
}

type jsonCheck struct {
	Node, CheckID, Name, Status, Notes, Output string
	ServiceID, ServiceName, Type, Interval     string
	ModifyIndex                                uint64
}

func (j *jsonCheck) check() *Check {
	return &Check{
		Node: j.Node, ID: j.CheckID, Name: j.Name, Status: j.Status, Output: j.Output, Notes: j.Notes,
		ServiceID: j.ServiceID, ServiceName: j.ServiceName, Type: j.Type, Interval: j.Interval, Index: j.ModifyIndex,
	}
}

type jsonInstance struct {
	Node    jsonNode
	Service jsonService
	Checks  []*jsonCheck
}

func (j *jsonInstance) instance() *Instance {
	i := &Instance{
		Node: j.Node.Node, NodeAddress: j.Node.Address, ID: j.Service.ID, Service: j.Service.Service,
		Address: cmp.Or(j.Service.Address, j.Node.Address), Port: j.Service.Port,
		Tags: j.Service.Tags, Meta: j.Service.Meta, Index: j.Service.ModifyIndex,
	}
	for _, c := range j.Checks {
		i.Checks = append(i.Checks, c.check())
	}
	i.judge()
	return i
}

// judge sorts the checks and sets Health.
func (i *Instance) judge() {
	slices.SortFunc(i.Checks, worseCheck)
	i.Health = Passing
	if len(i.Checks) > 0 {
		i.Health = i.Checks[0].Status
	}
	for _, c := range i.Checks {
		if c.ID == nodeMaintenance || strings.HasPrefix(c.ID, serviceMaintenance) {
			i.Health = MaintenanceState
			return
		}
	}
}

// The ids of the checks that stand for maintenance.
const (
	nodeMaintenance    = "_node_maintenance"
	serviceMaintenance = "_service_maintenance:"
)

// rank orders states, the worst first.
func rank(status string) int {
	switch status {
	case Critical:
		return 0
	case Warning:
		return 1
	default:
		return 2
	}
}

func worseCheck(a, b *Check) int {
	return cmp.Or(cmp.Compare(rank(a.Status), rank(b.Status)), cmp.Compare(a.Node, b.Node), cmp.Compare(a.ID, b.ID))
}

type jsonEntry struct {
	Key                                        string
	Value                                      []byte
	Flags, CreateIndex, ModifyIndex, LockIndex uint64
	Session                                    string
}

type jsonSession struct {
	ID, Name, Node, TTL, Behavior string
	LockDelay                     json.Number
	NodeChecks                    []string
	ServiceChecks                 []struct{ ID string }
	ModifyIndex                   uint64
}

func (j *jsonSession) session() *Session {
	s := &Session{ID: j.ID, Name: j.Name, Node: j.Node, Behavior: j.Behavior, Checks: j.NodeChecks, Index: j.ModifyIndex}
	s.TTL, _ = time.ParseDuration(j.TTL) // "" is none
	if n, err := j.LockDelay.Float64(); err == nil {
		s.LockDelay = time.Duration(n)
	}
	for _, c := range j.ServiceChecks {
		s.Checks = append(s.Checks, c.ID)
	}
	return s
}

type jsonPeer struct {
	ID, Node, Address string
	Leader, Voter     bool
	LastIndex         uint64
}

type jsonHealth struct {
	Healthy          bool
	FailureTolerance int
	Servers          []struct {
		ID, Name, Address, SerfStatus, Version string
		Leader, Healthy, Voter                 bool
		LastContact                            jsonDuration
		LastTerm, LastIndex                    uint64
		StableSince                            time.Time
	}
}

// jsonDuration is a duration as text, or in nanoseconds.
type jsonDuration time.Duration

// UnmarshalJSON implements json.Unmarshaler.
func (d *jsonDuration) UnmarshalJSON(b []byte) error {
	if text, err := strconv.Unquote(string(b)); err == nil {
		v, err := time.ParseDuration(text)
		*d = jsonDuration(v)
		return err
	}
	n, err := strconv.ParseFloat(string(b), 64)
	*d = jsonDuration(n)
	return err
}

type jsonSelf struct {
	Config struct {
		Datacenter, NodeName, NodeID, Version, CtlVersion string
		Server                                            bool
	}
	DebugConfig map[string]json.RawMessage
	Stats       map[string]map[string]string
	Member      jsonMember
}
