package source

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ctl-sh/ctl/internal/backoff"
)

// visit is a connection to one agent, from when it answers until it is lost.
type visit struct {
	s      *Source
	c      *client
	lose   context.CancelCauseFunc
	server bool
	// streaming says that changes come by the stream; set before anything
	// looks.
	streaming bool

	filled chan struct{} // closed when the stream has told all that was asked for
	once   sync.Once     // closes it
	heard  atomic.Int64  // when the stream said something last, in Unix nanoseconds

	wg      sync.WaitGroup
	running map[string]context.CancelFunc // by what is watched; owned by run
	noLead  bool                          // guarded by s.mu: the agent knows no leader
}

// spawn runs f in a goroutine of the visit.
func (v *visit) spawn(f func()) {
	v.wg.Go(func() {
		defer v.s.caught()
		f()
	})
}

// watcher is something that runs for as long as it is in sight.
type watcher func(ctx context.Context)

// run keeps the watchers those that the interest asks for, until ctx ends. stream
// yields the change stream that was asked for, nil where there is none.
func (v *visit) run(ctx context.Context, stream <-chan *opened) {
	var first *opened
	select {
	case first = <-stream:
	case <-ctx.Done():
		return
	}
	v.streaming = first != nil
	v.s.update(func(m *model) {
		m.connection.Transport = LongPoll
		if v.streaming {
			m.connection.Transport = Stream
		}
		m.touch(inConnection)
	})
	v.spawn(func() { v.header(ctx) })
	topics := make(chan []string, 1) // the newest, for the stream
	var last []string
	if v.streaming {
		last = first.topics
		v.spawn(func() { v.follow(ctx, first, topics) })
	}
	began := time.Now()
	settled := time.NewTimer(settleTime)
	defer settled.Stop()
	for {
		in := v.s.wish()
		if v.streaming {
			v.keep(ctx, v.beside(in))
			if now := topicsOf(in); !slices.Equal(last, now) {
				last = now
				select { // the newest takes the place of one not taken yet
				case <-topics:
				default:
				}
				topics <- now
			}
		} else {
			v.keep(ctx, v.wanted(in))
		}
		select {
		case <-ctx.Done():
			return
		case <-settled.C:
			if !v.s.returned(time.Since(began) >= leaderTime) {
				settled.Reset(settleTime)
			}
		case <-v.s.wanted:
		case <-v.s.again:
			// Begin everything anew.
			for _, end := range v.running {
				end()
			}
			clear(v.running)
		}
	}
}

// settleTime is how long after the return of an agent the summary of what
// changed is made.
const settleTime = 1500 * time.Millisecond

// leaderTime is how long the summary waits for a leader, without whom nobody
// knows what was written: an agent that returns may have to find one first.
const leaderTime = 20 * time.Second

