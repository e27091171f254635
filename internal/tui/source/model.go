package source

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// part names a section inside the model.
type part uint8

const (
	inConnection part = iota
	inCluster
	inMembers
	inServices
	inService
	inNodes
	inNode
	inProblems
	inKV
	inKey
	inSessions
	inLog
	inDatacenters
	inRecent
	inTraffic
	numParts
)

// model is what the source knows, before it is made a State. Everything in it
// is guarded by the source's lock.
type model struct {
	now     func() time.Time
	version uint64
	status  [numParts]Status
	fresh   [numParts]bool // answered since the connection was made
	asked   [numParts]bool // answered ever since it is wanted

	connection Connection
	cluster    Cluster
	lan, wan   list[Member]
	hasWAN     bool
	services   list[Service]
	health     map[string]int // how many services are in which, see Service.Health
	service    string
	instances  list[Instance]
	nodes      list[Node]
	node       string
	theNode    *Node
	onNode     list[Instance]
	nodeChecks list[Check]
	problems   list[Check]
	worst      ranking[Check] // problems, in the order they are shown
	levels     map[string]*Level
	key        Key
	sessions   list[Session]
	logLevel   string
	log        ring[LogLine]
	logSeq     uint64
	dropped    uint64
	dcs        []string
	recent     ring[Event]
	eventSeq   uint64
	writes     ring[float64]
	requests   ring[float64]
	elections  ring[float64]

	histories map[string]*History
	away      *awayFrom
	past      past
}

// awayFrom is what was known when the connection was lost.
type awayFrom struct {
	leader string
	commit uint64
	sum    Away
}

// maxLogLines bounds the log.
const maxLogLines = 20_000

func newModel(now func() time.Time) *model {
	m := &model{now: now, levels: map[string]*Level{}, histories: map[string]*History{}, health: map[string]int{}}
	m.lan.key = func(r *Member) string { return r.Name }
	m.wan.key = m.lan.key
	m.services.key = func(r *Service) string { return r.Name }
	m.instances.key = instanceKey
	m.nodes.key = func(r *Node) string { return r.Name }
	m.onNode.key = func(r *Instance) string { return r.ID }
	m.nodeChecks.key, m.problems.key = checkKey, checkKey
	m.worst.order = func(a, b *Check) int {
		return cmp.Or(cmp.Compare(rank(a.Status), rank(b.Status)), cmp.Compare(b.Index, a.Index), cmp.Compare(a.Node, b.Node), cmp.Compare(a.ID, b.ID))
	}
	m.sessions.key = func(r *Session) string { return r.Node + "\x00" + r.ID }
	m.log.max, m.recent.max = maxLogLines, MaxEvents
	m.writes.max, m.requests.max, m.elections.max = MaxSamples, MaxSamples, MaxSamples
	for _, p := range []part{inCluster, inMembers} {
		m.status[p].Phase = Loading
	}
	m.status[inRecent].Phase, m.status[inTraffic].Phase = Ready, Loading
	m.remember()
	return m
}

func instanceKey(r *Instance) string { return r.Node + "\x00" + r.ID }

func checkKey(c *Check) string { return c.Node + "\x00" + c.ID }

// touch notes that the content of p changed.
func (m *model) touch(p part) {
	m.version++
	m.status[p].Version = m.version
	m.noteStatus(p)
}

// ready notes that p was read. It reports whether that is the first time since
// p is wanted, or since the connection was made: then what differs did not
// change just now. An answer that comes when nobody looks any more is kept, and
// p stays idle.
func (m *model) ready(p part, stale bool) (first bool) {
	st := &m.status[p]
	if st.Phase != Idle {
		st.Phase = Ready
	}
	st.Problem, st.Stale, st.At = nil, stale, m.now()
	first = !m.asked[p] || !m.fresh[p]
	m.asked[p], m.fresh[p] = true, true
	m.touch(p)
	return first
}

