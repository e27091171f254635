package source

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ctl-sh/ctl/internal/backoff"
)

// Source watches one cluster. Build it with New, let it live in Run. It
// implements Feed.
type Source struct {
	cfg Config
	now func() time.Time

	changed chan struct{}
	wanted  chan struct{} // the interest changed
	again   chan struct{} // Retry was called

	mu       sync.Mutex
	at       time.Time // when the change that is being made began: all of it happens then
	model    *model
	state    *State // the last one built
	interest Interest
	acting   *client // whom actions go to, nil before the first connection

	signalled bool      // a signal was given, or is about to be, since Current
	last      time.Time // when it was given
	timer     *time.Timer
}

// New returns a Source that has not begun. It fails where there is no endpoint.
func New(cfg Config) (*Source, error) {
	if len(cfg.Endpoints) == 0 {
		return nil, errors.New("there is no address of an agent to watch")
	}
	if cfg.Pause == 0 {
		cfg.Pause = 16 * time.Millisecond
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Source{
		cfg: cfg, now: cfg.Now, at: cfg.Now(),
		changed: make(chan struct{}, 1), wanted: make(chan struct{}, 1), again: make(chan struct{}, 1),
	}
	s.model = newModel(func() time.Time { return s.at })
	s.timer = time.AfterFunc(time.Hour, s.signal)
	s.timer.Stop()
	c := &s.model.connection
	c.Since, c.Context = s.now(), cfg.Context
	c.ReadOnly, c.ReadOnlyReason = cfg.ReadOnly != "", cfg.ReadOnly
	s.useEndpoint(0)
	return s, nil
}

// useEndpoint makes the i-th endpoint the one shown.
func (s *Source) useEndpoint(i int) {
	c := &s.model.connection
	c.Address, c.Others = s.cfg.Endpoints[i].Name, nil
	for j, e := range s.cfg.Endpoints {
		if j != i {
			c.Others = append(c.Others, e.Name)
		}
	}
}

// Current implements Feed.
func (s *Source) Current() *State {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signalled = false
	if s.state == nil || s.state.Version != s.model.version {
		s.state = s.model.build(s.state)
	}
	return s.state
}

// Changed implements Feed.
func (s *Source) Changed() <-chan struct{} { return s.changed }

// update changes the model and tells who waits.
func (s *Source) update(change func(m *model)) { s.change(change, true) }

// change changes the model. Where tell is false it wakes nobody for it: what
// changed is not in sight, and is there when something else is drawn.
func (s *Source) change(change func(m *model), tell bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.model.version
	s.at = s.now()
	change(s.model)
	if s.model.version == before || s.signalled || !tell {
		return
	}
	s.signalled = true
	if wait := s.cfg.Pause - s.at.Sub(s.last); wait > 0 {
		s.timer.Reset(wait)
		return
	}
	s.give()
}

// signal is run by the timer.
func (s *Source) signal() {
	defer s.caught()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.give()
}

func (s *Source) give() {
	s.last = s.now()
	select {
	case s.changed <- struct{}{}:
	default: // the last one was not taken yet and stands for this one too
	}
}

// Interest implements Feed.
func (s *Source) Interest(in Interest) {
	in.Prefixes = slices.Clone(in.Prefixes)
	s.update(func(m *model) {
		s.interest = in
		m.wants(in)
	})
	poke(s.wanted)
}

// wants prepares the sections for what is looked at.
func (m *model) wants(in Interest) {
	m.want(inServices, in.Sections&SectionServices != 0)
	m.want(inNodes, in.Sections&SectionNodes != 0)
	m.want(inProblems, in.Sections&SectionProblems != 0)
	m.want(inSessions, in.Sections&SectionSessions != 0)
	m.want(inDatacenters, in.Sections&SectionDatacenters != 0)
	if in.Service != m.service {
		m.noteService()
		m.service = in.Service
		m.instances.forget()
		m.forget(inService)
	}
	m.want(inService, in.Service != "")
	if in.Node != m.node {
		m.noteNode()
		m.node, m.theNode = in.Node, nil
		m.onNode.forget()
		m.nodeChecks.forget()
		m.forget(inNode)
	}
	m.want(inNode, in.Node != "")
	m.wantLevels(in.Prefixes)
	m.want(inKV, len(in.Prefixes) > 0)
	if in.Key != m.key.Key {
		m.key = Key{Key: in.Key}
		m.forget(inKey)
	}
	m.want(inKey, in.Key != "")
	if in.LogLevel != m.logLevel {
		m.logLevel = in.LogLevel
		if in.LogLevel != "" {
			m.log = ring[LogLine]{max: maxLogLines}
			m.forget(inLog)
		}
	}
	m.want(inLog, in.LogLevel != "")
}

// wish returns what is looked at.
func (s *Source) wish() Interest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.interest
}

