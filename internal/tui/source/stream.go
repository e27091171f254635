package source

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"
)

// streamPath is where the change stream is; see docs/reference/stream.md.
const streamPath = "/v1/ctl/stream"

// opened is a stream that was asked for and began.
type opened struct {
	topics []string
	body   io.ReadCloser
	// cut ends it.
	cut context.CancelFunc
}

// knock asks for the change stream of what is looked at, at once, and yields it
// when it begins, or nil where the agent has none: blocking queries say then what
// is wrong, if more than this is. It ends with ctx.
func (v *visit) knock(ctx context.Context) <-chan *opened {
	out := make(chan *opened, 1)
	if v.s.cfg.NoStream {
		out <- nil
		return out
	}
	v.spawn(func() {
		topics := topicsOf(v.s.wish())
		open, cut := context.WithCancel(ctx)
		late := time.AfterFunc(hello, cut)
		resp, err := v.c.request(open, "GET", streamPath, url.Values{"topic": topics}, nil)
		if late.Stop(); err != nil {
			cut()
			out <- nil
			return
		}
		out <- &opened{topics, resp.Body, cut}
	})
	return out
}

// topicsOf returns the topics of what is looked at, sorted. Sessions and
// datacenters have none. The members of the WAN are none at a client agent.
func topicsOf(in Interest) []string {
	topics := []string{"members", "members:wan", "raft"}
	if in.Sections&SectionServices != 0 {
		topics = append(topics, "services")
	}
	if in.Sections&SectionNodes != 0 {
		topics = append(topics, "nodes")
	}
	if in.Sections&SectionProblems != 0 {
		topics = append(topics, "checks:failing")
	}
	if in.Service != "" {
		topics = append(topics, "service:"+in.Service)
	}
	if in.Node != "" {
		topics = append(topics, "node:"+in.Node)
	}
	for i, prefix := range in.Prefixes {
		if i < maxStreamed {
			topics = append(topics, "level:"+prefix)
		}
	}
	if in.Key != "" {
		topics = append(topics, "key:"+in.Key)
	}
	if in.LogLevel != "" {
		topics = append(topics, "log:"+in.LogLevel)
	}
	slices.Sort(topics)
	return slices.Compact(topics)
}

// maxStreamed bounds the levels of the key tree in one stream; those beyond are
// read now and then.
const maxStreamed = 48

// beside returns the watchers for what the stream does not carry.
func (v *visit) beside(in Interest) map[string]watcher {
	all := v.wanted(in)
	want := map[string]watcher{"traffic": all["traffic"]}
	if in.Sections&SectionPeers != 0 {
		want["raft"] = v.raft
	} else {
		want["raft, now and then"] = v.raftSeldom
	}
	for _, name := range []string{"sessions", "datacenters"} {
		if all[name] != nil {
			want[name] = all[name]
		}
	}
	for _, prefix := range in.Prefixes[min(len(in.Prefixes), maxStreamed):] {
		want["level/"+prefix] = all["level/"+prefix]
	}
	return want
}

// follower follows the stream for a visit. It belongs to one goroutine, but for
// what is said.
type follower struct {
	v      *visit
	pos    string
	held   map[string]bool // topics that are whole as of pos
	topics map[string]*streamed
}

// streamed is what is kept of a topic while it is streamed.
type streamed struct {
	name    string
	filling bool // between reset and ready
	ready   bool
	rows    []any             // while filling
	names   []string          // the keys of rows
	keys    map[string]string // the list's key of a row's
	node    *nodeView
	level   []Child
}

// nodeView is the rows of node:NAME.
type nodeView struct {
	node     *jsonNode
	services map[string]*jsonService
	checks   map[string]*jsonCheck
	dirty    bool
}

// silence is how long a stream may say nothing: three of the agent's beats.
const silence = 15 * time.Second