// fail notes that p could not be read, if anybody looks.
func (m *model) fail(p part, err *Problem) {
	st := &m.status[p]
	if st.Phase == Idle || st.Phase == Failed && st.Problem != nil && st.Problem.Text == err.Text {
		return
	}
	st.Phase, st.Problem = Failed, err
	m.touch(p)
}

func (m *model) unsupported(p part) {
	if ph := m.status[p].Phase; ph != Idle && ph != Unsupported {
		m.status[p].Phase, m.status[p].Problem = Unsupported, nil
		m.touch(p)
	}
}

// want notes that p is looked at, or not any more.
func (m *model) want(p part, wanted bool) {
	st := &m.status[p]
	switch {
	case !wanted && st.Phase != Idle:
		st.Phase, st.Problem, m.asked[p] = Idle, nil, false
	case wanted && st.Phase == Idle && !st.At.IsZero():
		st.Phase = Ready
	case wanted && st.Phase == Idle:
		st.Phase = Loading
	default:
		return
	}
	m.touch(p)
}

// forget empties p, because it is about to show another object.
func (m *model) forget(p part) {
	m.status[p] = Status{}
	m.asked[p] = false
	m.touch(p)
}

// event adds to the time line.
func (m *model) event(kind EventKind, sev Severity, object, text string) {
	m.eventSeq++
	now := m.now()
	m.recent.add(Event{Seq: m.eventSeq, At: now, Kind: kind, Severity: sev, Object: object, Text: text})
	m.trim(now)
	m.status[inRecent].At = now
	m.touch(inRecent)
}

// trim drops events that are too old.
func (m *model) trim(now time.Time) {
	if m.recent.drop(func(e *Event) bool { return now.Sub(e.At) > KeepEvents }) {
		m.touch(inRecent)
	}
}

// course adds the state of c to what was seen of it, and gives c its history.
func (m *model) course(c *Check) {
	key := checkKey(c)
	h := m.histories[key]
	if h != nil {
		last := h.Entries[len(h.Entries)-1]
		if last.Status == c.Status && last.Output == c.Output {
			c.History = h
			return
		}
	}
	next := &History{}
	if h != nil {
		next.Flaps = h.Flaps
		from := max(0, len(h.Entries)+1-MaxHistory)
		next.Entries = append(make([]HistoryEntry, 0, len(h.Entries)-from+1), h.Entries[from:]...)
		if h.Entries[len(h.Entries)-1].Status != c.Status {
			next.Flaps++
		}
	}
	next.Entries = append(next.Entries, HistoryEntry{At: m.now(), Status: c.Status, Output: c.Output})
	m.histories[key], c.History = next, next
}

// maxHistories bounds the checks whose history is kept: all those in sight, and
// others up to so many.
const maxHistories = 20_000

// forgetHistories drops histories when there are too many, and keeps those in
// sight.
func (m *model) forgetHistories() {
	if len(m.histories) <= maxHistories {
		return
	}
	kept := map[string]*History{}
	keep := func(checks []*Check) {
		for _, c := range checks {
			kept[checkKey(c)] = c.History
		}
	}
	keep(m.problems.rows)
	keep(m.nodeChecks.rows)
	for _, i := range m.instances.rows {
		keep(i.Checks)
	}
	m.histories = kept
}

// setMembers takes a pool's members. Only those of the LAN make the section
// ready: the WAN's come on their own, before or after, and say nothing about it.
func (m *model) setMembers(rows []*Member, wan bool) {
	if wan {
		m.hasWAN = m.hasWAN || len(rows) > 0
		m.wan.replace(rows, func(old, now *Member) { m.memberChanged(old, now, true, false) })
		m.touch(inMembers)
		return
	}
	first := m.ready(inMembers, false)
	m.lan.replace(rows, func(old, now *Member) { m.memberChanged(old, now, false, first) })
}

func (m *model) putMember(r *Member, wan bool) {
	l := &m.lan
	if wan {
		l, m.hasWAN = &m.wan, true
	}
	old := l.get(l.key(r))
	m.memberChanged(old, r, wan, false)
	l.put(r)
	m.touch(inMembers)
}

