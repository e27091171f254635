package source

import (
	"slices"
	"sort"
	"strings"
	"time"
)

// What is remembered of the past: changes of the last KeepEvents, and of those
// the newest as far as maxPast bytes go.
const maxPast = 4 << 20

// past is what changed, the oldest first. A change holds what there was before:
// whoever undoes the changes after a moment, the newest first, has what there was
// then. Adding one costs a comparison of two rows, and nothing while nothing
// changes.
type past struct {
	chunks []*chunk
	bytes  int
	// since is the moment from which on all changes are there.
	since time.Time
	// noted is what was last noted of each section's status, cluster when Raft
	// was.
	noted   [numParts]Status
	link    Link
	cluster time.Time
}

// chunk is a run of changes, dropped as a whole. What was handed out of one is not
// written again: changes are only ever added behind it.
type chunk struct {
	changes []change
	bytes   int
}

// The most that a chunk has: what is remembered goes over its bound by no more
// than this, or by one change.
const (
	chunkChanges = 128
	chunkBytes   = 64 << 10
)

// list names what a change is of.
type listed uint8

const (
	ofStatus listed = iota // of part, a Status
	ofLink
	ofCluster
	ofLAN
	ofWAN
	ofServices
	ofService // which one is looked at: a *ServiceDetail
	ofInstances
	ofNodes
	ofNode // which one is looked at: a *NodeDetail
	ofTheNode
	ofNodeServices
	ofNodeChecks
	ofProblems
)

// change is a row that took the place of another, nil where none was there before
// or after, or a value that another took the place of.
type change struct {
	at   time.Time
	of   listed
	part part
	old  any
	now  any
}

// seen reports whether it is a change of the cluster, not of what is looked at. That
// a section was read for the first time counts: a step back from the change after it
// shows what was read, not that nothing was known before.
func (c *change) seen() bool {
	if st, ok := c.old.(Status); ok {
		return st.Phase == Loading
	}
	return c.of != ofService && c.of != ofNode
}

// bytesOfChange is what a change takes without what it holds.
const bytesOfChange = 64

// add remembers a change that takes n bytes besides its own.
func (p *past) add(c change, n int) {
	n += bytesOfChange
	last := len(p.chunks) - 1
	if last < 0 || len(p.chunks[last].changes) == chunkChanges || p.chunks[last].bytes+n > chunkBytes && p.chunks[last].bytes > 0 {
		p.chunks = append(p.chunks, &chunk{changes: make([]change, 0, chunkChanges)})
		last++
	}
	to := p.chunks[last]
	to.changes = append(to.changes, c)
	to.bytes += n
	p.bytes += n
	for p.bytes > maxPast && len(p.chunks) > 1 {
		p.drop()
	}
	for len(p.chunks) > 1 && c.at.Sub(p.chunks[0].last()) > KeepEvents {
		p.drop()
	}
}

func (c *chunk) last() time.Time { return c.changes[len(c.changes)-1].at }

// drop forgets the oldest chunk. A state of the moment of its last change has all
// of that.
func (p *past) drop() {
	p.since = p.chunks[0].last()
	p.bytes -= p.chunks[0].bytes
	p.chunks = slices.Delete(p.chunks, 0, 1)
}

// remember makes changes of the model be remembered.
func (m *model) remember() {
	m.past.since = m.now()
	m.past.noted = m.status
	remember(m, &m.lan, ofLAN, sameMembers)
	remember(m, &m.wan, ofWAN, sameMembers)
	remember(m, &m.services, ofServices, sameService)
	remember(m, &m.instances, ofInstances, sameInstance)
	remember(m, &m.nodes, ofNodes, sameNode)
	remember(m, &m.onNode, ofNodeServices, sameInstance)
	remember(m, &m.nodeChecks, ofNodeChecks, sameCheck)
	remember(m, &m.problems, ofProblems, sameCheck)
}

func remember[R any](m *model, l *list[R], of listed, same func(a, b *R) bool) {
	l.changed = func(old, now *R) {
		n := 0
		switch {
		case old == nil:
		case now != nil && same(old, now):
			return
		default:
			n = bytesOf(old)
		}
		m.past.add(change{at: m.now(), of: of, old: old, now: now}, n)
	}
}