func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// Retry implements Feed.
func (s *Source) Retry() { poke(s.again) }

// Seen implements Feed.
func (s *Source) Seen() {
	s.update(func(m *model) {
		if m.connection.Away != nil {
			m.connection.Away = nil
			m.touch(inConnection)
		}
	})
}

// SetReadOnly implements Feed.
func (s *Source) SetReadOnly(reason string) {
	s.update(func(m *model) {
		m.connection.ReadOnly, m.connection.ReadOnlyReason = reason != "", reason
		m.touch(inConnection)
	})
}

// The pauses between tries to connect.
const (
	firstRetry = 250 * time.Millisecond
	lastRetry  = 10 * time.Second
)

// Run watches until ctx ends, whatever happens to the agents. It returns nil.
func (s *Source) Run(ctx context.Context) error {
	defer s.caught()
	defer s.timer.Stop()
	pauses := backoff.New(firstRetry, lastRetry)
	var steady time.Duration // the pause without chance: at least half of it is waited
	for i, attempt := 0, 1; ctx.Err() == nil; attempt++ {
		ep := s.cfg.Endpoints[i]
		s.update(func(m *model) {
			s.useEndpoint(i)
			m.connection.Attempt, m.connection.RetryAt = attempt, time.Time{}
			m.touch(inConnection)
		})
		began := s.now()
		problem := s.visit(ctx, s.client(ep))
		if ctx.Err() != nil {
			return nil
		}
		if s.now().Sub(began) > lastRetry {
			attempt = 0
			pauses.Reset()
			steady = 0
		}
		i = (i + 1) % len(s.cfg.Endpoints)
		if i != 0 && attempt < len(s.cfg.Endpoints) {
			s.lost(problem, time.Time{})
			continue // the context's other addresses first, at once
		}
		steady = min(max(2*steady, firstRetry), lastRetry)
		wait := min(steady/2+pauses.Next()/2, lastRetry)
		s.lost(problem, s.now().Add(wait))
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-s.again:
			t.Stop()
		case <-ctx.Done():
			t.Stop()
		}
	}
	return nil
}

// lost notes that the agent is out of reach.
func (s *Source) lost(problem *Problem, retry time.Time) {
	s.update(func(m *model) {
		c := &m.connection
		if c.Link == Connected {
			c.Link, c.Since = Lost, m.now()
			for p := range m.status {
				if m.fresh[p] && m.status[p].Phase == Ready {
					m.status[p].At = c.Since
				}
			}
			m.fresh = [numParts]bool{}
			m.away = &awayFrom{leader: m.cluster.LeaderAddr, commit: m.cluster.Commit, sum: Away{From: c.Since}}
			m.event(EventSource, Bad, c.Address, "is out of reach: "+problem.Text)
		}
		c.Problem, c.RetryAt, c.RTT = problem, retry, 0
		m.touch(inConnection)
	})
}

// hello bounds how long an agent may take to say who it is.
const hello = 5 * time.Second

// caught hands over a panic of the goroutine that defers it.
func (s *Source) caught() {
	if s.cfg.Fault == nil {
		return
	}
	if r := recover(); r != nil {
		s.cfg.Fault(r, debug.Stack())
	}
}

// visit connects to an agent and stays until it is lost. It returns why.
//
// Who the agent is and the stream of changes are asked for at the same time: who
// starts the dashboard waits for one answer, not for three in a row.
func (s *Source) visit(ctx context.Context, c *client) *Problem {
	visiting, lose := context.WithCancelCause(ctx)
	v := &visit{s: s, c: c, lose: lose, running: map[string]context.CancelFunc{}, filled: make(chan struct{})}
	defer v.wg.Wait()
	defer lose(nil)
	stream := v.knock(visiting)
	greeting, cancel := context.WithTimeout(ctx, hello)
	defer cancel()
	var self jsonSelf
	m, err := c.read(greeting, "/v1/agent/self", nil, &self)
	if err != nil {
		if KindOf(err) != Denied {
			return asProblem(err, s.now())
		}
		// A token that may not read the agent may still read the rest.
		self = jsonSelf{}
	}
	v.server = self.Config.Server
	s.arrived(c, &self, m)
	v.run(visiting, stream)
	if p := (*Problem)(nil); errors.As(context.Cause(visiting), &p) {
		return p
	}
	return &Problem{Kind: Unreachable, Text: "the connection ended", At: s.now()}
}

// asProblem returns the Problem in err, or one made of it; nil for no error.
func asProblem(err error, now time.Time) *Problem {
	if err == nil {
		return nil
	}
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	return &Problem{Kind: Other, Text: err.Error(), At: now}
}