func (m *model) removeMember(name string, wan bool) {
	l := &m.lan
	if wan {
		l = &m.wan
	}
	if old := l.remove(name); old != nil {
		m.memberChanged(old, nil, wan, false)
		m.touch(inMembers)
	}
}

func (m *model) memberChanged(old, now *Member, wan, first bool) {
	if now != nil && old != nil {
		now.Since = old.Since
		if now.RTT < 0 {
			now.RTT = old.RTT
		}
	}
	was, is := "", ""
	if old != nil {
		was = old.State
	}
	if now != nil {
		is = now.State
	}
	if was == is || wan {
		return
	}
	if first {
		if m.away != nil {
			m.away.sum.MembersChanged++
			if now != nil {
				now.Since = m.now()
			}
		}
		return
	}
	if now != nil {
		now.Since = m.now()
	}
	name := ""
	switch {
	case old == nil:
		name = now.Name
		m.event(EventMember, Good, name, "joined, "+is)
	case now == nil:
		m.event(EventMember, Info, old.Name, "is gone")
	case is == "alive":
		m.event(EventMember, Good, now.Name, "is alive, was "+was)
	case is == "failed":
		m.event(EventMember, Bad, now.Name, "failed")
	default:
		m.event(EventMember, Warn, now.Name, "is "+is+", was "+was)
	}
}

// setCluster takes what Raft says. What the caller does not know it leaves as
// it was.
func (m *model) setCluster(c Cluster, stale bool) {
	old := m.cluster
	first := m.ready(inCluster, stale)
	c.Status = Status{}
	c.LeaderSince, c.Elections = old.LeaderSince, old.Elections
	if c.Leader != old.Leader || c.LeaderAddr != old.LeaderAddr {
		c.LeaderSince = m.now()
	}
	if m.away != nil {
		if c.LeaderAddr != "" && m.away.leader != "" && c.LeaderAddr != m.away.leader {
			m.away.sum.Leader = cmp.Or(c.LeaderName, c.LeaderAddr)
		}
		if m.away.commit > 0 && c.Commit > m.away.commit {
			m.away.sum.Writes = c.Commit - m.away.commit
		}
	}
	if !first && c.LeaderAddr != old.LeaderAddr {
		if c.LeaderAddr == "" {
			m.event(EventRaft, Bad, "leader", "there is none; it was "+cmp.Or(old.LeaderName, old.LeaderAddr))
		} else {
			c.Elections++
			text := cmp.Or(c.LeaderName, c.LeaderAddr) + " leads"
			if c.Term > 0 {
				text += fmt.Sprintf(" in term %d", c.Term)
			}
			m.event(EventRaft, Warn, "leader", text)
		}
	}
	m.peersChanged(old.Peers, c.Peers, first)
	count(&c)
	m.noteCluster(&old, &c)
	m.cluster = c
}

func (m *model) peersChanged(old, now []*Peer, first bool) {
	if first || len(old) == 0 || len(now) == 0 {
		return
	}
	has := func(all []*Peer, id string) *Peer {
		if i := slices.IndexFunc(all, func(p *Peer) bool { return p.ID == id }); i >= 0 {
			return all[i]
		}
		return nil
	}
	for _, p := range now {
		before := has(old, p.ID)
		switch {
		case before == nil:
			m.event(EventRaft, Good, cmp.Or(p.Name, p.ID), "is a server of the cluster now")
		case before.Known && p.Known && before.Healthy != p.Healthy && p.Healthy:
			m.event(EventRaft, Good, cmp.Or(p.Name, p.ID), "is healthy")
		case before.Known && p.Known && before.Healthy != p.Healthy:
			m.event(EventRaft, Bad, cmp.Or(p.Name, p.ID), "is not healthy")
		}
	}
	for _, p := range old {
		if has(now, p.ID) == nil {
			m.event(EventRaft, Warn, cmp.Or(p.Name, p.ID), "is no server of the cluster any more")
		}
	}
}

