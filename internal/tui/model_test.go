package tui

import (
	"bytes"
	"context"
	"errors"
	"image/color"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"github.com/ctl-sh/ctl/internal/tui/page"
	"github.com/ctl-sh/ctl/internal/tui/source"
	"github.com/ctl-sh/ctl/internal/tui/tuitest"
	"github.com/ctl-sh/ctl/internal/tui/ui"
)

func TestFindAFailingCheck(t *testing.T) {
	d := newDriver(t, tuitest.Live(), "overview")
	d.shows("web answers", "503 Service Unavail")
	d.press("enter")
	d.shows("Overview › web answers", "database is gone", "passing")
	d.press("c")
	if !strings.Contains(d.copy, "database is gone") {
		t.Errorf("copied %q", d.copy)
	}
	d.press("esc")
	d.shows("Failing checks")
}

func TestDrillDownAndHistory(t *testing.T) {
	d := newDriver(t, tuitest.Live(), "overview")
	d.press("3")
	d.press("end")
	d.press("enter")
	d.shows("Services › web", "client-2")
	if got := d.feed.Wanted().Service; got != "web" {
		t.Errorf("watched is %q", got)
	}
	d.press("end")
	d.press("enter")
	d.shows("Services › web › web-3 on client-2")
	d.press("[")
	d.shows("Services › web ")
	d.press("]")
	d.shows("web-3 on client-2")
	d.press("4")
	d.shows("Nodes")
	d.press("-")
	d.shows("web-3 on client-2")
	d.press("esc")
	d.press("esc")
	d.shows("consul", "api")
	d.press("3")
	if r := d.screen(); !strings.Contains(r, "▸ web") {
		t.Errorf("the screen of services forgot what was selected:\n%s", r)
	}
}

func TestFilterWhileTyped(t *testing.T) {
	d := newDriver(t, tuitest.Live(), "services")
	d.press("/")
	d.write("web")
	d.shows("web", "(4)")
	if strings.Contains(d.screen(), "consul") {
		t.Error("what does not match is shown")
	}
	d.press("enter")
	d.shows("▸ web")
	d.press("esc")
	d.shows("consul", "▸ web")
	d.press("/")
	d.write("x")
	d.press("esc")
	d.shows("consul")
}

func TestNothingIsDoneToANeighbour(t *testing.T) {
	d := newDriver(t, tuitest.Live(), "services/web")
	d.press("end")
	s := tuitest.Live()
	s.Service.Version = 2
	s.Service.Rows = s.Service.Rows[:2]
	d.set(s)
	d.shows("client-2/web-3 is gone")
	d.press("ctrl+d")
	d.shows("client-2/web-3 is gone; nothing was done")
	if acts := d.feed.Acts(); len(acts) != 0 {
		t.Errorf("done: %v", acts)
	}
	d.press("up")
	d.press("ctrl+d")
	d.shows("Deregister?", "web-2 of web on server-1")
}

func TestDeregisterAsksFirst(t *testing.T) {
	d := newDriver(t, tuitest.Live(), "services/web")
	d.press("ctrl+d")
	d.shows("Deregister?", "web-1 of web on client-1 (passing)", "prod / dc1 at 127.0.0.1:8500", "2 left", "ctl services deregister")
	d.press("enter")
	if len(d.feed.Acts()) != 0 {
		t.Fatal("enter alone deregistered")
	}
	d.shows("Nothing was done")
	d.press("space")
	d.press("space")
	d.press("ctrl+d")
	d.press("y")
	acts := d.feed.Acts()
	if len(acts) != 2 || acts[0] != (source.DeregisterService{Node: "client-1", ID: "web-1", Local: true}) || acts[1] != (source.DeregisterService{Node: "server-1", ID: "web-2"}) {
		t.Errorf("done: %v", acts)
	}
	d.shows("done: deregister service web-2", "C copies: ctl services deregister")
	d.press("C")
	if d.copy != acts[1].Command() {
		t.Errorf("copied %q", d.copy)
	}
}

func TestProtectedContextWantsItsNameTyped(t *testing.T) {
	feed := tuitest.NewFeed(tuitest.Live())
	c := config(t, feed, "services/web")
	c.Session.Require = "prod"
	d := &driver{Model: New(c), t: t, feed: feed}
	d.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
	d.shows("PROTECTED")
	d.press("ctrl+d")
	d.press("y")
	d.press("enter")
	if len(feed.Acts()) != 0 {
		t.Fatal("a y was enough")
	}
	d.press("ctrl+d")
	d.write("prod")
	d.press("enter")
	if len(feed.Acts()) != 1 {
		t.Error("the name was not enough")
	}
}

