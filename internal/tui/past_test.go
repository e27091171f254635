package tui

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"pgregory.net/rapid"

	"github.com/ctl-sh/ctl/internal/tui/page"
	"github.com/ctl-sh/ctl/internal/tui/source"
	"github.com/ctl-sh/ctl/internal/tui/tuitest"
)

// TestScreensOfThePast are all pages taken back: to when the sections were watched,
// to after that, and to before it.
func TestScreensOfThePast(t *testing.T) {
	for _, p := range pages {
		for back, moment := range []string{"left", "past", "unseen"} {
			t.Run(p.name+"/"+moment, func(t *testing.T) {
				t.Parallel()
				var b strings.Builder
				for _, size := range sizes {
					m := newDriver(t, tuitest.Live(), p.path)
					m.feed.Earlier = tuitest.Past()
					m.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
					for range back + 1 {
						m.press("<")
					}
					fmt.Fprintf(&b, "=== %dx%d\n%s\n", size[0], size[1], strings.TrimRight(screen(t, m.Model, size[0], size[1]), "\n"))
				}
				golden(t, p.name+"/"+moment, b.String())
			})
		}
	}
}

func TestLookingBack(t *testing.T) {
	d := newDriver(t, tuitest.Live(), "services")
	d.feed.Earlier = tuitest.Past()
	d.shows("critical", "1 of 4")
	d.press(">")
	d.shows("This is now.")
	d.press("<")
	d.press("<")
	d.shows("as of 15:04:26, 5 min ago", "0 returns to now", "last raft: server-2 is the leader")
	if s := d.screen(); strings.Contains(s, "critical") {
		t.Errorf("what came later is shown:\n%s", s)
	}
	// What happens meanwhile is watched, and not shown.
	more := tuitest.Live()
	more.Version, more.Services.Version = 2, 2
	more.Services.Rows = append(more.Services.Rows, &source.Service{Name: "zebra", Counted: true})
	d.set(more)
	if s := d.screen(); strings.Contains(s, "zebra") || !strings.Contains(s, "as of 15:04:26") {
		t.Errorf("the past does not stand still:\n%s", s)
	}
	// Nothing can be done in it.
	d.press("3")
	d.press("enter")
	d.press("ctrl+d")
	d.shows("Nothing can be changed now: what is shown is of 15:04:26; 0 returns to now.")
	d.press("p")
	d.shows("The past stands still.")
	if a := d.feed.Acts(); len(a) > 0 || d.dialog != nil {
		t.Errorf("in the past was done: %v", a)
	}
	// Pages without a past show now, and say so.
	d.press("5")
	d.shows("this page shows now, others as of 15:04:26", "greeting")
	d.press("e")
	d.shows("Nothing can be changed now")
	d.press("3")
	d.press("<")
	d.press("<")
	d.shows("Nothing that was seen before is remembered.")
	for range 3 {
		d.press(">")
	}
	d.shows("zebra")
	if s := d.screen(); strings.Contains(s, "as of") {
		t.Errorf("forward does not end at now:\n%s", s)
	}
	d.press("b")
	d.write("yesterday")
	d.press("enter")
	d.shows("is no time")
	d.press("ctrl+u")
	d.write("15:04:30")
	d.press("enter")
	d.shows("as of 15:04:30, 4 min ago")
	d.press("esc")
	if s := d.screen(); strings.Contains(s, "as of") {
		t.Errorf("esc does not return:\n%s", s)
	}
	d.press(":")
	d.write("at 6m")
	d.press("enter")
	d.shows("as of 15:03:26")
	d.press("0")
	d.shows("zebra")
}

// TestTheTimeLineLeadsBack: the selected event is the moment.
func TestTheTimeLineLeadsBack(t *testing.T) {
	d := newDriver(t, tuitest.Live(), "events")
	d.feed.Earlier = tuitest.Past()
	d.press("g")
	d.write("jj")
	d.press("b")
	d.shows("as of 15:06:56", "this page shows now", "faint after 15:06:56", "web answers on client-2")
	d.press("2")
	d.shows("as of 15:06:56", "failed")
	d.press("6")
	d.press("0")
	d.press("<")
	d.shows("as of 15:06:26")
	p, ok := d.at.page.(page.Moment)
	if !ok {
		t.Fatal("the time line has no moments")
	}
	if at, ok := p.Moment(); !ok || !at.Equal(tuitest.Now().Add(-3*time.Minute)) {
		t.Errorf("selected is what happened at %v, want the last by then", at)
	}
}

