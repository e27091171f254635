package tui

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"github.com/ctl-sh/ctl/internal/tui/page"
	"github.com/ctl-sh/ctl/internal/tui/source"
	"github.com/ctl-sh/ctl/internal/tui/ui"
)

// The steps of editing: a draft is written, the editor runs on it, the text is
// read again. What is typed is on disk all the time.
type (
	draftMsg struct {
		edit *page.Edit
		file string
		err  error
	}
	editedMsg struct {
		edit *page.Edit
		file string
		err  error
	}
	textMsg struct {
		edit *page.Edit
		file string
		text []byte
		err  error
	}
	switchedMsg struct {
		session Session
		to      page.Switch
		err     error
	}
)

// edit begins to edit a value.
func (m *Model) edit(e *page.Edit) tea.Cmd {
	dir := m.c.Drafts
	return func() tea.Msg {
		file, err := writeDraft(dir, e)
		return draftMsg{e, file, err}
	}
}

// writeDraft writes the text where only the operator can read it.
func writeDraft(dir string, e *page.Edit) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make the directory of drafts: %w", err)
	}
	name := strings.Map(func(r rune) rune {
		if r == '/' || r == '*' || r < ' ' || r == os.PathSeparator {
			return '_'
		}
		return r
	}, e.Name)
	ext := filepath.Ext(name)
	base := strings.TrimSuffix(name, ext)
	if len(base) > 60 {
		base = base[len(base)-60:]
	}
	if len(ext) > 10 {
		ext = ""
	}
	// CreateTemp makes it 0600.
	f, err := os.CreateTemp(dir, base+"-*"+ext)
	if err != nil {
		return "", fmt.Errorf("write a draft: %w", err)
	}
	_, err = f.Write(e.Text)
	if err := errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("write a draft: %w", err)
	}
	return f.Name(), nil
}

func (m *Model) editing(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case draftMsg:
		if msg.err != nil {
			m.say(ui.Critical, msg.err.Error())
			return nil
		}
		cmd := editor(m.c.Editor, msg.file)
		return func() tea.Msg {
			return editMsg{cmd, nil, func(err error) tea.Msg { return editedMsg{msg.edit, msg.file, err} }}
		}
	case editedMsg:
		if msg.err != nil {
			m.say(ui.Critical, "The editor "+m.c.Editor+" failed: "+msg.err.Error()+"; set EDITOR. The text is in "+msg.file)
			return nil
		}
		return func() tea.Msg {
			text, err := os.ReadFile(msg.file)
			return textMsg{msg.edit, msg.file, text, err}
		}
	case textMsg:
		return m.edited(msg)
	}
	return nil
}

// editor is the command of the editor on a file. The setting may hold options,
// and is read by the shell as others do.
func editor(command, file string) *exec.Cmd {
	return exec.Command("sh", "-c", command+` "$1"`, "sh", file)
}

// edited goes on with the text that was written.
func (m *Model) edited(msg textMsg) tea.Cmd {
	if msg.err != nil {
		m.say(ui.Critical, "The text cannot be read: "+msg.err.Error())
		return nil
	}
	text := msg.text
	// Editors end the last line; a value that did not have that keeps it so.
	if !bytes.HasSuffix(msg.edit.Text, []byte("\n")) {
		text = bytes.TrimSuffix(text, []byte("\n"))
	}
	if bytes.Equal(text, msg.edit.Text) {
		m.say(ui.Info, "Not changed, so nothing was written.")
		return remove(msg.file)
	}
	m.draft = msg.file
	return m.run(msg.edit.Saved(text))
}

// dropDraft removes the draft once its text is where it belongs.
func (m *Model) dropDraft(msg actedMsg) tea.Cmd {
	if msg.draft == "" {
		return nil
	}
	if m.draft == msg.draft {
		m.draft = ""
	}
	if msg.err != nil {
		return nil
	}
	return remove(msg.draft)
}

func remove(file string) tea.Cmd {
	return func() tea.Msg {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return saidMsg{"The draft " + file + " cannot be removed: " + err.Error(), ui.Warning}
		}
		return nil
	}
}