func TestNothingChangesWhere(t *testing.T) {
	held := func(d *driver) { d.press("p") }
	for _, c := range []struct {
		name  string
		state *source.State
		do    func(*driver)
		why   string
	}{
		{"the context is read-only", tuitest.ReadOnly(), nil, "the context prod is read-only"},
		{"there is no leader", tuitest.Leaderless(), nil, "there is no leader"},
		{"the agent is lost", tuitest.Lost(), nil, "the agent cannot be reached"},
		{"the screen is held", tuitest.Live(), held, "held still"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDriver(t, c.state, "services/web")
			if c.do != nil {
				c.do(d)
			}
			for _, key := range []string{"ctrl+d", "M"} {
				d.press(key)
				d.shows(c.why)
				if d.dialog != nil {
					t.Errorf("%s asks a question", key)
				}
			}
			d.press("?")
			if strings.Contains(d.screen(), "ctrl+d") {
				t.Errorf("the help offers what cannot be done:\n%s", d.screen())
			}
			if len(d.feed.Acts()) != 0 {
				t.Error("something was done")
			}
		})
	}
}

func TestFailedActSaysWhy(t *testing.T) {
	d := newDriver(t, tuitest.Live(), "services/web")
	d.feed.OnDo = func(source.Action) (source.Outcome, error) {
		return source.Outcome{}, &source.Problem{Kind: source.Denied, Text: "Permission denied", Hint: "service:write is missing"}
	}
	d.press("ctrl+d")
	d.press("y")
	d.shows("Could not deregister service web-1 on client-1: Permission denied: service:write is missing")
}

