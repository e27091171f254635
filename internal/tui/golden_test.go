package tui

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/ctl-sh/ctl/internal/tui/page"
	"github.com/ctl-sh/ctl/internal/tui/source"
	"github.com/ctl-sh/ctl/internal/tui/tuitest"
	"github.com/ctl-sh/ctl/internal/tui/ui"
)

var update = flag.Bool("update", false, "rewrite the golden screens")

// sizes are the screens every page must be good on.
var sizes = [][2]int{{40, 8}, {80, 24}, {120, 40}, {200, 60}}

// config returns a dashboard at a path, on a feed, at the states' moment.
func config(t *testing.T, feed source.Feed, path string) Config {
	t.Helper()
	p, err := page.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return Config{Session: Session{Feed: feed, Context: "prod"}, Start: p, Now: tuitest.Now, Editor: "true", Drafts: t.TempDir(),
		Contexts: []page.Context{{Name: "prod", Addresses: []string{"127.0.0.1:8500"}, Protected: true, Current: true, From: "config.json"},
			{Name: "test", Addresses: []string{"10.1.0.1:8500", "10.1.0.2:8500"}, ReadOnly: true, From: "config.json"}}}
}

// screen draws the screen and fails where a line is wider than it or there are
// not as many as it has.
func screen(t *testing.T, m *Model, width, height int) string {
	t.Helper()
	m.Update(tea.WindowSizeMsg{Width: width, Height: height})
	lines := strings.Split(m.View().Content, "\n")
	if len(lines) != height {
		t.Errorf("%dx%d: %d lines", width, height, len(lines))
	}
	for i, l := range lines {
		if w := ui.Width(l); w > width {
			t.Errorf("%dx%d: line %d takes %d cells: %q", width, height, i, w, l)
		}
	}
	return strings.Join(Plain(lines), "\n")
}

// golden compares with a file, or writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", "screens", name+".txt")
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; make it with -update and look at it", err)
	}
	if got != string(want) {
		t.Errorf("%s is not what it was; look at the difference and, if it is right, run with -update:\n%s", file, difference(string(want), got))
	}
}

// difference names the first lines that differ.
func difference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	var b strings.Builder
	for i, shown := 0, 0; i < max(len(w), len(g)) && shown < 8; i++ {
		var x, y string
		if i < len(w) {
			x = w[i]
		}
		if i < len(g) {
			y = g[i]
		}
		if x != y {
			fmt.Fprintf(&b, "line %d\n- %s\n+ %s\n", i+1, x, y)
			shown++
		}
	}
	return b.String()
}

var pages = []struct{ name, path string }{
	{"overview", "overview"}, {"members", "members"}, {"services", "services"}, {"service", "services/web"},
	{"instance", "services/web/client-2/web-3"}, {"nodes", "nodes"}, {"node", "nodes/client-2"}, {"keys", "kv/greeting"},
	{"events", "events"}, {"raft", "raft"}, {"contexts", "contexts"},
}

var states = []struct {
	name   string
	state  func() *source.State
	filter string
}{
	{"live", tuitest.Live, ""},
	{"loading", tuitest.Loading, ""},
	{"empty", tuitest.Empty, ""},
	{"filtered", tuitest.Live, "nothing-is-called-so"},
	{"denied", tuitest.Denied, ""},
	{"disconnected", tuitest.Lost, ""},
	{"leaderless", tuitest.Leaderless, ""},
	{"read-only", tuitest.ReadOnly, ""},
	{"back", tuitest.Back, ""},
}

func TestScreens(t *testing.T) {
	for _, p := range pages {
		for _, s := range states {
			t.Run(p.name+"/"+s.name, func(t *testing.T) {
				t.Parallel()
				var b strings.Builder
				for _, size := range sizes {
					feed := tuitest.NewFeed(s.state())
					m := New(config(t, feed, p.path))
					if s.filter != "" {
						g, _, _ := m.at.page.Grid()
						g.SetFilter(s.filter)
					}
					fmt.Fprintf(&b, "=== %dx%d\n%s\n", size[0], size[1], strings.TrimRight(screen(t, m, size[0], size[1]), "\n"))
				}
				golden(t, p.name+"/"+s.name, b.String())
			})
		}
	}
}

// TestScreensOfThings are pages that are opened from others, and what lies over
// them.
func TestScreensOfThings(t *testing.T) {
	for _, c := range []struct {
		name, path string
		keys       []string
	}{
		{"check", "services/web/client-2/web-3", []string{"enter"}},
		{"key", "kv/greeting", []string{"enter"}},
		{"key-as-json", "kv/greeting", []string{"J"}},
		{"yaml", "services", []string{"y"}},
		{"help", "services", []string{"?"}},
		{"filter-typed", "services", []string{"/", "w", "e"}},
		{"command-typed", "services", []string{":", "n", "o"}},
		{"deregister", "services/web", []string{"ctrl+d"}},
		{"deregister-marked", "services/web", []string{"space", "space", "ctrl+d"}},
		{"remove-server", "raft", []string{"ctrl+d"}},
		{"maintenance", "services/web", []string{"M"}},
		{"delete-keys", "kv", []string{"ctrl+d"}},
		{"rename-keys", "kv/app/", []string{"r", "ctrl+u", "o", "l", "d", "/", "enter"}},
		{"copy-key", "kv/greeting", []string{"t"}},
		{"dns", "dns/web.service.consul", nil},
		{"wide", "members", []string{"w", "s", "S"}},
		{"held", "services", []string{"p"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var b strings.Builder
			for _, size := range sizes {
				m := newDriver(t, tuitest.Live(), c.path)
				m.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
				for _, k := range c.keys {
					m.press(k)
				}
				fmt.Fprintf(&b, "=== %dx%d\n%s\n", size[0], size[1], strings.TrimRight(screen(t, m.Model, size[0], size[1]), "\n"))
			}
			golden(t, "things/"+c.name, b.String())
		})
	}
}

func TestOnce(t *testing.T) {
	for _, path := range []string{"overview", "services", "services/web", "raft", "events", "dns/web.service.consul"} {
		for _, form := range []Form{AsScreen, AsJSON} {
			name := fmt.Sprintf("%s-%d", strings.ReplaceAll(path, "/", "-"), form)
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				ctx, stop := context.WithTimeout(t.Context(), time.Minute)
				defer stop()
				c := config(t, tuitest.NewFeed(tuitest.Live()), path)
				c.Looks.Plain = true
				var out bytes.Buffer
				if err := Once(ctx, c, &out, form, 100); err != nil {
					t.Fatal(err)
				}
				if bytes.ContainsRune(out.Bytes(), 0x1b) {
					t.Error("there are escape codes in it")
				}
				golden(t, "once/"+name, out.String())
			})
		}
	}
}