// TestSelectionNeverMovesInThePast goes through the past at random, while the
// present changes: what is selected is what was chosen, or nothing.
func TestSelectionNeverMovesInThePast(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		version := uint64(1)
		state := func(ago time.Duration) *source.State {
			s := tuitest.Live()
			version++
			s.Version, s.Services.Version = version, version
			if ago > 0 {
				s.AsOf = tuitest.Now().Add(-ago)
			}
			s.Services.Rows = nil
			for i := range 12 {
				if rapid.Bool().Draw(rt, "there") {
					s.Services.Rows = append(s.Services.Rows, &source.Service{Name: fmt.Sprintf("s%02d", i), Counted: true, Critical: rapid.IntRange(0, 1).Draw(rt, "critical")})
				}
			}
			return s
		}
		d := newDriver(t, state(0), "services")
		for i := range 8 {
			d.feed.Earlier = append(d.feed.Earlier, state(time.Duration(8-i)*time.Minute))
		}
		type selecting interface {
			Selected() (*source.Service, bool)
			SelectedID() string
		}
		selected := func() (string, bool) {
			g, _, _ := d.at.page.Grid()
			r, ok := g.(selecting).Selected()
			if !ok {
				return g.(selecting).SelectedID(), false
			}
			return r.Name, true
		}
		chosen, _ := selected()
		rt.Repeat(map[string]func(*rapid.T){
			"step":   func(rt *rapid.T) { d.press(rapid.SampledFrom([]string{"<", ">", "0"}).Draw(rt, "key")) },
			"order":  func(rt *rapid.T) { d.press(rapid.SampledFrom([]string{"s", "S", "!"}).Draw(rt, "key")) },
			"change": func(*rapid.T) { d.set(state(0)) },
			"move": func(rt *rapid.T) {
				d.press(rapid.SampledFrom([]string{"j", "k", "g", "G"}).Draw(rt, "key"))
				if id, ok := selected(); ok {
					chosen = id
				}
			},
			"": func(rt *rapid.T) {
				id, ok := selected()
				if chosen == "" {
					chosen = id
				}
				if ok && id != chosen {
					rt.Fatalf("%s is selected, %s was chosen", id, chosen)
				}
				shown := d.env().State.Services.Rows
				there := false
				for _, r := range shown {
					there = there || r.Name == chosen
				}
				if ok && !there {
					rt.Fatalf("%s is selected and was not there", id)
				}
			},
		})
	})
}

func TestMoments(t *testing.T) {
	now := time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)
	for _, c := range []struct {
		text, want string
	}{
		{"5m", "2026-03-14 15:04:26"}, {" 90s ", "2026-03-14 15:07:56"}, {"15:04", "2026-03-14 15:04:00"}, {"15:04:30", "2026-03-14 15:04:30"},
		{"16:00", "2026-03-13 16:00:00"}, {"15:09:26", "2026-03-14 15:09:26"}, {"", ""}, {"25:00", ""}, {"-5m", ""}, {"soon", ""},
	} {
		at, err := moment(c.text, now)
		got := ""
		if err == nil {
			got = at.Format("2006-01-02 15:04:05")
		}
		if got != c.want {
			t.Errorf("%q is %q, %v, want %q", c.text, got, err, c.want)
		}
	}
}

func TestLookingBackLineByLine(t *testing.T) {
	feed := tuitest.NewFeed(tuitest.Live())
	feed.Earlier = tuitest.Past()
	var out bytes.Buffer
	c := config(t, feed, "services")
	in := "do older\ndo older\ndo delete 1\nat soon\nat 4m\ndo now\nquit\n"
	if err := Lines(t.Context(), c, Streams{In: strings.NewReader(in), Out: &out}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"As of 15:06:26, 3 min ago.", "As of 15:04:26, 5 min ago.", "Nothing can be changed: what is shown is of 15:04:26", `"soon" is no time`, "As of 15:05:26, 4 min ago."} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not said:\n%s", want, out.String())
		}
	}
}