// count works out who leads, the order of peers and how much can be lost.
func count(c *Cluster) {
	var top uint64
	for _, p := range c.Peers {
		if p.Leader {
			top = p.Match
		}
	}
	top = max(top, c.LastLog)
	c.Voters = 0
	healthy := 0
	for _, p := range c.Peers {
		if p.Match > 0 && top > p.Match {
			p.Gap = top - p.Match
		}
		if p.Voter {
			c.Voters++
			if p.Known && p.Healthy || !p.Known && (p.Serf == "alive" || p.Serf == "") {
				healthy++
			}
		}
	}
	slices.SortFunc(c.Peers, func(a, b *Peer) int {
		if a.Leader != b.Leader {
			if a.Leader {
				return -1
			}
			return 1
		}
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID))
	})
	c.Quorum = 0
	c.CanLose = 0
	if c.Voters > 0 {
		c.Quorum = c.Voters/2 + 1
		c.CanLose = healthy - c.Quorum
	}
}

func (m *model) setServices(rows []*Service, stale bool) {
	first := m.ready(inServices, stale)
	m.services.replace(rows, func(old, now *Service) { m.serviceChanged(old, now, first) })
}

func (m *model) putService(r *Service) {
	m.serviceChanged(m.services.get(r.Name), r, false)
	m.services.put(r)
	m.touch(inServices)
}

func (m *model) removeService(name string) {
	if old := m.services.remove(name); old != nil {
		m.serviceChanged(old, nil, false)
		m.touch(inServices)
	}
}

func (m *model) serviceChanged(old, now *Service, first bool) {
	if old != nil {
		m.health[old.Health()]--
	}
	if now != nil {
		m.health[now.Health()]++
	}
	if first {
		m.serviceWhileAway(old, now)
		return
	}
	switch {
	case old == nil:
		m.event(EventService, Good, now.Name, "is new")
	case now == nil:
		m.event(EventService, Warn, old.Name, "has no instance any more")
	case old.Health() != now.Health():
		sev := map[string]Severity{Passing: Good, Warning: Warn, Critical: Bad}[now.Health()]
		text := "is " + now.Health()
		if old.Health() != "" {
			text += ", was " + old.Health()
		}
		m.event(EventHealth, sev, now.Name, fmt.Sprintf("%s (%d of %d pass)", text, now.Passing, now.Instances))
	case old.Instances != now.Instances && old.Counted:
		m.event(EventService, Info, now.Name, fmt.Sprintf("has %d instances, had %d", now.Instances, old.Instances))
	}
}

func (m *model) serviceWhileAway(old, now *Service) {
	if m.away == nil || !m.awayKnew(inServices) {
		return
	}
	sum := &m.away.sum
	switch {
	case old == nil:
		sum.ServicesNew++
		if now.Critical > 0 {
			sum.ServicesCritical = append(sum.ServicesCritical, now.Name)
		}
	case now == nil:
		sum.ServicesGone++
	case old.Critical == 0 && now.Critical > 0:
		sum.ServicesCritical = append(sum.ServicesCritical, now.Name)
	case old.Critical > 0 && now.Critical == 0:
		sum.ServicesRecovered = append(sum.ServicesRecovered, now.Name)
	}
}

// awayKnew reports whether p was known when the connection was lost.
func (m *model) awayKnew(p part) bool { return !m.status[p].At.IsZero() && m.away != nil }

func (m *model) setInstances(name string, rows []*Instance, stale bool) {
	if m.service != name {
		return
	}
	m.ready(inService, stale)
	for _, i := range rows {
		m.courses(i.Checks)
	}
	m.instances.replace(rows, nil)
	m.forgetHistories()
}

func (m *model) courses(checks []*Check) {
	for _, c := range checks {
		m.course(c)
	}
}

func (m *model) putInstance(name string, r *Instance) {
	if m.service != name {
		return
	}
	m.courses(r.Checks)
	m.instances.put(r)
	m.touch(inService)
}