// noteStatus remembers how a section was, if it is so no more.
func (m *model) noteStatus(p part) {
	st, noted := &m.status[p], &m.past.noted[p]
	if p == inConnection && m.connection.Link != m.past.link {
		m.past.add(change{at: m.now(), of: ofLink, old: m.past.link}, 0)
		m.past.link = m.connection.Link
	}
	if st.Phase == noted.Phase && st.Problem == noted.Problem && st.Stale == noted.Stale && st.At.IsZero() == noted.At.IsZero() {
		return
	}
	switch p {
	case inCluster, inMembers, inServices, inService, inNodes, inNode, inProblems:
		m.past.add(change{at: m.now(), of: ofStatus, part: p, old: *noted}, 128)
	default: // the others have no past
	}
	*noted = *st
}

// clusterPause is how old numbers of Raft in the past may be: they change with
// every write.
const clusterPause = 10 * time.Second

// noteCluster remembers what Raft said, if that differs in more than numbers, or
// was noted long ago.
func (m *model) noteCluster(old, now *Cluster) {
	at := m.now()
	same := old.Leader == now.Leader && old.LeaderAddr == now.LeaderAddr && slices.EqualFunc(old.Peers, now.Peers, func(a, b *Peer) bool {
		return a.ID == b.ID && a.Voter == b.Voter && a.Healthy == b.Healthy && a.Known == b.Known
	})
	if old.Commit == now.Commit && same || same && at.Sub(m.past.cluster) < clusterPause || m.past.noted[inCluster].At.IsZero() {
		return
	}
	m.past.cluster = at
	was := *old
	m.past.add(change{at: at, of: ofCluster, old: &was}, 400+240*len(was.Peers))
}

// noteService remembers which service was looked at, and what was seen of it.
func (m *model) noteService() {
	was := &ServiceDetail{Name: m.service, Rows: m.instances.view()}
	n := 0
	for _, r := range was.Rows {
		n += bytesOf(r)
	}
	m.past.add(change{at: m.now(), of: ofService, old: was}, n)
}

// noteNode remembers which node was looked at, and what was seen of it.
func (m *model) noteNode() {
	was := &NodeDetail{Name: m.node, Node: m.theNode, Services: m.onNode.view(), Checks: m.nodeChecks.view()}
	n := 0
	for _, r := range was.Services {
		n += bytesOf(r)
	}
	for _, r := range was.Checks {
		n += bytesOf(r)
	}
	m.past.add(change{at: m.now(), of: ofNode, old: was}, n)
}

// noteTheNode remembers what the node looked at was like before.
func (m *model) noteTheNode(before *Node) {
	if now := m.theNode; before != now && (before == nil || now == nil || !sameNode(before, now)) {
		m.past.add(change{at: m.now(), of: ofTheNode, old: before}, bytesOf(before))
	}
}

// record is the past as it was handed out: nothing in it changes any more.
type record struct {
	chunks [][]change
	since  time.Time
}

func (p *past) record(now time.Time) record {
	r := record{since: p.since}
	if oldest := now.Add(-KeepEvents); oldest.After(r.since) {
		r.since = oldest
	}
	for _, c := range p.chunks {
		r.chunks = append(r.chunks, c.changes)
	}
	return r
}

// back calls visit with the changes, the newest first, until it returns false.
func (r *record) back(visit func(*change) bool) {
	for _, chunk := range slices.Backward(r.chunks) {
		for k := range slices.Backward(chunk) {
			if !visit(&chunk[k]) {
				return
			}
		}
	}
}

// Changes that are no further apart than stepGap are one step, but a step is no
// longer than stepLength.
const (
	stepGap    = 50 * time.Millisecond
	stepLength = time.Second
)

// stepBack returns the moment of the last change before those that came last
// until from.
func (r *record) stepBack(from time.Time) (to time.Time, ok bool) {
	if !from.After(r.since) {
		return r.since, false
	}
	var newest, last time.Time // of the step that is undone
	r.back(func(c *change) bool {
		switch {
		case !c.seen() || c.at.After(from):
			return true
		case c.at.Before(r.since):
			return false
		case newest.IsZero():
			newest, last = c.at, c.at
			return true
		case last.Sub(c.at) <= stepGap && newest.Sub(c.at) <= stepLength:
			last = c.at
			return true
		}
		to = c.at
		return false
	})
	if to.IsZero() {
		to = r.since // before the first change there is
	}
	return to, !newest.IsZero() && last.After(r.since)
}

