package gossip

import (
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/serf/serf"
)

// takeoverDelay is how long a name stays with the agent that failed before
// another agent (another node id at another address) may take it.
const takeoverDelay = 30 * time.Second

// admission decides who may be in the pool. Serf asks it for every member of a
// cluster that is joined, and for every alive message, and passes its error on
// as the join's error or as a log line.
//
// memberlist calls it with its own lock held, so it must not call back into
// serf: it keeps a small index of its own, fed from the events.
type admission struct {
	kind       Kind
	name       string
	datacenter string
	id         string

	// stale (size 1) tells that others have this agent at an address it
	// no longer has.
	stale chan struct{}

	mu      sync.RWMutex
	self    string // gossip address of this agent; empty until it is known
	cluster string
	byName  map[string]resident
	byID    map[string]string // node id to name, of alive members
}

// resident is what admission remembers of a member.
type resident struct {
	id    string
	addr  string
	alive bool
	since time.Time
}

func newAdmission(c Config) *admission {
	return &admission{
		kind:       c.Kind,
		name:       c.memberName(),
		datacenter: c.Identity.Datacenter,
		id:         c.Identity.ID,
		cluster:    c.Identity.ClusterID,
		stale:      make(chan struct{}, 1),
		byName:     make(map[string]resident),
		byID:       make(map[string]string),
	}
}

// NotifyMerge implements serf.MergeDelegate: an error refuses all members.
func (a *admission) NotifyMerge(members []*serf.Member) error {
	for _, m := range members {
		if m.Status == serf.StatusLeft {
			continue // a tombstone: nobody to admit
		}
		if err := a.check(m); err != nil {
			return err
		}
	}
	return nil
}

func (a *admission) check(m *serf.Member) error {
	if err := checkName(m.Name); err != nil {
		return fmt.Errorf("member refused: name %w", err)
	}
	switch dc := m.Tags[tagDatacenter]; {
	case a.kind == LAN && dc != a.datacenter:
		return fmt.Errorf("member %q refused: its datacenter is %q, this agent's is %q: "+
			"the LAN pool holds the agents of one datacenter (correct `datacenter`, or join with -wan)",
			m.Name, dc, a.datacenter)
	case a.kind == WAN && m.Tags[tagRole] != roleServer:
		return fmt.Errorf("member %q refused: the WAN pool is for servers, it is a client agent", m.Name)
	case a.kind == WAN && dc == "":
		return fmt.Errorf("member %q refused: it names no datacenter", m.Name)
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	if m.Name == a.name && m.Tags[tagID] == a.id && a.self != "" && memberAddr(m) != a.self {
		select {
		case a.stale <- struct{}{}:
		default: // it is already known
		}
	}
	other := m.Tags[tagCluster]
	if a.kind == LAN && a.cluster != "" && other != "" && other != a.cluster {
		return fmt.Errorf("member %q refused: it is in cluster %s, this agent in cluster %s: "+
			"two clusters do not merge (stop one, empty its data_dir, start it again)", m.Name, other, a.cluster)
	}
	return a.checkIDLocked(m)
}

// checkIDLocked refuses a second agent with a node id that is in use, and a
// name taken over by another node while its owner may still come back.
func (a *admission) checkIDLocked(m *serf.Member) error {
	id := m.Tags[tagID]
	if id == "" {
		return nil
	}
	const advice = "two agents have the same node id: remove the node-id file from one's data_dir and restart it"
	if id == a.id && m.Name != a.name {
		return fmt.Errorf("member %q refused: it has this agent's node id %s: %s", m.Name, id, advice)
	}
	if owner, ok := a.byID[id]; ok && owner != m.Name {
		return fmt.Errorf("member %q refused: it has the node id %s of %q: %s", m.Name, id, owner, advice)
	}
	r, ok := a.byName[m.Name]
	if !ok || r.id == id || r.id == "" || r.alive || r.addr == memberAddr(m) {
		return nil // an alive owner defends its name in memberlist
	}
	if time.Since(r.since) < takeoverDelay {
		return fmt.Errorf("member %q refused for now: the agent of that name with node id %s failed less than %s ago",
			m.Name, r.id, takeoverDelay)
	}
	return nil
}

// observe feeds the index from an event.
func (a *admission) observe(kind EventKind, m *serf.Member) {
	id := m.Tags[tagID]
	a.mu.Lock()
	defer a.mu.Unlock()
	if old, ok := a.byName[m.Name]; ok && a.byID[old.id] == m.Name {
		delete(a.byID, old.id)
	}
	switch kind {
	case MemberReaped, MemberLeft: // a name that was left is free
		delete(a.byName, m.Name)
	default:
		alive := kind != MemberFailed
		a.byName[m.Name] = resident{id: id, addr: memberAddr(m), alive: alive, since: time.Now()}
		if alive && id != "" {
			a.byID[id] = m.Name
		}
	}
}

// setSelf tells admission the address of this agent.
func (a *admission) setSelf(addr string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.self = addr
}

// setCluster tells admission which cluster this agent is in.
func (a *admission) setCluster(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cluster = id
}

func memberAddr(m *serf.Member) string {
	return net.JoinHostPort(m.Addr.String(), strconv.Itoa(int(m.Port)))
}

// reconnectOverride honours the rc_tm tag: how long a member wants to be
// remembered after it failed.
type reconnectOverride struct{}

// ReconnectTimeout implements serf.ReconnectTimeoutOverrider.
func (reconnectOverride) ReconnectTimeout(m *serf.Member, timeout time.Duration) time.Duration {
	if d, err := time.ParseDuration(m.Tags[tagReconnect]); err == nil && d > 0 {
		return d
	}
	return timeout
}