// follow keeps a stream of what is looked at open until ctx ends, beginning with
// first. topics yields them anew when they change.
func (v *visit) follow(ctx context.Context, first *opened, topics <-chan []string) {
	f := &follower{v: v, held: map[string]bool{}, topics: map[string]*streamed{}}
	want := first.topics
	pause := time.Duration(0)
	for ctx.Err() == nil {
		began := time.Now()
		open, cut := context.WithCancel(ctx)
		given := first
		first = nil
		ended := make(chan error, 1)
		v.spawn(func() {
			defer close(ended)
			ended <- f.read(open, want, given)
		})
		var err error
		over := false
		select {
		case want = <-topics:
			cut()
			<-ended //nolint:errcheck // cut off
		case err = <-ended:
			over = true
		}
		cut()
		if !over || ctx.Err() != nil {
			continue
		}
		if err != nil {
			v.failedAs(ctx, err, func(m *model, p *Problem) {
				for _, t := range want {
					m.failTopic(t, p)
				}
			})
		}
		if pause = min(max(2*pause, 20*time.Millisecond), errorPause); time.Since(began) > errorPause {
			pause = 0
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case want = <-topics:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// ask returns the query for topics: the changes of those that are held, all of
// the others.
func (f *follower) ask(topics []string) url.Values {
	q := url.Values{}
	for _, t := range topics {
		name := "topic"
		if f.held[t] && f.pos != "" {
			name = "have"
		} else {
			f.topics[t] = &streamed{name: t}
		}
		q.Add(name, t)
	}
	for t := range f.topics {
		if !slices.Contains(topics, t) {
			delete(f.topics, t)
			delete(f.held, t)
		}
	}
	if f.pos != "" {
		q.Set("from", f.pos)
	}
	return q
}

// read takes in what comes by a stream of topics until it ends: by given, or,
// where that is nil, by one it opens. ctx ends it.
func (f *follower) read(ctx context.Context, topics []string, given *opened) error {
	q := f.ask(topics)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if given == nil {
		resp, err := f.v.c.request(ctx, "GET", streamPath, q, nil)
		if err != nil {
			return err
		}
		given = &opened{body: resp.Body, cut: cancel}
	}
	defer given.body.Close()
	defer given.cut()
	defer context.AfterFunc(ctx, given.cut)()
	dog := time.AfterFunc(silence, given.cut)
	defer dog.Stop()
	in := bufio.NewReaderSize(given.body, 64<<10)
	var frames []jsonFrame
	var long []byte
	var taken time.Time // the last frames
	for {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			long = append(long, line...)
			continue
		}
		if err != nil {
			f.take(frames)
			return nil // the stream is opened again; that says what is wrong
		}
		if len(long) > 0 {
			long = append(long, line...)
			line, long = long, nil // its rows are decoded after more was read
		}
		frame, err := decodeFrame(line)
		if err != nil {
			return &Problem{Kind: Other, Text: "the change stream is not what was expected: " + err.Error(), At: f.v.s.now()}
		}
		frames = append(frames, frame)
		if len(frames) >= 256 || !more(in) {
			dog.Reset(silence)
			f.take(frames)
			frames = frames[:0]
			if now := time.Now(); now.Sub(taken) < together && f.settled() && !sleep(ctx, together) {
				return nil
			}
			taken = time.Now()
		}
	}
}

// together is how long changes are gathered while they come in quick succession;
// the screen shows sixty states a second at most. A change after a pause is taken
// at once, and so is all that makes a first state.
const together = 12 * time.Millisecond

// settled reports whether all topics have their first state.
func (f *follower) settled() bool {
	for _, t := range f.topics {
		if !t.ready {
			return false
		}
	}
	return true
}

// more reports whether a whole line has been read ahead.
func more(in *bufio.Reader) bool {
	ahead, _ := in.Peek(in.Buffered()) // never more than is there: no error
	return bytes.IndexByte(ahead, '\n') >= 0
}

// take puts frames into the model. Rows are decoded before the lock is taken.
func (f *follower) take(frames []jsonFrame) {
	f.v.heard.Store(f.v.s.now().UnixNano())
	rows := make([]any, len(frames))
	for i := range frames {
		if len(frames[i].Row) > 0 {
			rows[i] = decodeRow(frames[i].Topic, frames[i].Key, frames[i].Row)
		}
	}
	f.v.s.update(func(m *model) {
		for i := range frames {
			f.apply(m, &frames[i], rows[i])
		}
		for _, t := range f.topics {
			t.settle(m)
		}
	})
}

type jsonRaft struct {
	Leader, LeaderAddr                       string
	Term, Commit, Applied, LastLog, Snapshot uint64
	Servers                                  []jsonPeer
}

// apply takes one frame in.
func (f *follower) apply(m *model, frame *jsonFrame, row any) {
	switch frame.Type {
	case "at":
		f.pos = frame.Position
		for name, t := range f.topics {
			f.held[name] = t.ready
		}
		f.v.once.Do(func() { close(f.v.filled) })
		return
	case "hello", "beat", "end":
		return
	}
	t := f.topics[frame.Topic]
	if t == nil {
		return
	}
	switch frame.Type {
	case "reset":
		*t = streamed{name: t.name, filling: true}
	case "ready":
		t.keys = make(map[string]string, len(t.rows))
		for i, row := range t.rows {
			t.remember(t.names[i], row)
		}
		t.filling, t.ready = false, true
		t.whole(m)
		t.rows, t.names = nil, nil
	case "put":
		if row == nil {
			return
		}
		if t.filling {
			t.rows, t.names = append(t.rows, row), append(t.names, frame.Key)
			return
		}
		t.remember(frame.Key, row)
		t.put(m, frame.Key, row)
	case "del":
		key, ok := t.keys[frame.Key]
		delete(t.keys, frame.Key)
		if ok {
			t.remove(m, frame.Key, key)
		}
	case "line":
		m.logLine(parseLine(frame.Text, m.now()))
	case "error":
		p := &Problem{Kind: Other, Text: frame.Text, At: m.now()}
		if strings.Contains(strings.ToLower(frame.Kind), "denied") {
			p = f.v.c.denied(frame.Text)
		}
		m.failTopic(t.name, p)
	}
}

// remember notes the list's key of a row.
func (t *streamed) remember(key string, row any) {
	if t.keys == nil {
		t.keys = map[string]string{}
	}
	switch r := row.(type) {
	case *Member:
		t.keys[one(key, r.Name)] = r.Name
	case *Service:
		t.keys[one(key, r.Name)] = r.Name
	case *Node:
		t.keys[one(key, r.Name)] = r.Name
	case *Check:
		t.keys[key] = checkKey(r)
	case *Instance:
		t.keys[key] = r.Node + "\x00" + r.ID
	default:
		t.keys[key] = key
	}
	switch r := row.(type) {
	case *jsonNode:
		t.onNode().node = r
	case *jsonService:
		t.onNode().services[key] = r
	case *jsonCheck:
		t.onNode().checks[key] = r
	case *Child:
		at, ok := slices.BinarySearchFunc(t.level, r.Key, func(c Child, k string) int { return strings.Compare(c.Key, k) })
		switch {
		case ok:
		case t.filling:
			t.level = slices.Insert(t.level, at, *r)
		default:
			t.level = slices.Insert(slices.Clone(t.level), at, *r) // what was handed out stays as it is
		}
	}
}

// one returns key, in the memory of name where they are the same.
func one(key, name string) string {
	if key == name {
		return name
	}
	return key
}

func (t *streamed) onNode() *nodeView {
	if t.node == nil {
		t.node = &nodeView{services: map[string]*jsonService{}, checks: map[string]*jsonCheck{}}
	}
	t.node.dirty = true
	return t.node
}

func (t *streamed) arg() string {
	_, arg, _ := strings.Cut(t.name, ":")
	return arg
}

func rowsOf[R any](rows []any) []*R {
	out := make([]*R, 0, len(rows))
	for _, r := range rows {
		if row, ok := r.(*R); ok {
			out = append(out, row)
		}
	}
	return out
}

// whole makes the rows that came since the reset all there is.
func (t *streamed) whole(m *model) {
	switch kind, arg, _ := strings.Cut(t.name, ":"); kind {
	case "members":
		m.setMembers(rowsOf[Member](t.rows), arg != "")
	case "raft":
		for _, r := range rowsOf[jsonRaft](t.rows) {
			m.applyRaft(r)
		}
	case "services":
		m.setServices(rowsOf[Service](t.rows), false)
	case "nodes":
		m.setNodes(rowsOf[Node](t.rows), false)
	case "checks":
		m.setProblems(rowsOf[Check](t.rows), false)
	case "service":
		m.setInstances(arg, rowsOf[Instance](t.rows), false)
	case "node":
		t.onNode()
	case "log":
		m.ready(inLog, false)
	case "level":
		m.setLevel(arg, t.level, false)
	case "key":
		k := Key{Key: arg}
		for _, e := range rowsOf[jsonEntry](t.rows) {
			k = e.key()
		}
		m.setKey(k, false)
	}
}

// put takes in a row of a topic that is whole.
func (t *streamed) put(m *model, _ string, row any) {
	switch r := row.(type) {
	case *Member:
		m.putMember(r, t.arg() != "")
	case *jsonRaft:
		m.applyRaft(r)
	case *Service:
		m.putService(r)
	case *Node:
		m.putNode(r)
	case *Check:
		m.putProblem(r)
	case *Instance:
		m.putInstance(t.arg(), r)
	case *Child:
		m.setLevel(t.arg(), t.level, false)
	case *jsonEntry:
		m.setKey(r.key(), false)
	}
}

// remove takes out a row: key is the frame's, listed the list's.
func (t *streamed) remove(m *model, key, listed string) {
	switch kind, arg, _ := strings.Cut(t.name, ":"); kind {
	case "members":
		m.removeMember(listed, arg != "")
	case "services":
		m.removeService(listed)
	case "nodes":
		m.removeNode(listed)
	case "checks":
		m.removeProblem(listed)
	case "service":
		if m.service == arg && m.instances.remove(listed) != nil {
			m.touch(inService)
		}
	case "node":
		n := t.onNode()
		delete(n.services, key)
		delete(n.checks, key)
		if key == "node" {
			n.node = nil
		}
	case "level":
		t.level = slices.DeleteFunc(slices.Clone(t.level), func(c Child) bool { return c.Key == key })
		m.setLevel(arg, t.level, false)
	case "key":
		m.setKey(Key{Key: arg}, false)
	}
}

// settle makes a node's section of its rows, once for all that changed.
func (t *streamed) settle(m *model) {
	if t.node == nil || !t.node.dirty || !t.ready {
		return
	}
	t.node.dirty = false
	var services []*jsonService
	for _, s := range t.node.services {
		services = append(services, s)
	}
	var checks []*jsonCheck
	for _, c := range t.node.checks {
		checks = append(checks, c)
	}
	m.setNode(t.arg(), t.node.node, services, checks, false)
}

// applyRaft takes what the stream says of Raft and keeps what autopilot said.
func (m *model) applyRaft(r *jsonRaft) {
	c := m.cluster
	known := map[string]*Peer{}
	for _, p := range clonePeers(c.Peers) {
		known[p.ID] = p
	}
	c.Peers = nil
	c.Leader, c.LeaderAddr, c.LeaderName = r.Leader, r.LeaderAddr, ""
	for _, j := range r.Servers {
		p := known[j.ID]
		if p == nil {
			p = &Peer{ID: j.ID, Serf: m.serfState(j.Node), Version: m.buildOf(j.Node)}
		}
		p.Name, p.Address, p.Voter, p.Leader, p.Gap = j.Node, j.Address, j.Voter, j.Leader, 0
		if p.Leader {
			c.LeaderName = p.Name
			p.Match = max(p.Match, r.Commit)
		}
		c.Peers = append(c.Peers, p)
	}
	c.Term, c.Commit, c.Applied, c.LastLog, c.Snapshot = r.Term, r.Commit, r.Applied, r.LastLog, r.Snapshot
	stale := r.LeaderAddr == ""
	m.setCluster(c, stale)
	for _, p := range []part{inServices, inService, inNodes, inNode, inProblems, inKV, inKey} {
		if st := &m.status[p]; st.Phase == Ready && st.Stale != stale {
			st.Stale = stale
			m.touch(p)
		}
	}
}

// failTopic notes a problem of a topic's section.
func (m *model) failTopic(topic string, p *Problem) {
	kind, arg, _ := strings.Cut(topic, ":")
	if kind == "level" {
		m.failLevel(arg, p)
		return
	}
	if in, ok := map[string]part{
		"members": inMembers, "raft": inCluster, "services": inServices, "nodes": inNodes, "checks": inProblems,
		"service": inService, "node": inNode, "key": inKey, "log": inLog,
	}[kind]; ok {
		m.fail(in, p)
	}
}