// save asks for a file and writes the page there.
func (m *Model) save() tea.Cmd {
	env := m.env()
	p := m.at.page
	ask := &ui.Ask{Question: "Save this view", Hint: "A new file; its ending says what is written: .csv, .json, .yaml or .txt", Check: func(s string) string {
		switch filepath.Ext(s) {
		case ".csv", ".json", ".yaml", ".txt":
			return ""
		}
		return "The name must end in .csv, .json, .yaml or .txt; esc leaves."
	}}
	ask.Input.Set(strings.ReplaceAll(strings.Trim(p.Path(), "/"), "/", "-") + ".csv")
	m.dialog = ask
	m.answer = func(a ui.Answer) page.Effect {
		if !a.OK {
			return page.Effect{}
		}
		text, err := export(filepath.Ext(a.Text), p, env)
		if err != nil {
			return page.Effect{Say: "Not saved: " + err.Error(), Level: ui.Critical}
		}
		return page.Effect{File: &page.File{Name: a.Text, Text: append([]byte{}, text...), Then: func(_ []byte, err error) page.Effect {
			if err != nil {
				return page.Effect{Say: "Not saved: " + err.Error(), Level: ui.Critical}
			}
			return page.Effect{Say: "Saved to " + a.Text, Level: ui.Passing}
		}}}
	}
	return nil
}

// maxFile bounds a file that is read whole.
const maxFile = 64 << 20

// onDisk reads a file, or writes one that must not exist. Values are in it that
// may be nobody else's business.
func onDisk(f page.File) ([]byte, error) {
	if f.Text == nil {
		r, err := os.Open(f.Name)
		if err != nil {
			return nil, err
		}
		defer r.Close()
		text, err := io.ReadAll(io.LimitReader(r, maxFile+1))
		if err == nil && len(text) > maxFile {
			err = fmt.Errorf("%s is larger than %d MiB: ctl kv import takes it", f.Name, maxFile>>20)
		}
		return text, err
	}
	w, err := os.OpenFile(f.Name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = w.Write(f.Text)
	return nil, errors.Join(err, w.Close())
}

// export writes a page in the form an ending asks for.
func export(ext string, p page.Page, env *page.Env) ([]byte, error) {
	var b bytes.Buffer
	switch ext {
	case ".json":
		return jsonText(p.Data(env))
	case ".yaml":
		return []byte(page.YAML(p.Data(env))), nil
	case ".csv":
		s := p.Sheet(env)
		w := csv.NewWriter(&b)
		if len(s.Titles) > 0 {
			if err := w.Write(s.Titles); err != nil {
				return nil, fmt.Errorf("write csv: %w", err)
			}
		}
		if err := w.WriteAll(s.Rows); err != nil {
			return nil, fmt.Errorf("write csv: %w", err)
		}
	default:
		for _, l := range sheetLines(p.Sheet(env)) {
			b.WriteString(l + "\n")
		}
	}
	return b.Bytes(), nil
}

func jsonText(v any) ([]byte, error) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode output: %w", err)
	}
	return append(b, '\n'), nil
}

// switchTo goes on with another context or datacenter.
func (m *Model) switchTo(to page.Switch) tea.Cmd {
	connect := m.c.Connect
	if connect == nil {
		m.say(ui.Warning, "There is nothing to switch to.")
		return nil
	}
	return func() tea.Msg {
		s, err := connect(to)
		return switchedMsg{s, to, err}
	}
}

func (m *Model) switched(msg switchedMsg) tea.Cmd {
	if msg.err != nil {
		m.say(ui.Critical, msg.err.Error())
		return nil
	}
	m.end()
	m.gone = make(chan struct{})
	m.c.Session = msg.session
	for i := range m.c.Contexts {
		m.c.Contexts[i].Current = m.c.Contexts[i].Name == msg.session.Context
	}
	m.look()
	m.held, m.then, m.command, m.draft = time.Time{}, nil, "", ""
	m.state = m.c.Session.Feed.Current()
	// The same screen of the other cluster, but not what was opened in it.
	name, _, _ := strings.Cut(m.at.page.Path(), "/")
	if msg.to.Path != "" {
		name = msg.to.Path
	}
	p, err := page.Open(name)
	if err != nil || name == "contexts" {
		p = m.c.Start
	}
	m.trail, m.place, m.at, m.before, m.interest = nil, 0, nil, nil, source.Interest{}
	m.visit(&visit{page: p})
	m.c.Session.Feed.Interest(m.interest)
	m.say(ui.Passing, "Now in "+m.cluster())
	return tea.Batch(m.wait(0), m.begin())
}

// end ends the session: nobody waits for its changes any more.
func (m *Model) end() {
	m.endSurveys()
	close(m.gone)
	if m.c.Session.Close != nil {
		m.c.Session.Close()
	}
}

// profile fits the theme to the colours the terminal has.
func (m *Model) profile(msg tea.ColorProfileMsg) {
	switch msg.Profile {
	case colorprofile.TrueColor:
		m.c.Looks.True = true
	case colorprofile.ASCII, colorprofile.NoTTY:
		m.c.Looks.Plain = true
	default: // what others can show is known already
	}
	m.look()
}
