package tui

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/ctl-sh/ctl/internal/tui/page"
	"github.com/ctl-sh/ctl/internal/tui/source"
	"github.com/ctl-sh/ctl/internal/tui/tuitest"
)

// seen is what the contexts of the tests are like.
func seen(name string) *source.Survey {
	s := &source.Survey{At: tuitest.Now(), Took: 3 * time.Millisecond, Address: "10.0.0.1:8500", Agent: source.Agent{Version: "1.21.4", Build: "ctl 0.5.0"}, Leader: "server-2", Alive: 5, Members: 5}
	switch name {
	case "prod":
		s.Alive, s.Failing = 4, 2
		bad := tuitest.Check("client-2", "service:web-3", "web answers", source.Critical, "503 Service Unavailable")
		bad.ServiceID, bad.ServiceName = "web-3", "web"
		s.Checks = []*source.Check{bad, tuitest.Check("client-1", "disk", "disk has room", source.Warning, "91 % used")}
	case "gone":
		return &source.Survey{At: tuitest.Now(), Problem: &source.Problem{Kind: source.Unreachable, Text: "the agent at 10.9.0.1:8500 does not answer: connection refused"}}
	case "shut":
		s.Leader, s.MembersProblem, s.ChecksProblem = "", &source.Problem{Kind: source.Denied}, &source.Problem{Kind: source.Denied}
	case "test":
		s.Failing = 1
		s.Checks = []*source.Check{tuitest.Check("t1", "serfHealth", "Serf Health Status", source.Critical, "Agent not live or unreachable")}
	}
	return s
}

func surveying(t *testing.T, path string, survey func(context.Context, string) *source.Survey) Config {
	t.Helper()
	c := config(t, tuitest.NewFeed(tuitest.Live()), path)
	c.Contexts = append(c.Contexts, page.Context{Name: "gone", Addresses: []string{"10.9.0.1:8500"}, From: "config.json"}, page.Context{Name: "shut", Addresses: []string{"10.8.0.1:8500"}, From: "config.json"})
	c.Survey = survey
	return c
}

func TestScreensOfContexts(t *testing.T) {
	for _, c := range []struct {
		name, path string
		look       bool
	}{
		{"contexts-asking", "contexts", false}, {"contexts-seen", "contexts", true}, {"failing-asking", "contexts/failing", false}, {"failing-seen", "contexts/failing", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var b strings.Builder
			for _, size := range sizes {
				m := New(surveying(t, c.path, func(_ context.Context, name string) *source.Survey { return seen(name) }))
				if c.look {
					m.surveyOnce(t.Context())
				}
				fmt.Fprintf(&b, "=== %dx%d\n%s\n", size[0], size[1], strings.TrimRight(screen(t, m, size[0], size[1]), "\n"))
			}
			golden(t, "things/"+c.name, b.String())
		})
	}
}

// TestContextsAreLookedAtWhileTheyAreInSight: again and again while the page is on
// the screen, no longer, each within its time, and none is left behind.
func TestContextsAreLookedAtWhileTheyAreInSight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looks, running atomic.Int64
		m := New(surveying(t, "overview", func(ctx context.Context, name string) *source.Survey {
			looks.Add(1)
			running.Add(1)
			defer running.Add(-1)
			if name == "gone" { // it never answers
				<-ctx.Done()
				return &source.Survey{Problem: &source.Problem{Kind: source.Unreachable, Text: "no answer"}}
			}
			return seen(name)
		}))
		m.width, m.height = 120, 40
		// The loop, with its commands outside it.
		messages := make(chan tea.Msg, 64)
		var run func(cmd tea.Cmd)
		run = func(cmd tea.Cmd) {
			if cmd == nil {
				return
			}
			go func() {
				switch msg := cmd().(type) {
				case nil:
				case tea.BatchMsg:
					for _, c := range msg {
						run(c)
					}
				default:
					messages <- msg
				}
			}()
		}
		loop := func(d time.Duration) {
			end := time.After(d)
			for {
				select {
				case msg := <-messages:
					if _, ok := msg.(surveyedMsg); ok {
						_, cmd := m.Update(msg)
						run(cmd)
					}
				case <-end:
					return
				}
			}
		}
		press := func(key string) {
			_, cmd := m.Update(tea.KeyPressMsg(tea.Key{Code: []rune(key)[0], Text: key}))
			run(cmd)
		}
		loop(time.Minute)
		if n := looks.Load(); n != 0 {
			t.Fatalf("%d looks before anybody asked", n)
		}
		press("9")
		loop(2 * time.Second)
		if n := looks.Load(); n != 4 {
			t.Errorf("%d looks at first, want one at each of 4", n)
		}
		loop(2 * time.Second)
		text := strings.Join(Plain(strings.Split(m.View().Content, "\n")), "\n")
		for _, want := range []string{"answers in 3", "does not answer", "4/5", "denied"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not on the screen:\n%s", want, text)
			}
		}
		loop(30 * time.Second)
		if n := looks.Load(); n < 12 || n > 17 {
			t.Errorf("%d looks in 34 s", n)
		}
		press("3")
		loop(time.Second)
		before := looks.Load()
		loop(5 * time.Minute)
		if n := looks.Load(); n != before || running.Load() != 0 {
			t.Errorf("%d looks after the page was left, %d run", n-before, running.Load())
		}
		press("9")
		loop(time.Second)
		if n := looks.Load() - before; n != 4 {
			t.Errorf("%d looks at the return, want 4", n)
		}
		m.commands.end()
		m.end()
		if n := running.Load(); n != 0 {
			t.Errorf("%d looks go on after the end", n)
		}
	})
}

// TestFromAFailingCheckToItsContext goes to where the check is.
func TestFromAFailingCheckToItsContext(t *testing.T) {
	d := newDriver(t, tuitest.Live(), "contexts")
	d.c.Survey = func(_ context.Context, name string) *source.Survey { return seen(name) }
	var to page.Switch
	d.c.Connect = func(s page.Switch) (Session, error) {
		to = s
		return Session{Feed: tuitest.NewFeed(tuitest.Live()), Context: s.Context}, nil
	}
	d.Model.surveyOnce(t.Context())
	d.press("d")
	d.shows("Failing checks of all", "web answers", "Serf Health Status", "disk has room")
	d.press("j")
	d.press("enter")
	if want := (page.Switch{Context: "test", Path: "nodes/t1"}); to != want {
		t.Errorf("switched to %+v, want %+v", to, want)
	}
	if got := d.at.page.Path(); got != "nodes/t1" {
		t.Errorf("the page is %s", got)
	}
}

func TestContextsOnce(t *testing.T) {
	for _, form := range []Form{AsScreen, AsJSON} {
		c := surveying(t, "contexts", func(_ context.Context, name string) *source.Survey { return seen(name) })
		c.Looks.Plain = true
		var out bytes.Buffer
		if err := Once(t.Context(), c, &out, form, 120); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"server-2", "1.21.4"}[form:] {
			if form == AsScreen {
				want = "4/5"
			}
			if !strings.Contains(out.String(), want) {
				t.Errorf("%q is not in\n%s", want, out.String())
			}
		}
	}
}