// keep starts and ends watchers until those of want run.
func (v *visit) keep(ctx context.Context, want map[string]watcher) {
	for name, end := range v.running {
		if want[name] == nil {
			end()
			delete(v.running, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if v.running[name] == nil {
			mine, end := context.WithCancel(ctx)
			v.running[name] = end
			v.spawn(func() { want[name](mine) })
		}
	}
}

// maxLevels bounds the levels of the key tree that are watched; those beyond
// are read every levelPause.
const (
	maxLevels  = 24
	levelPause = 5 * time.Second
)

// wanted returns the watchers for an interest where there is no change stream.
func (v *visit) wanted(in Interest) map[string]watcher {
	want := map[string]watcher{
		"members": v.members, "raft": v.raft, "traffic": v.traffic,
	}
	has := func(s Section) bool { return in.Sections&s != 0 }
	switch {
	case has(SectionServices | SectionNodes):
		want[fmt.Sprintf("catalog/%d", in.Sections&(SectionServices|SectionNodes|SectionProblems))] = func(ctx context.Context) { v.catalog(ctx, in.Sections) }
	case has(SectionProblems):
		want["problems"] = v.problems
	}
	if has(SectionSessions) {
		want["sessions"] = v.sessions
	}
	if has(SectionDatacenters) {
		want["datacenters"] = v.datacenters
	}
	if in.Service != "" {
		want["service/"+in.Service] = func(ctx context.Context) { v.instances(ctx, in.Service) }
	}
	if in.Node != "" {
		want["node/"+in.Node] = func(ctx context.Context) { v.node(ctx, in.Node) }
	}
	for i, prefix := range in.Prefixes {
		want["level/"+prefix] = func(ctx context.Context) { v.level(ctx, prefix, i >= maxLevels) }
	}
	if in.Key != "" {
		want["key/"+in.Key] = func(ctx context.Context) { v.key(ctx, in.Key) }
	}
	if in.LogLevel != "" {
		want["log/"+in.LogLevel] = func(ctx context.Context) { v.log(ctx, in.LogLevel) }
	}
	return want
}

// sleep waits, and reports false when ctx ended.
func sleep(ctx context.Context, d time.Duration) bool { return backoff.Pause(ctx, d) }

// failed handles an error of a request: the end of the visit where the agent
// does not answer, else a problem of the sections.
func (v *visit) failed(ctx context.Context, err error, parts ...part) {
	v.failedAs(ctx, err, notes(parts...))
}

func (v *visit) failedAs(ctx context.Context, err error, note func(*model, *Problem)) {
	if ctx.Err() != nil {
		return
	}
	p := asProblem(err, v.s.now())
	if p.Kind == Unreachable {
		v.lose(p)
		return
	}
	v.s.update(func(m *model) { note(m, p) })
}

// nothing reports whether the agent does not know the path.
func (p *Problem) nothing() bool {
	return p.Kind == Missing && strings.HasPrefix(p.Text, "Invalid URL path")
}

// Pauses of what is asked again and again. With the stream, which says itself when
// it breaks and what has changed, little is left to ask; seldomPause is for what is
// not in sight.
const (
	pingPause    = time.Second
	streamPause  = 5 * time.Second // between pings beside a stream
	raftPause    = 2 * time.Second
	seldomPause  = 10 * time.Second
	memberPause  = time.Second
	wanEvery     = 10 // of memberPause
	errorPause   = time.Second
	longPause    = 10 * time.Second
	trafficPause = time.Second
	// share bounds what polling costs: a pause is at least so many times as
	// long as the answer took.
	share = 20
)

// header asks whether the agent is still there and who leads.
func (v *visit) header(ctx context.Context) {
	pause := pingPause
	if v.streaming {
		pause = streamPause
		if !sleep(ctx, pause) { // the agent has answered a moment ago
			return
		}
	}
	late := 0 // answers in a row that did not come in time
	for {
		var leader string
		pinging, cancel := context.WithTimeout(ctx, hello)
		got, err := v.c.read(pinging, "/v1/status/leader", nil, &leader)
		if late++; err == nil || pinging.Err() == nil {
			late = 0
		}
		cancel()
		switch {
		case err == nil:
			v.s.update(func(m *model) {
				old := m.connection.RTT
				m.timed(got)
				v.noLead = leader == ""
				if differs(old, m.connection.RTT) {
					m.touch(inConnection)
				}
				if !v.streaming && leader != m.cluster.LeaderAddr && (leader == "" || m.fresh[inCluster]) {
					c := m.cluster
					c.Peers = clonePeers(c.Peers)
					c.Leader, c.LeaderName, c.LeaderAddr = "", "", leader
					for _, p := range c.Peers {
						if p.Leader = p.Address == leader; p.Leader {
							c.Leader, c.LeaderName = p.ID, p.Name
						}
					}
					m.setCluster(c, leader == "")
				}
			})
		case KindOf(err) == Unreachable && v.alive(), late == 1:
			// It is slow. Who still tells what changes is not lost, and
			// one late answer of a busy machine is no loss either.
		default:
			v.failed(ctx, err)
		}
		if !sleep(ctx, pause) {
			return
		}
	}
}

// alive reports whether the stream said something not long ago. It beats at least
// every five seconds.
func (v *visit) alive() bool {
	return v.streaming && v.s.now().UnixNano()-v.heard.Load() < int64(streamPause+hello)
}

// differs reports whether a round trip is worth showing anew.
func differs(a, b time.Duration) bool { return a == 0 || b > 2*a || b < a/2 }

func clonePeers(all []*Peer) []*Peer {
	out := make([]*Peer, 0, len(all))
	for _, p := range all {
		c := *p
		out = append(out, &c)
	}
	return out
}

// members polls: gossip has no index.
func (v *visit) members(ctx context.Context) {
	var last []*Member
	for i := 0; ; i++ {
		var all []*jsonMember
		got, err := v.c.get(ctx, "/v1/agent/members", nil, &all)
		if err != nil {
			v.failed(ctx, err, inMembers)
		} else if now := membersOf(all); !slices.EqualFunc(last, now, sameMember) {
			last = now
			v.s.update(func(m *model) { m.setMembers(membersOf(all), false) })
		}
		if v.server && i%wanEvery == 0 && err == nil {
			v.wan(ctx)
		}
		if !sleep(ctx, max(memberPause, share*got.took)) {
			return
		}
	}
}

func (v *visit) wan(ctx context.Context) {
	var all []*jsonMember
	if _, err := v.c.get(ctx, "/v1/agent/members", url.Values{"wan": {"1"}}, &all); err == nil && len(all) > 0 {
		v.s.update(func(m *model) { m.setMembers(membersOf(all), true) })
	}
}

func membersOf(all []*jsonMember) []*Member {
	out := make([]*Member, 0, len(all))
	for _, j := range all {
		out = append(out, j.member())
	}
	return out
}

func sameMember(a, b *Member) bool {
	return a.Name == b.Name && a.State == b.State && a.Address == b.Address && a.Port == b.Port && maps.Equal(a.Tags, b.Tags)
}

// raft polls what has no index: the servers and how autopilot sees them.
func (v *visit) raft(ctx context.Context) {
	if v.streaming {
		// Rows come first: who starts the dashboard waits for them.
		select {
		case <-v.filled:
		case <-time.After(errorPause):
		case <-ctx.Done():
			return
		}
	}
	v.readOften(ctx, raftPause)
}

// raftSeldom does the same while nobody looks, so that it is known when a server
// falls ill.
func (v *visit) raftSeldom(ctx context.Context) {
	if sleep(ctx, errorPause) {
		v.readOften(ctx, seldomPause)
	}
}

func (v *visit) readOften(ctx context.Context, pause time.Duration) {
	for {
		took, err := v.readRaft(ctx)
		if err != nil {
			v.failed(ctx, err, inCluster)
		}
		if !sleep(ctx, max(pause, share*took)) {
			return
		}
	}
}

func (v *visit) readRaft(ctx context.Context) (time.Duration, error) {
	var peers struct{ Servers []jsonPeer }
	q := url.Values{}
	stale := v.leaderless()
	if stale {
		q.Set("stale", "")
	}
	got, err := v.c.get(ctx, "/v1/operator/raft/configuration", q, &peers)
	if err != nil && KindOf(err) == NoLeader {
		stale = true
		got, err = v.c.get(ctx, "/v1/operator/raft/configuration", url.Values{"stale": {""}}, &peers)
	}
	if err != nil {
		return got.took, err
	}
	var health *jsonHealth
	if !stale {
		health = v.autopilot(ctx)
	}
	var self jsonSelf
	if v.server && !v.streaming {
		if _, err := v.c.get(ctx, "/v1/agent/self", nil, &self); err != nil {
			return got.took, err
		}
	}
	v.s.update(func(m *model) {
		c := Cluster{}
		for _, j := range peers.Servers {
			c.Peers = append(c.Peers, &Peer{
				ID: j.ID, Name: j.Node, Address: j.Address, Voter: j.Voter, Leader: j.Leader, Match: j.LastIndex,
				Serf: m.serfState(j.Node), Version: m.buildOf(j.Node),
			})
			if j.Leader {
				c.Leader, c.LeaderName, c.LeaderAddr = j.ID, j.Node, j.Address
			}
		}
		c.judge(health)
		if v.streaming {
			// Who leads and how far the log is comes by the stream, sooner.
			old := m.cluster
			c.Term, c.Commit, c.Applied, c.LastLog, c.Snapshot = max(c.Term, old.Term), old.Commit, old.Applied, old.LastLog, old.Snapshot
			if m.fresh[inCluster] {
				c.lead(old.Leader, old.LeaderName, old.LeaderAddr)
			}
		} else {
			c.progress(self.Stats["raft"])
		}
		m.setCluster(c, stale)
	})
	return got.took, nil
}

// autopilot returns what the leader thinks of the servers, nil where it does
// not say. It answers with 429 while something is wrong, and still says.
func (v *visit) autopilot(ctx context.Context) *jsonHealth {
	var h jsonHealth
	_, err := v.c.get(ctx, "/v1/operator/autopilot/health", nil, &h)
	if p := asProblem(err, v.s.now()); err != nil && p.HTTP == http.StatusTooManyRequests {
		err = json.Unmarshal([]byte(p.Text), &h)
	}
	if err != nil {
		return nil
	}
	return &h
}

// lead makes a server the leader.
func (c *Cluster) lead(id, name, addr string) {
	c.Leader, c.LeaderName, c.LeaderAddr = id, name, addr
	for _, p := range c.Peers {
		p.Leader = p.ID == id
	}
}

// judge takes autopilot's word into the peers.
func (c *Cluster) judge(h *jsonHealth) {
	if h == nil {
		return
	}
	c.Healthy, c.Judged = h.Healthy, true
	for _, s := range h.Servers {
		i := slices.IndexFunc(c.Peers, func(p *Peer) bool { return p.ID == s.ID })
		if i < 0 {
			continue
		}
		p := c.Peers[i]
		p.Known, p.Healthy, p.LastContact = true, s.Healthy, time.Duration(s.LastContact)
		p.LastTerm, p.StableSince, p.Serf = s.LastTerm, s.StableSince, cmp.Or(s.SerfStatus, p.Serf)
		p.Match, p.Version = max(p.Match, s.LastIndex), cmp.Or(s.Version, p.Version)
		c.Term = max(c.Term, s.LastTerm)
	}
}

// progress takes how far the agent is, if it is a server.
func (c *Cluster) progress(raft map[string]string) {
	number := func(key string) uint64 {
		n, _ := strconv.ParseUint(raft[key], 10, 64) // absent is 0: not known
		return n
	}
	c.Term = max(c.Term, number("term"))
	c.Commit, c.Applied = number("commit_index"), number("applied_index")
	c.LastLog, c.Snapshot = number("last_log_index"), number("last_snapshot_index")
}

func (m *model) serfState(name string) string {
	if r := m.lan.get(name); r != nil {
		return r.State
	}
	return ""
}

func (m *model) buildOf(name string) string {
	if r := m.lan.get(name); r != nil {
		return r.Build
	}
	return ""
}

func (v *visit) leaderless() bool {
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	return v.noLead
}

// traffic makes a sample a second of what the log grew by.
func (v *visit) traffic(ctx context.Context) {
	var last uint64
	var elections int
	for first := true; ; first = false {
		if !sleep(ctx, trafficPause) {
			return
		}
		v.s.change(func(m *model) {
			m.trim(m.now())
			now, held := max(m.cluster.Commit, m.cluster.LastLog), m.cluster.Elections
			switch {
			case now == 0:
				m.unsupported(inTraffic)
			case first || last == 0 || now < last:
			default:
				m.sample(float64(now-last), -1, float64(held-elections))
			}
			last, elections = now, held
		}, v.s.wish().Sections&SectionTraffic != 0)
	}
}

// The waits of blocking reads, and the pause after an answer: at least
// blockPause, and four times as long as reading it took, so that a list that
// changes all the time takes a fifth of what there is at most.
const (
	blockTime  = time.Minute
	blockPause = 20 * time.Millisecond
	blockShare = 4
	staleWait  = 2 * time.Second
)

// notes returns what notes a problem of sections.
func notes(parts ...part) func(*model, *Problem) {
	return func(m *model, p *Problem) {
		for _, in := range parts {
			if p.nothing() {
				m.unsupported(in)
			} else {
				m.fail(in, p)
			}
		}
	}
}

// block reads path over and over, each time it changed, until ctx ends, with
// pauses of at least least. got and fail are called under the source's lock; got
// may keep what it is given. What is not there is a zero T.
func block[T any](ctx context.Context, v *visit, path string, query url.Values, least time.Duration, fail func(*model, *Problem), got func(m *model, body T, stale bool)) {
	var index uint64
	for {
		q := url.Values{}
		maps.Copy(q, query)
		stale := v.leaderless()
		if stale {
			q.Set("stale", "")
		}
		if index > 0 {
			q.Set("index", strconv.FormatUint(index, 10))
			wait := blockTime
			if stale {
				wait = staleWait
			}
			q.Set("wait", wait.String())
		}
		var body T
		m, err := v.blocking(ctx, path, q, &body, index > 0)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			index = 0
			v.failedAs(ctx, err, fail)
			if !sleep(ctx, errorPause) {
				return
			}
			continue
		}
		if m.index != index || stale || index == 0 {
			v.s.update(func(m *model) { got(m, body, stale) })
		}
		if m.index < index {
			m.index = 0 // went back: another cluster, or one restored
		}
		index = m.index
		pause := max(least, blockShare*m.cost)
		if index == 0 {
			pause = longPause // no index: nothing to wait for
		}
		if !sleep(ctx, pause) {
			return
		}
	}
}

// blocking makes one read that may wait.
func (v *visit) blocking(ctx context.Context, path string, q url.Values, into any, waits bool) (meta, error) {
	bound := requestTimeout
	if waits {
		bound += blockTime + blockTime/8
	}
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	m, err := v.c.read(ctx, path, q, into)
	if p := asProblem(err, v.s.now()); err != nil && p.Kind == Missing && p.index > 0 {
		return meta{index: p.index}, nil
	}
	return m, err
}

// log follows the agent's log.
func (v *visit) log(ctx context.Context, level string) {
	for {
		resp, err := v.c.request(ctx, http.MethodGet, "/v1/agent/monitor", url.Values{"loglevel": {level}}, nil)
		if err != nil {
			v.failed(ctx, err, inLog)
		} else {
			v.s.update(func(m *model) { m.ready(inLog, false) })
			lines := bufio.NewScanner(resp.Body)
			lines.Buffer(make([]byte, 0, 64<<10), 1<<20)
			for lines.Scan() {
				line := parseLine(lines.Text(), v.s.now())
				v.s.update(func(m *model) { m.logLine(line) })
			}
			resp.Body.Close()
		}
		if !sleep(ctx, errorPause) {
			return
		}
	}
}

// levels are the words in brackets of a log line.
var levels = []string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR"}

// parseLine takes a line of the log apart: time, level in brackets, text.
func parseLine(line string, now time.Time) LogLine {
	l := LogLine{At: now, Text: line}
	stamp, rest, ok := strings.Cut(line, " ")
	if !ok {
		return l
	}
	at, err := time.Parse("2006-01-02T15:04:05.000Z0700", stamp)
	if err != nil {
		if at, err = time.Parse(time.RFC3339Nano, stamp); err != nil {
			return l
		}
	}
	l.At = at
	rest = strings.TrimLeft(rest, " ")
	if after, ok := strings.CutPrefix(rest, "["); ok {
		if word, text, ok := strings.Cut(after, "]"); ok && slices.Contains(levels, word) {
			l.Level, rest = word, strings.TrimLeft(text, " ")
		}
	}
	l.Text = rest
	return l
}
