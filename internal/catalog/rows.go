package catalog

import (
	"maps"
	"slices"

	"github.com/tinylib/msgp/msgp"
)

//go:generate go tool -modfile=../../tools/go.mod msgp -file rows.go -o rows_gen.go -io=false -tests=false

//msgp:ignore Labels

// Labels are metadata or tagged addresses: names and what they mean. They
// travel in the order of their names, so that the same labels are the same
// bytes on every server.
type Labels map[string]string

// MarshalMsg implements msgp.Marshaler.
func (l Labels) MarshalMsg(b []byte) ([]byte, error) {
	b = msgp.AppendMapHeader(b, uint32(len(l)))
	for _, k := range slices.Sorted(maps.Keys(l)) {
		b = msgp.AppendString(b, k)
		b = msgp.AppendString(b, l[k])
	}
	return b, nil
}

// UnmarshalMsg implements msgp.Unmarshaler.
func (l *Labels) UnmarshalMsg(b []byte) ([]byte, error) {
	n, b, err := msgp.ReadMapHeaderBytes(b)
	if err != nil {
		return b, err
	}
	*l = nil
	for range n {
		var k, v string
		if k, b, err = msgp.ReadStringBytes(b); err != nil {
			return b, err
		}
		if v, b, err = msgp.ReadStringBytes(b); err != nil {
			return b, err
		}
		if *l == nil {
			*l = Labels{}
		}
		(*l)[k] = v
	}
	return b, nil
}

// Msgsize implements msgp.Sizer.
func (l Labels) Msgsize() int {
	size := msgp.MapHeaderSize
	for k, v := range l {
		size += 2*msgp.StringPrefixSize + len(k) + len(v)
	}
	return size
}

// Node is a machine of the datacenter. Names are compared without case.
// Members and order of the JSON are those of the public API.
type Node struct {
	ID              string `msg:"id,omitempty"`
	Node            string `msg:"n"`
	Address         string `msg:"a"`
	Datacenter      string `msg:"dc,omitempty"`
	TaggedAddresses Labels `msg:"ta"`
	Meta            Labels `msg:"me"`
	CreateIndex     uint64 `msg:"c"`
	ModifyIndex     uint64 `msg:"m"`
}

// Weights are an instance's shares in DNS answers, by its health.
type Weights struct {
	Passing int `msg:"p"`
	Warning int `msg:"w"`
}

// Service is an instance of a service on a node.
type Service struct {
	Node              string   `json:"-" msg:"n"`
	ID                string   `msg:"id"`
	Service           string   `msg:"s"`
	Tags              []string `msg:"t,omitempty"`
	Address           string   `msg:"a,omitempty"`
	Meta              Labels   `msg:"me"`
	Port              int      `json:",omitempty" msg:"p,omitempty"`
	Weights           Weights  `msg:"w"`
	EnableTagOverride bool     `msg:"o,omitempty"`
	CreateIndex       uint64   `msg:"c"`
	ModifyIndex       uint64   `msg:"m"`
}

// Health states of a check.
const (
	Passing  = "passing"
	Warning  = "warning"
	Critical = "critical"
)

// SerfHealth is the check that the leader keeps for every member of the
// gossip pool.
const SerfHealth = "serfHealth"

// Check is a health check of a node or, where ServiceID is set, of a service.
type Check struct {
	Node        string   `msg:"n"`
	CheckID     string   `msg:"id"`
	Name        string   `msg:"na"`
	Status      string   `msg:"st"`
	Notes       string   `msg:"no,omitempty"`
	Output      string   `msg:"ou,omitempty"`
	ServiceID   string   `msg:"si,omitempty"`
	ServiceName string   `msg:"sn,omitempty"`
	ServiceTags []string `msg:"sg,omitempty"`
	Type        string   `msg:"ty,omitempty"`
	Interval    string   `msg:"iv,omitempty"`
	Timeout     string   `msg:"to,omitempty"`
	ExposedPort int      `msg:"ep,omitempty"`
	CreateIndex uint64   `msg:"c"`
	ModifyIndex uint64   `msg:"m"`
}

// Registration is the body of the log entry that registers a node and, with
// it in one step, a service and checks.
type Registration struct {
	// Node's indexes are ignored.
	Node Node `msg:"n"`
	// SkipNodeUpdate leaves an existing node as it is.
	SkipNodeUpdate bool     `msg:"k,omitempty"`
	Service        *Service `msg:"s"`
	Checks         []*Check `msg:"c"`
}

// Removal is the body of the log entry that deregisters a service, a check or,
// where both ids are empty, a node with everything on it.
type Removal struct {
	Node      string `msg:"n"`
	ServiceID string `msg:"s,omitempty"`
	CheckID   string `msg:"c,omitempty"`
}