// arrived notes that the agent answers.
func (s *Source) arrived(cl *client, self *jsonSelf, got meta) {
	s.update(func(m *model) {
		s.acting = cl
		c := &m.connection
		was := c.Link
		c.Link, c.Since, c.Attempt, c.Problem, c.RetryAt = Connected, m.now(), 0, nil, time.Time{}
		c.Agent = self.agent(cl.ep)
		m.timed(got)
		if was == Lost {
			m.event(EventSource, Good, c.Address, "answers again")
		}
		if m.away != nil {
			m.away.sum.To = m.now()
		}
		m.touch(inConnection)
	})
}

// timed takes what an answer says about the way to the agent.
func (m *model) timed(got meta) {
	c := &m.connection
	c.RTT = got.took
	if !got.date.IsZero() {
		// The header has whole seconds, cut off: half a second is the guess.
		skew := got.date.Add(500 * time.Millisecond).Sub(m.now().Add(-got.took / 2))
		if c.Skew = skew.Truncate(time.Second); skew > -time.Second && skew < time.Second {
			c.Skew = 0
		}
	}
}

func (j *jsonSelf) agent(ep Endpoint) Agent {
	a := Agent{
		Node: j.Config.NodeName, ID: j.Config.NodeID, Datacenter: j.Config.Datacenter,
		Server: j.Config.Server, Version: j.Config.Version, DNS: j.dns(ep),
	}
	if j.Config.CtlVersion != "" {
		a.Build = "ctl " + j.Config.CtlVersion
	}
	return a
}

// dns returns where the agent answers DNS, as far as its settings say.
func (j *jsonSelf) dns(ep Endpoint) string {
	var addrs []string
	for _, name := range []string{"DNSAddrs", "DNS"} {
		if text := strings.Trim(string(j.DebugConfig[name]), `[]`); text != "" && text != "null" {
			for part := range strings.SplitSeq(text, ",") {
				if t, err := strconv.Unquote(part); err == nil {
					addrs = append(addrs, t)
				}
			}
		}
	}
	for _, a := range addrs {
		a = strings.TrimPrefix(strings.TrimPrefix(a, "udp://"), "tcp://")
		host, port, err := net.SplitHostPort(a)
		if err != nil || port == "0" {
			continue
		}
		if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
			host = hostOf(ep.URL)
		}
		return net.JoinHostPort(host, port)
	}
	port, err := strconv.Atoi(string(j.DebugConfig["DNSPort"]))
	if err != nil || port <= 0 {
		return ""
	}
	return net.JoinHostPort(hostOf(ep.URL), strconv.Itoa(port))
}

// hostOf returns the host of a URL, an address of loopback for none.
func hostOf(url string) string {
	_, rest, _ := strings.Cut(url, "://")
	rest, _, _ = strings.Cut(rest, "/")
	host, _, err := net.SplitHostPort(rest)
	if err != nil {
		host = rest
	}
	if host == "" || host == "localhost" {
		return "127.0.0.1"
	}
	return host
}

// returned publishes what changed while the agent was lost, once the sections
// in sight have been read again. It reports false, and publishes nothing, while
// no leader is known, unless that is enough.
func (s *Source) returned(enough bool) (done bool) {
	done = true
	s.update(func(m *model) {
		if m.away == nil {
			return
		}
		led := m.fresh[inCluster] && m.cluster.LeaderAddr != "" && (m.cluster.Commit > 0 || m.away.commit == 0)
		if done = enough || led; !done {
			return
		}
		sum := m.away.sum
		slices.Sort(sum.ServicesCritical)
		slices.Sort(sum.ServicesRecovered)
		m.away = nil
		m.connection.Away = &sum
		m.touch(inConnection)
		if sum.News() {
			m.event(EventSource, Info, "while away", sum.text())
		}
	})
	return done
}

func (a *Away) text() string {
	var parts []string
	add := func(n int, one, many string) {
		switch {
		case n == 1:
			parts = append(parts, "1 "+one)
		case n > 1:
			parts = append(parts, fmt.Sprintf("%d %s", n, many))
		}
	}
	add(len(a.ServicesCritical), "service critical", "services critical")
	add(len(a.ServicesRecovered), "service recovered", "services recovered")
	add(a.ServicesNew, "new service", "new services")
	add(a.ServicesGone, "service gone", "services gone")
	add(a.MembersChanged, "member changed", "members changed")
	if a.Leader != "" {
		parts = append(parts, a.Leader+" leads")
	}
	add(int(min(a.Writes, 1<<31)), "write", "writes")
	return strings.Join(parts, ", ")
}