// TestEditWithAConflict edits a key that somebody else changes meanwhile: the
// three texts are shown, nothing is written, and the draft stays until the text
// is where it belongs.
func TestEditWithAConflict(t *testing.T) {
	d := newDriver(t, tuitest.Live(), "kv/greeting")
	saw := 0
	d.feed.OnDo = func(a source.Action) (source.Outcome, error) {
		p, ok := a.(source.PutKey)
		if !ok {
			return source.Outcome{}, errors.New("not a write")
		}
		if saw++; p.Index != 95 {
			theirs := source.Key{Key: "greeting", Found: true, Value: []byte("hello\nplanet"), ModifyIndex: 95}
			return source.Outcome{}, &source.Conflict{Key: theirs, Problem: &source.Problem{Kind: source.Conflicted, Text: "somebody else wrote it"}}
		}
		return source.Outcome{Action: a, Text: "wrote key greeting"}, nil
	}
	edit := func(text string) {
		t.Helper()
		d.press("e")
		files, err := filepath.Glob(filepath.Join(d.c.Drafts, "*"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no draft: %v", err)
		}
		file := files[len(files)-1]
		if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("the draft's mode is %v, %v", st.Mode(), err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		// What the editor's end would send: the driver cannot run one.
		_, cmd := d.Update(editedMsg{d.edits, file, nil})
		d.do(cmd)
	}
	edit("hello\nmoon\n")
	d.shows("conflict on greeting", "+ planet", "+ moon", "world", "Nothing was written", "edit again")
	if files, _ := filepath.Glob(filepath.Join(d.c.Drafts, "*")); len(files) != 1 {
		t.Errorf("drafts after a conflict: %v", files)
	}
	d.press("ctrl+d")
	d.shows("Overwrite key", "greeting", "index 95")
	d.press("y")
	d.shows("wrote key greeting")
	if saw != 2 {
		t.Errorf("written %d times", saw)
	}
}

func TestSwitchContext(t *testing.T) {
	d := newDriver(t, tuitest.Live(), "overview")
	other := tuitest.NewFeed(tuitest.Many(3))
	closed := false
	d.c.Session.Close = func() { closed = true }
	d.c.Connect = func(s page.Switch) (Session, error) {
		if s.Context != "test" {
			return Session{}, errors.New("no context is called " + s.Context)
		}
		return Session{Feed: other, Context: "test"}, nil
	}
	old := d.gone
	d.press("D")
	d.press("down")
	d.press("enter")
	d.shows(" test ", "Now in test")
	if !closed {
		t.Error("the old session was not closed")
	}
	if _, cmd := d.Update(changedMsg{old}); cmd != nil {
		t.Error("a change of the old session is waited for")
	}
	d.press("3")
	d.shows("service-00002")
	if other.Wanted().Sections&source.SectionServices == 0 {
		t.Error("the new feed is not asked for services")
	}
	d.press(":")
	d.write("ctx nowhere")
	d.press("enter")
	d.shows("no context is called nowhere")
}

func TestHeldScreen(t *testing.T) {
	d := newDriver(t, tuitest.Live(), "services")
	d.press("p")
	d.shows("HELD since 15:09:26")
	s := tuitest.Many(2)
	s.Services.Version = 9
	d.set(s)
	d.shows("consul")
	d.press("p")
	d.shows("service-00001")
	if strings.Contains(d.screen(), "HELD") {
		t.Error("still held")
	}
}

func TestUnrelatedMessagesDrawNothing(t *testing.T) {
	d := newDriver(t, tuitest.Live(), "services")
	d.set(tuitest.Live())
	d.View()
	before := d.View().Content
	s := tuitest.Live()
	s.Nodes.Version = 99 // not on this screen
	d.set(s)
	if d.dirty {
		t.Error("a change nobody sees draws the screen")
	}
	if d.View().Content != before {
		t.Error("the screen changed")
	}
	s = tuitest.Many(1)
	s.Services.Version = 5
	d.set(s)
	if !d.dirty {
		t.Error("a change on the screen does not draw it")
	}
}

func TestMouse(t *testing.T) {
	d := newDriver(t, tuitest.Many(500), "services")
	d.View()
	click := func(x, y int) {
		_, cmd := d.Update(tea.MouseClickMsg{X: x, Y: y, Button: tea.MouseLeft})
		d.do(cmd)
		d.View()
	}
	click(5, 2+4) // header of two lines, titles, fourth row
	d.shows("▸ service-00003")
	click(5, 2+4)
	d.shows("Services › service-00003")
	click(2, 1)
	d.shows("service-00000")
	for range 50 {
		if msg := Filter(d.Model, tea.MouseWheelMsg{Button: tea.MouseWheelDown}); msg != nil {
			_, cmd := d.Update(msg)
			d.do(cmd)
		}
	}
	d.Update(flushMsg{})
	d.shows("service-00150")
	if Filter(d.Model, tea.MouseMotionMsg{}) != nil {
		t.Error("movements of the mouse are worked on")
	}
	line := strings.Split(d.screen(), "\n")[39]
	click(strings.Index(line, "help"), 39)
	d.shows("these keys")
}

func TestCommandLine(t *testing.T) {
	d := newDriver(t, tuitest.Live(), "overview")
	d.press(":")
	d.write("nodes/client-2")
	d.press("enter")
	d.shows("serfHealth")
	d.press(":")
	d.write("serv")
	d.press("tab")
	d.press("enter")
	d.shows("Services")
	d.press(":")
	d.press("up")
	d.press("up")
	d.press("enter")
	d.shows("serfHealth")
	d.press(":")
	d.write("nonsense")
	d.press("enter")
	d.shows(`no screen is called "nonsense"`)
	d.press(":")
	d.write("q")
	d.press("enter")
	if !d.quit {
		t.Error("q does not quit")
	}
}

func TestSave(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range []struct{ ext, want string }{
		{".csv", "web,critical,2,0,1,3"}, {".json", `"Name": "web"`}, {".yaml", "Name: web"}, {".txt", "web      critical"},
	} {
		d := newDriver(t, tuitest.Live(), "services")
		d.press("ctrl+s")
		d.press("ctrl+u")
		d.write("out" + c.ext)
		d.press("enter")
		d.shows("Saved to out" + c.ext)
		got, err := os.ReadFile("out" + c.ext)
		if err != nil || !strings.Contains(string(got), c.want) {
			t.Errorf("%s: %v\n%s", c.ext, err, got)
		}
		d.press("ctrl+s")
		d.press("ctrl+u")
		d.write("out" + c.ext)
		d.press("enter")
		d.shows("Not saved")
	}
}

func TestOnceWaitsForAll(t *testing.T) {
	feed := tuitest.NewFeed(tuitest.Loading())
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	var out bytes.Buffer
	done := make(chan error)
	go func() { done <- Once(ctx, config(t, feed, "services"), &out, AsScreen, 80) }()
	feed.Set(tuitest.Live())
	if err := <-done; err != nil || !strings.Contains(out.String(), "consul") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// TestOnceWaitsForEverythingShown has one part of a page come later than the
// others.
func TestOnceWaitsForEverythingShown(t *testing.T) {
	for _, c := range []struct {
		name, path string
		late       func(*source.State)
	}{
		{"the nodes of the overview", "overview", func(s *source.State) { s.Nodes = source.Nodes{Status: source.Status{Phase: source.Loading}} }},
		{"an open prefix", "kv/app/", func(s *source.State) { delete(s.KV.Levels, "app/") }},
		{"the value of the selected key", "kv/greeting", func(s *source.State) { s.Key = source.Key{} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			whole, part := tuitest.Live(), tuitest.Live()
			c.late(part)
			feed := tuitest.NewFeed(part)
			m := New(config(t, feed, c.path))
			take := func() {
				m.take()
				m.at.page.Update(m.env())
			}
			take()
			if m.at.page.Ready(m.state) {
				t.Error("ready without it")
			}
			feed.Set(whole)
			take()
			if !m.at.page.Ready(m.state) {
				t.Error("not ready though all is there")
			}
		})
	}
}

func TestOnceSaysWhyNot(t *testing.T) {
	s := tuitest.Loading()
	s.Connection.Problem = &source.Problem{Kind: source.Unreachable, Text: "connection refused", Hint: "is the agent up?"}
	over, stop := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer stop()
	err := Once(over, config(t, tuitest.NewFeed(s), "services"), &bytes.Buffer{}, AsScreen, 80)
	if err == nil || !strings.Contains(err.Error(), "connection refused") || !strings.Contains(err.Error(), "is the agent up?") {
		t.Errorf("got %v", err)
	}
}

func TestLines(t *testing.T) {
	in := strings.NewReader(strings.Join([]string{
		"go services", "4", "3", "1", "back", "back", "find node:client-1", "do deregister", "do delete 1", "yes", "go dns/web.service.consul", "nonsense", "quit",
	}, "\n"))
	var out bytes.Buffer
	feed := tuitest.NewFeed(tuitest.Live())
	if err := Lines(t.Context(), config(t, feed, "overview"), Streams{In: in, Out: &out}); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsRune(out.String(), 0x1b) || strings.ContainsAny(out.String(), "╭│▁") {
		t.Error("there are escape codes or box art in it")
	}
	if acts := feed.Acts(); len(acts) != 1 || acts[0] != (source.DeregisterService{Node: "client-1", ID: "web-1", Local: true}) {
		t.Errorf("done: %v", acts)
	}
	golden(t, "lines", out.String())
}

func TestThemeFollowsTheTerminal(t *testing.T) {
	d := newDriver(t, tuitest.Live(), "services")
	d.Update(tea.ColorProfileMsg{Profile: colorprofile.ANSI})
	dark := d.View().Content
	d.Update(tea.BackgroundColorMsg{Color: color.White})
	light := d.View().Content
	if light == dark {
		t.Error("light and dark terminals look the same")
	}
	d.Update(tea.ColorProfileMsg{Profile: colorprofile.TrueColor})
	if d.View().Content == light {
		t.Error("a terminal with all colours gets sixteen")
	}
	d.press(":")
	d.write("theme colour-blind")
	d.press("enter")
	if d.theme.Name != "colour-blind" {
		t.Error("the theme did not change")
	}
	plain := drawnPlain(t)
	if strings.Contains(plain, "\x1b[9") || strings.Contains(plain, "\x1b[3") {
		t.Errorf("there is colour with NO_COLOR: %q", plain)
	}
}

// drawnPlain draws a screen without colours.
func drawnPlain(t *testing.T) string {
	c := config(t, tuitest.NewFeed(tuitest.Live()), "services")
	c.Looks.Plain = true
	m := New(c)
	m.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
	return m.View().Content
}

// TestAnyKeysAnyTime presses random keys on changing states; nothing may panic
// and no line may be too wide.
func TestAnyKeysAnyTime(t *testing.T) {
	all := []string{}
	for _, b := range ui.DefaultKeys().Bindings() {
		for _, k := range b.Keys {
			if k != "ctrl+z" && (named[k].Code != 0 || len([]rune(k)) == 1 || strings.HasPrefix(k, "ctrl+")) {
				all = append(all, k)
			}
		}
	}
	made := []func() *source.State{tuitest.Live, tuitest.Loading, tuitest.Empty, tuitest.Denied, tuitest.Lost, tuitest.Leaderless, tuitest.Back, func() *source.State { return tuitest.Many(300) }}
	seed := uint64(1)
	next := func(n int) int {
		seed = seed*6364136223846793005 + 1442695040888963407
		return int(seed>>33) % n
	}
	t.Chdir(t.TempDir())
	d := newDriver(t, tuitest.Live(), "overview")
	for i := range 3000 {
		switch next(12) {
		case 0:
			s := made[next(len(made))]()
			for _, v := range []*uint64{&s.Services.Version, &s.Service.Version, &s.Problems.Version, &s.Nodes.Version, &s.Node.Version, &s.KV.Version, &s.Key.Version, &s.Members.Version, &s.Cluster.Version} {
				*v = uint64(i)
			}
			d.set(s)
		case 1:
			size := sizes[next(len(sizes))]
			screen(t, d.Model, size[0], size[1])
		case 2:
			screen(t, d.Model, 1+next(60), 1+next(20))
		default:
			k := all[next(len(all))]
			_, cmd := d.Update(tea.KeyPressMsg(key(k)))
			_ = cmd // what it would do to the outside is not wanted here
		}
		d.View()
	}
}

func key(name string) tea.Key {
	if k, ok := named[name]; ok {
		return k
	}
	if rest, ok := strings.CutPrefix(name, "ctrl+"); ok {
		return tea.Key{Code: rune(rest[0]), Mod: tea.ModCtrl}
	}
	r := []rune(name)[0]
	return tea.Key{Code: r, Text: name}
}
