package source_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/ctl-sh/ctl/internal/tui/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// agent answers requests without a network, so that time can be fake.
type agent struct {
	mu    sync.Mutex
	down  bool
	tries []time.Time // of /v1/agent/self
	// answers are bodies by path; others are 404.
	answers map[string]string
	// deny makes everything else 403.
	deny bool
	// late is how many requests of /v1/status/leader get no answer.
	late atomic.Int64
}

func (a *agent) set(change func(a *agent)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(a)
}

func (a *agent) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path == "/v1/status/leader" && a.late.Add(-1) >= 0 {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.URL.Path == "/v1/agent/self" {
		a.tries = append(a.tries, time.Now())
	}
	if a.down {
		return nil, errors.New("connection refused")
	}
	reply := func(code int, body string) (*http.Response, error) {
		return &http.Response{StatusCode: code, Status: http.StatusText(code), Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
	switch body, ok := a.answers[r.URL.Path]; {
	case ok:
		return reply(200, body)
	case r.URL.Path == "/v1/agent/self":
		return reply(200, `{"Config":{"NodeName":"n1","Server":true}}`)
	case r.URL.Path == "/v1/status/leader":
		return reply(200, `"10.0.0.1:8300"`)
	case a.deny:
		return reply(403, `Permission denied: token with AccessorID 'x' lacks permission 'key:read' on "app/"`)
	default:
		return reply(404, "Invalid URL path: not a recognized HTTP API endpoint\n")
	}
}

// run runs a source in the bubble until the returned stop.
func run(t *testing.T, agents ...*agent) (s *source.Source, stop func()) {
	t.Helper()
	s = of(t, agents...)
	return s, start(s)
}

// of returns a source of agents that does not run yet.
func of(t *testing.T, agents ...*agent) *source.Source {
	t.Helper()
	cfg := source.Config{TokenSource: "flag"}
	for i, a := range agents {
		name := string(rune('a' + i))
		cfg.Endpoints = append(cfg.Endpoints, source.Endpoint{Name: name, URL: "http://" + name, HTTP: &http.Client{Transport: a}})
	}
	s, err := source.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// start runs s until the returned stop.
func start(s *source.Source) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Run(ctx) })
	return func() { cancel(); wg.Wait() }
}

func TestRetriesForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &agent{}
		s, stop := run(t, a)
		defer stop()
		time.Sleep(time.Second)
		if c := s.Current().Connection; c.Link != source.Connected || c.Agent.Node != "n1" || c.Transport != source.LongPoll {
			t.Fatalf("connection %+v", c)
		}
		lost := time.Now()
		a.set(func(a *agent) { a.down, a.tries = true, nil })
		time.Sleep(10 * time.Minute)
		st := s.Current()
		if c := st.Connection; c.Link != source.Lost || c.Since.Sub(lost) > 2*time.Second || c.Problem == nil || c.Problem.Kind != source.Unreachable || c.Agent.Node != "n1" {
			t.Errorf("connection %+v", c)
		}
		var longest time.Duration
		a.set(func(a *agent) {
			for i := range a.tries[1:] {
				longest = max(longest, a.tries[i+1].Sub(a.tries[i]))
			}
			if n := len(a.tries); n < 60 || n > 200 || a.tries[0].Sub(lost) > 3*time.Second {
				t.Errorf("%d tries in ten minutes, the first after %s", n, a.tries[0].Sub(lost))
			}
		})
		if longest > 10*time.Second || longest < 4*time.Second {
			t.Errorf("the longest pause is %s", longest)
		}
		a.set(func(a *agent) { a.down = false })
		s.Retry()
		synctest.Wait()
		if c := s.Current().Connection; c.Link != source.Connected || c.Attempt != 0 || c.Problem != nil {
			t.Errorf("after Retry %+v", c)
		}
	})
}

