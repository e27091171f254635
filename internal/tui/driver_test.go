package tui

import (
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/ctl-sh/ctl/internal/tui/page"
	"github.com/ctl-sh/ctl/internal/tui/source"
	"github.com/ctl-sh/ctl/internal/tui/tuitest"
)

// driver drives a model as the loop would, without a terminal: a command has ended
// before the next key is pressed.
type driver struct {
	*Model
	t    *testing.T
	feed *tuitest.Feed
	copy string // what was put on the clipboard last
	quit bool
	// edits is what was given to the editor last.
	edits *page.Edit
}

func newDriver(t *testing.T, s *source.State, path string) *driver {
	t.Helper()
	feed := tuitest.NewFeed(s)
	feed.OnProbe = func(q source.Question) (source.Answer, error) {
		return source.Answer{Question: q, Server: "127.0.0.1:8600", Took: 300 * time.Microsecond, Code: "NOERROR", Size: 120,
			Answers: []source.Record{{Name: q.Name + ".", Type: "A", Data: "10.0.0.7", Instance: "client-1/web-1"}, {Name: q.Name + ".", Type: "A", Data: "10.0.0.8", Instance: "server-1/web-2"}}}, nil
	}
	d := &driver{Model: New(config(t, feed, path)), t: t, feed: feed}
	d.Update(tea.WindowSizeMsg{Width: 120, Height: 40})
	d.do(d.begin())
	return d
}

// set gives the model a new state.
func (d *driver) set(s *source.State) {
	d.feed.Set(s)
	d.Update(changedMsg{d.gone})
}

// do runs a command to its end, and those that follow.
func (d *driver) do(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	done := make(chan tea.Msg, 1)
	go func() { done <- cmd() }()
	select {
	case msg := <-done:
		d.take(msg)
	case <-time.After(30 * time.Second):
		d.t.Error("a command does not end")
	}
}

func (d *driver) take(msg tea.Msg) {
	switch msg := msg.(type) {
	case nil:
	case tea.BatchMsg:
		for _, c := range msg {
			d.do(c)
		}
	case draftMsg:
		if msg.err != nil {
			d.t.Error(msg.err)
		}
		d.edits = msg.edit
	case tea.QuitMsg:
		d.quit = true
	case changedMsg:
		d.Update(msg) // and no wait for the next change: the driver makes it
	case surveyedMsg:
		d.Update(msg) // and no look at it again
	default:
		if text, ok := msg.(copyMsg); ok {
			d.copy = string(text)
		}
		_, cmd := d.Update(msg)
		d.do(cmd)
	}
}

var named = map[string]tea.Key{
	"enter": {Code: tea.KeyEnter}, "esc": {Code: tea.KeyEscape}, "space": {Code: tea.KeySpace, Text: " "}, "tab": {Code: tea.KeyTab},
	"up": {Code: tea.KeyUp}, "down": {Code: tea.KeyDown}, "left": {Code: tea.KeyLeft}, "right": {Code: tea.KeyRight},
	"end": {Code: tea.KeyEnd}, "home": {Code: tea.KeyHome}, "backspace": {Code: tea.KeyBackspace},
}

// press presses a key by its name.
func (d *driver) press(name string) {
	d.t.Helper()
	k, ok := named[name]
	switch {
	case ok:
	case strings.HasPrefix(name, "ctrl+"):
		k = tea.Key{Code: rune(name[len("ctrl+")]), Mod: tea.ModCtrl}
	case len([]rune(name)) == 1:
		k = tea.Key{Code: []rune(name)[0], Text: name}
	default:
		d.t.Fatalf("no key is called %q", name)
	}
	_, cmd := d.Update(tea.KeyPressMsg(k))
	d.do(cmd)
}

// write types a text.
func (d *driver) write(text string) {
	for _, r := range text {
		d.press(string(r))
	}
}

// screen is what is on the screen now.
func (d *driver) screen() string {
	return strings.Join(Plain(strings.Split(d.View().Content, "\n")), "\n")
}

// shows fails unless all of the texts are on the screen.
func (d *driver) shows(texts ...string) {
	d.t.Helper()
	s := d.screen()
	for _, want := range texts {
		if !strings.Contains(s, want) {
			d.t.Errorf("%q is not on the screen:\n%s", want, s)
		}
	}
}