// stepForward returns the moment of the last of the changes that came first after
// from.
func (r *record) stepForward(from time.Time) (to time.Time, ok bool) {
	var first time.Time
	for _, chunk := range r.chunks[max(0, sort.Search(len(r.chunks), func(i int) bool { return r.chunks[i][len(r.chunks[i])-1].at.After(from) })):] {
		for i := range chunk {
			c := &chunk[i]
			switch {
			case !c.seen() || !c.at.After(from):
			case first.IsZero():
				first, to = c.at, c.at
			case c.at.Sub(to) <= stepGap && c.at.Sub(first) <= stepLength:
				to = c.at
			default:
				return to, true // and there are more
			}
		}
	}
	return time.Time{}, false // what is after it is now
}

// Past implements Feed.
func (s *Source) Past(at time.Time) *State {
	s.mu.Lock()
	if s.state == nil || s.state.Version != s.model.version {
		s.state = s.model.build(s.state)
	}
	state, rec := *s.state, s.model.past.record(s.now())
	order := s.model.worst.order
	s.mu.Unlock()
	if at.Before(rec.since) {
		at = rec.since
	}
	state.AsOf = at
	u := undoing{s: &state, order: order}
	u.undo(&rec)
	return &state
}

// Step implements Feed.
func (s *Source) Step(from time.Time, back bool) (to time.Time, ok bool) {
	s.mu.Lock()
	now := s.now()
	rec := s.model.past.record(now)
	s.mu.Unlock()
	if from.IsZero() {
		from = now
	}
	if back {
		return rec.stepBack(from)
	}
	return rec.stepForward(from)
}

// undoing makes a state that of the past.
type undoing struct {
	s     *State
	order func(a, b *Check) int
	rows  [ofProblems + 1]bool // lists that are copies by now
	// idle are sections that nobody looked at then, and since when.
	idle map[part]time.Time
}

// status returns the status of a section of the state.
func (u *undoing) status(p part) *Status {
	switch p {
	case inCluster:
		return &u.s.Cluster.Status
	case inMembers:
		return &u.s.Members.Status
	case inServices:
		return &u.s.Services.Status
	case inService:
		return &u.s.Service.Status
	case inNodes:
		return &u.s.Nodes.Status
	case inNode:
		return &u.s.Node.Status
	default:
		return &u.s.Problems.Status
	}
}

// undo undoes all changes after s.AsOf.
func (u *undoing) undo(rec *record) {
	at := u.s.AsOf
	u.idle = map[part]time.Time{}
	rec.back(func(c *change) bool {
		if c.at.After(at) {
			u.one(c)
			return true
		}
		// From here on only what became of the sections until then.
		if c.of == ofStatus && u.status(c.part).Phase == Idle && u.idle[c.part].IsZero() {
			u.idle[c.part] = c.at
		}
		return true
	})
	for _, p := range []part{inCluster, inMembers, inServices, inService, inNodes, inNode, inProblems} {
		switch st := u.status(p); st.Phase {
		case Ready:
			st.At = at
		case Idle:
			if since := u.idle[p]; !st.At.IsZero() && !since.IsZero() {
				st.At = since
			}
		default: // nothing was known
		}
	}
	u.finish()
}

// one undoes a change.
func (u *undoing) one(c *change) {
	s := u.s
	switch c.of {
	case ofStatus:
		st := u.status(c.part)
		version := st.Version
		*st, _ = c.old.(Status)
		st.Version = version
		if st.At.IsZero() {
			u.empty(c.part)
		}
	case ofLink:
		s.Connection.Link, _ = c.old.(Link)
	case ofCluster:
		if old, ok := c.old.(*Cluster); ok {
			st := s.Cluster.Status
			s.Cluster = *old
			s.Cluster.Status = st
		}
	case ofLAN:
		undoRow(u, c, &s.Members.LAN, func(r *Member) string { return r.Name })
	case ofWAN:
		undoRow(u, c, &s.Members.WAN, func(r *Member) string { return r.Name })
	case ofServices:
		undoRow(u, c, &s.Services.Rows, func(r *Service) string { return r.Name })
	case ofNodes:
		undoRow(u, c, &s.Nodes.Rows, func(r *Node) string { return r.Name })
	case ofProblems:
		if !u.rows[ofProblems] {
			s.Problems.Rows = slices.SortedFunc(slices.Values(s.Problems.Rows), func(a, b *Check) int { return strings.Compare(checkKey(a), checkKey(b)) })
			u.rows[ofProblems] = true
		}
		undoRow(u, c, &s.Problems.Rows, checkKey)
	case ofService:
		if old, ok := c.old.(*ServiceDetail); ok {
			s.Service.Name, s.Service.Rows = old.Name, old.Rows
			u.rows[ofInstances] = false
		}
	case ofInstances:
		undoRow(u, c, &s.Service.Rows, instanceKey)
	default:
		u.node(c)
	}
}