func (m *model) setNodes(rows []*Node, stale bool) {
	first := m.ready(inNodes, stale)
	m.nodes.replace(rows, func(old, now *Node) { m.nodeChanged(old, now, first) })
}

func (m *model) putNode(r *Node) {
	m.nodeChanged(m.nodes.get(r.Name), r, false)
	m.nodes.put(r)
	m.touch(inNodes)
}

func (m *model) removeNode(name string) {
	if old := m.nodes.remove(name); old != nil {
		m.nodeChanged(old, nil, false)
		m.touch(inNodes)
	}
}

func (m *model) nodeChanged(old, now *Node, first bool) {
	switch {
	case first:
	case old == nil:
		m.event(EventNode, Good, now.Name, "is new in the catalog")
	case now == nil:
		m.event(EventNode, Warn, old.Name, "has left the catalog")
	case old.Maintenance != now.Maintenance && now.Maintenance:
		m.event(EventNode, Warn, now.Name, "is in maintenance: "+now.MaintenanceReason)
	case old.Maintenance != now.Maintenance:
		m.event(EventNode, Good, now.Name, "is out of maintenance")
	}
}

func (m *model) setProblems(rows []*Check, stale bool) {
	first := m.ready(inProblems, stale)
	m.courses(rows)
	m.problems.replace(rows, func(old, now *Check) { m.problemChanged(old, now, first) })
	m.worst.replace(m.problems.rows)
	m.forgetHistories()
}

func (m *model) putProblem(r *Check) {
	m.course(r)
	m.problemChanged(m.problems.get(checkKey(r)), r, false)
	m.worst.move(m.problems.put(r), r)
	m.touch(inProblems)
}

func (m *model) removeProblem(key string) {
	if old := m.problems.remove(key); old != nil {
		m.problemChanged(old, nil, false)
		m.worst.move(old, nil)
		m.touch(inProblems)
	}
}

func (m *model) problemChanged(old, now *Check, first bool) {
	if first {
		return
	}
	c, is := now, ""
	switch {
	case now == nil:
		c, is = old, Passing
		// It passes now, or it is gone: either way what failed came to an end.
		// Where another section has told so already, with the output, the
		// history says it.
		if h := m.histories[checkKey(old)]; h == nil || h.Entries[len(h.Entries)-1].Status != Passing {
			over := *old
			over.Status, over.Output = Passing, ""
			m.course(&over)
		}
	case old == nil || old.Status != now.Status:
		is = now.Status
	default:
		return
	}
	sev := map[string]Severity{Passing: Good, Warning: Warn, Critical: Bad}[is]
	object := c.Node
	if c.ServiceName != "" {
		object = c.ServiceName + " on " + c.Node
	}
	text := fmt.Sprintf("check %q is %s", cmp.Or(c.Name, c.ID), is)
	if now == nil {
		text = fmt.Sprintf("check %q fails no more", cmp.Or(c.Name, c.ID))
	}
	m.event(EventHealth, sev, object, text)
}

func (m *model) setLevel(prefix string, children []Child, stale bool) {
	if m.levels[prefix] == nil {
		return // closed meanwhile
	}
	m.ready(inKV, stale)
	l := &Level{Prefix: prefix, Children: children}
	l.Status = m.status[inKV]
	m.levels[prefix] = l
}

func (m *model) failLevel(prefix string, err *Problem) {
	old := m.levels[prefix]
	if old == nil {
		return // closed meanwhile
	}
	l := new(*old)
	if err.nothing() {
		l.Phase, l.Problem = Unsupported, nil
		m.unsupported(inKV)
	} else {
		l.Phase, l.Problem = Failed, err
		if prefix == "" {
			m.fail(inKV, err)
		}
	}
	m.touch(inKV)
	l.Version = m.version
	m.levels[prefix] = l
}

// wantLevels makes the opened levels those of prefixes.
func (m *model) wantLevels(prefixes []string) {
	for p := range m.levels {
		if !slices.Contains(prefixes, p) {
			delete(m.levels, p)
			m.touch(inKV)
		}
	}
	for _, p := range prefixes {
		if m.levels[p] == nil {
			m.touch(inKV)
			m.levels[p] = &Level{Prefix: p, Status: Status{Phase: Loading, Version: m.version}}
		}
	}
}

