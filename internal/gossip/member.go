package gossip

import (
	"sort"
	"strconv"

	"github.com/hashicorp/serf/serf"
)

// Status is what gossip knows about a member's life. The numbers are the public
// JSON form and never change.
type Status int

// The states of a member, as /v1/agent/members numbers them.
const (
	StatusNone    Status = 0 // never heard of
	StatusAlive   Status = 1 // answers probes
	StatusLeaving Status = 2 // said that it leaves, still answers
	StatusLeft    Status = 3 // left by itself or was forced to
	StatusFailed  Status = 4 // stopped answering
)

// String returns the word Consul prints for the status.
func (s Status) String() string {
	switch s {
	case StatusNone:
		return "none"
	case StatusAlive:
		return "alive"
	case StatusLeaving:
		return "leaving"
	case StatusLeft:
		return "left"
	case StatusFailed:
		return "failed"
	default:
		return "status-" + strconv.Itoa(int(s))
	}
}

// Member is one agent as gossip sees it. Its fields are the public JSON of
// /v1/agent/members. Tags is shared between readers: treat it as read-only.
type Member struct {
	Name        string
	Addr        string // IP address, without port
	Port        uint16 // gossip port
	Tags        map[string]string
	Status      Status
	ProtocolMin uint8
	ProtocolMax uint8
	ProtocolCur uint8
	DelegateMin uint8
	DelegateMax uint8
	DelegateCur uint8
}

func memberOf(m serf.Member) Member {
	return Member{
		Name:        m.Name,
		Addr:        m.Addr.String(),
		Port:        m.Port,
		Tags:        m.Tags,
		Status:      Status(m.Status),
		ProtocolMin: m.ProtocolMin,
		ProtocolMax: m.ProtocolMax,
		ProtocolCur: m.ProtocolCur,
		DelegateMin: m.DelegateMin,
		DelegateMax: m.DelegateMax,
		DelegateCur: m.DelegateCur,
	}
}

func sortMembers(ms []Member) {
	sort.Slice(ms, func(i, j int) bool { return ms[i].Name < ms[j].Name })
}