// node undoes a change of the node looked at.
func (u *undoing) node(c *change) {
	n := &u.s.Node
	switch c.of {
	case ofNode:
		if old, ok := c.old.(*NodeDetail); ok {
			n.Name, n.Node, n.Services, n.Checks = old.Name, old.Node, old.Services, old.Checks
			u.rows[ofNodeServices], u.rows[ofNodeChecks] = false, true
		}
	case ofTheNode:
		n.Node, _ = c.old.(*Node)
	case ofNodeServices:
		undoRow(u, c, &n.Services, func(r *Instance) string { return r.ID })
	case ofNodeChecks:
		if !u.rows[ofNodeChecks] {
			n.Checks = slices.SortedFunc(slices.Values(n.Checks), func(a, b *Check) int { return strings.Compare(checkKey(a), checkKey(b)) })
			u.rows[ofNodeChecks] = true
		}
		undoRow(u, c, &n.Checks, checkKey)
	default: // undone by one
	}
}

// empty takes out what is in a section: it was not known yet.
func (u *undoing) empty(p part) {
	s := u.s
	switch p {
	case inCluster:
		s.Cluster = Cluster{Status: s.Cluster.Status}
	case inMembers:
		s.Members.LAN, s.Members.WAN = nil, nil
	case inServices:
		s.Services.Rows = nil
	case inService:
		s.Service.Rows = nil
	case inNodes:
		s.Nodes.Rows = nil
	case inNode:
		s.Node.Node, s.Node.Services, s.Node.Checks = nil, nil, nil
	case inProblems:
		s.Problems.Rows = nil
	default: // the others have no past
	}
}

// undoRow puts the row that was there before in the place of the one that came.
func undoRow[R any](u *undoing, c *change, rows *[]*R, key func(*R) string) {
	old, _ := c.old.(*R)
	now, _ := c.now.(*R)
	if c.of != ofProblems && c.of != ofNodeChecks && !u.rows[c.of] {
		*rows = slices.Clone(*rows)
		u.rows[c.of] = true
	}
	l := ordered[*R]{key: key, rows: *rows}
	if old != nil {
		l.put(old)
	} else if now != nil {
		l.remove(key(now))
	}
	*rows = l.rows
}

// finish works out what is worked out from rows, and leaves out what has no past.
func (u *undoing) finish() {
	s := u.s
	s.Members.count()
	s.Services.Passing, s.Services.Warning, s.Services.Critical = 0, 0, 0
	for _, r := range s.Services.Rows {
		switch r.Health() {
		case Passing:
			s.Services.Passing++
		case Warning:
			s.Services.Warning++
		case Critical:
			s.Services.Critical++
		}
	}
	if u.rows[ofProblems] {
		s.Problems.Rows = slices.SortedFunc(slices.Values(s.Problems.Rows), u.order)
	}
	if u.rows[ofNodeChecks] {
		s.Node.Checks = slices.SortedFunc(slices.Values(s.Node.Checks), worseCheck)
	}
	n := sort.Search(len(s.Recent.Events), func(i int) bool { return s.Recent.Events[i].At.After(s.AsOf) })
	s.Recent.Events = s.Recent.Events[:n:n]
	s.Traffic.until(s.Traffic.At.Sub(s.AsOf))
	s.KV, s.Key, s.Sessions, s.Log, s.Datacenters = KV{}, Key{}, Sessions{}, Log{}, Datacenters{}
	s.Connection.Away = nil
}

// until leaves out the samples of the newest d.
func (t *Traffic) until(d time.Duration) {
	cut := func(all []float64) []float64 {
		n := len(all) - int(max(0, d)/time.Second)
		return all[:max(0, n):max(0, n)]
	}
	t.Writes, t.Requests, t.Elections = cut(t.Writes), cut(t.Requests), cut(t.Elections)
}