func (m *model) setKey(k Key, stale bool) {
	if m.key.Key != k.Key {
		return
	}
	old, first := m.key, m.ready(inKey, stale)
	k.Status = Status{}
	m.key = k
	switch {
	case first || old.ModifyIndex == k.ModifyIndex && old.Found == k.Found:
	case !k.Found:
		m.event(EventKV, Warn, k.Key, "was deleted")
	default:
		m.event(EventKV, Info, k.Key, fmt.Sprintf("was written, %d bytes", len(k.Value)))
	}
}

func (m *model) logLine(line LogLine) {
	m.logSeq++
	line.Seq = m.logSeq
	m.log.add(line)
	m.status[inLog].Phase, m.status[inLog].At = Ready, m.now()
	m.touch(inLog)
}

// sample adds a second to the sparklines; a negative rate is not known.
func (m *model) sample(writes, requests, elections float64) {
	st := &m.status[inTraffic]
	st.Phase, st.At = Ready, m.now()
	if writes >= 0 {
		m.writes.add(writes)
	}
	if requests >= 0 {
		m.requests.add(requests)
	}
	m.elections.add(elections)
	m.touch(inTraffic)
}

// count counts the members of the LAN.
func (m *Members) count() {
	m.Alive, m.Failed, m.Left = 0, 0, 0
	for _, r := range m.LAN {
		switch r.State {
		case "alive":
			m.Alive++
		case "failed":
			m.Failed++
		case "left", "leaving":
			m.Left++
		}
	}
}

// build makes what is known a State. It takes what did not change, and cost
// something to make, from the last one.
func (m *model) build(last *State) *State {
	s := &State{Version: m.version, Connection: m.connection, Cluster: m.cluster}
	s.Connection.Version = m.status[inConnection].Version
	s.Cluster.Status = m.status[inCluster]
	s.Members = Members{Status: m.status[inMembers], LAN: m.lan.view()}
	if m.hasWAN {
		s.Members.WAN = m.wan.view()
	}
	s.Members.count()
	s.Services = Services{Status: m.status[inServices], Rows: m.services.view()}
	s.Services.Passing, s.Services.Warning, s.Services.Critical = m.health[Passing], m.health[Warning], m.health[Critical]
	s.Service = ServiceDetail{Status: m.status[inService], Name: m.service, Rows: m.instances.view()}
	s.Nodes = Nodes{Status: m.status[inNodes], Rows: m.nodes.view()}
	s.Node = NodeDetail{Status: m.status[inNode], Name: m.node, Node: m.theNode, Services: m.onNode.view()}
	if last != nil && last.Node.Version == s.Node.Version {
		s.Node.Checks = last.Node.Checks
	} else {
		s.Node.Checks = slices.Clone(m.nodeChecks.rows)
		slices.SortFunc(s.Node.Checks, worseCheck)
	}
	s.Problems = Problems{Status: m.status[inProblems], Rows: m.worst.view()}
	s.KV = KV{Status: m.status[inKV], Levels: make(map[string]*Level, len(m.levels))}
	maps.Copy(s.KV.Levels, m.levels)
	s.Key = m.key
	s.Key.Status = m.status[inKey]
	s.Sessions = Sessions{Status: m.status[inSessions], Rows: m.sessions.view()}
	s.Log = Log{Status: m.status[inLog], Level: m.logLevel, Lines: m.log.view(), Dropped: m.dropped}
	s.Datacenters = Datacenters{Status: m.status[inDatacenters], Names: m.dcs}
	s.Recent = Recent{Status: m.status[inRecent], Events: m.recent.view()}
	s.Traffic = Traffic{Status: m.status[inTraffic], Writes: m.writes.view(), Requests: m.requests.view(), Elections: m.elections.view()}
	return s
}