// TestSummaryWaitsForALeader has an agent return that must find a leader first:
// what was written meanwhile is part of the summary all the same.
func TestSummaryWaitsForALeader(t *testing.T) {
	raft := func(leader string, commit int) map[string]string {
		return map[string]string{
			"/v1/status/leader": strconv.Quote(leader),
			"/v1/operator/raft/configuration": fmt.Sprintf(
				`{"Servers":[{"ID":"id-1","Node":"n1","Address":"10.0.0.1:8300","Leader":%t,"Voter":true}]}`, leader != ""),
			"/v1/agent/self": fmt.Sprintf(`{"Config":{"NodeName":"n1","Server":true},"Stats":{"raft":{"commit_index":"%d"}}}`, commit),
		}
	}
	synctest.Test(t, func(t *testing.T) {
		a := &agent{answers: raft("10.0.0.1:8300", 10)}
		s, stop := run(t, a)
		defer stop()
		time.Sleep(5 * time.Second)
		a.set(func(a *agent) { a.down = true })
		time.Sleep(time.Minute)
		a.set(func(a *agent) { a.down, a.answers = false, raft("", 0) })
		s.Retry()
		time.Sleep(6 * time.Second)
		if c := s.Current().Connection; c.Link != source.Connected || c.Away != nil {
			t.Errorf("without a leader: %+v, %+v", c, c.Away)
		}
		a.set(func(a *agent) { a.answers = raft("10.0.0.1:8300", 14) })
		time.Sleep(10 * time.Second)
		if away := s.Current().Connection.Away; away == nil || away.Writes != 4 {
			t.Errorf("with one: %+v", away)
		}
		a.set(func(a *agent) { a.down = true })
		time.Sleep(time.Minute)
		a.set(func(a *agent) { a.down, a.answers = false, raft("", 0) })
		s.Seen()
		s.Retry()
		time.Sleep(30 * time.Second)
		if away := s.Current().Connection.Away; away == nil || away.Writes != 0 {
			t.Errorf("when none comes: %+v", away)
		}
	})
}

func TestTheOtherAddressIsTriedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := &agent{down: true}, &agent{}
		s, stop := run(t, a, b)
		defer stop()
		synctest.Wait()
		if c := s.Current().Connection; c.Link != source.Connected || c.Address != "b" || len(c.Others) != 1 || c.Others[0] != "a" {
			t.Errorf("connection %+v", c)
		}
		a.set(func(a *agent) { a.down = false })
		b.set(func(a *agent) { a.down = true })
		time.Sleep(4 * time.Second)
		if c := s.Current().Connection; c.Link != source.Connected || c.Address != "a" {
			t.Errorf("after the second was lost: %+v", c)
		}
	})
}

// TestSignals says that signals are coalesced and never wait for who draws.
func TestSignals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &agent{answers: map[string]string{}}
		s, stop := run(t, a)
		defer stop()
		time.Sleep(time.Second + 500*time.Millisecond) // between the polls of whole seconds
		s.Current()
		for len(s.Changed()) > 0 {
			<-s.Changed()
		}
		time.Sleep(100 * time.Millisecond)
		// The first change is told at once.
		s.SetReadOnly("1")
		if len(s.Changed()) != 1 {
			t.Fatal("the first change was not told at once")
		}
		<-s.Changed()
		s.SetReadOnly("2")
		time.Sleep(time.Second)
		if len(s.Changed()) != 0 {
			t.Error("a signal came before the last one was answered by Current")
		}
		if c := s.Current().Connection; c.ReadOnlyReason != "2" {
			t.Errorf("state says %q", c.ReadOnlyReason)
		}
		began, signals := time.Now(), 0
		for i := 0; time.Since(began) < time.Second; i++ {
			s.SetReadOnly(strings.Repeat("x", 1+i%2))
			time.Sleep(time.Millisecond)
			select {
			case <-s.Changed():
				signals++
				s.Current()
			default:
			}
		}
		if signals < 50 || signals > 64 {
			t.Errorf("%d signals in a second of changes, want one each 16 ms", signals)
		}
		before := s.Current()
		if again := s.Current(); again != before {
			t.Error("nothing changed, and Current made a new state")
		}
	})
}

func TestSectionsFailAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &agent{deny: true, answers: map[string]string{"/v1/agent/members": `[{"Name":"n1","Status":1,"Tags":{"role":"consul"}}]`}}
		s := of(t, a)
		s.Interest(source.Interest{Sections: source.SectionSessions, Key: "app/x", Prefixes: []string{"app/"}})
		if st := s.Current(); st.Key.Phase != source.Loading || st.KV.Levels["app/"].Phase != source.Loading || st.Services.Phase != source.Idle {
			t.Errorf("before any answer: key %v, level %v, services %v", st.Key.Phase, st.KV.Levels["app/"].Phase, st.Services.Phase)
		}
		defer start(s)()
		time.Sleep(3 * time.Second)
		st := s.Current()
		if p := st.Key.Problem; st.Key.Phase != source.Failed || p == nil || p.Kind != source.Denied || p.Rule != `key:read on "app/"` || p.Token != "flag" {
			t.Errorf("key %+v, problem %+v", st.Key.Status, p)
		}
		if l := st.KV.Levels["app/"]; l.Phase != source.Failed || l.Problem.Kind != source.Denied {
			t.Errorf("level %+v", l)
		}
		if st.Members.Phase != source.Ready || st.Members.Alive != 1 || st.Connection.Link != source.Connected {
			t.Errorf("members %+v, connection %+v", st.Members, st.Connection)
		}
		a.set(func(a *agent) { a.deny = false })
		time.Sleep(3 * time.Second)
		if st := s.Current(); st.Sessions.Phase != source.Unsupported {
			t.Errorf("sessions of an agent without them: %v", st.Sessions.Phase)
		}
		s.Interest(source.Interest{}) // while its reads are under way
		if st := s.Current(); st.Key.Phase != source.Idle || len(st.KV.Levels) != 0 {
			t.Errorf("nobody looks: key %v, %d levels", st.Key.Phase, len(st.KV.Levels))
		}
		time.Sleep(3 * time.Second)
		if st := s.Current(); st.Key.Phase != source.Idle || len(st.KV.Levels) != 0 {
			t.Errorf("later, nobody looks: key %v, %d levels", st.Key.Phase, len(st.KV.Levels))
		}
	})
}

// TestABlinkIsNoNews: that the log grew by a few entries during a moment, as it
// does all the time, is not worth a line on the screen; anything else is, and so
// is any growth during a longer absence.
func TestABlinkIsNoNews(t *testing.T) {
	began := time.Now()
	for name, c := range map[string]struct {
		away *source.Away
		want bool
	}{
		"never away":          {nil, false},
		"nothing changed":     {&source.Away{From: began, To: began.Add(time.Hour)}, false},
		"writes in a moment":  {&source.Away{From: began, To: began.Add(300 * time.Millisecond), Writes: 4}, false},
		"writes in a minute":  {&source.Away{From: began, To: began.Add(time.Minute), Writes: 4}, true},
		"leader in a moment":  {&source.Away{From: began, To: began.Add(time.Millisecond), Leader: "n2"}, true},
		"service in a moment": {&source.Away{From: began, To: began.Add(time.Millisecond), ServicesCritical: []string{"web"}, Writes: 1}, true},
	} {
		if got := c.away.News(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestOneLateAnswerIsNoLoss lets one answer of a busy agent take longer than is
// waited for. It still answers everything else.
func TestOneLateAnswerIsNoLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &agent{}
		s, stop := run(t, a)
		defer stop()
		time.Sleep(500 * time.Millisecond)
		a.late.Store(1)
		time.Sleep(20 * time.Second)
		st := s.Current()
		if st.Connection.Link != source.Connected || len(st.Recent.Events) > 0 {
			t.Errorf("after one late answer: link %v, events %+v", st.Connection.Link, st.Recent.Events)
		}
		a.late.Store(1000)
		time.Sleep(20 * time.Second)
		if st := s.Current(); len(st.Recent.Events) == 0 {
			t.Error("an agent that does not answer was never lost")
		}
		a.late.Store(0)
	})
}
