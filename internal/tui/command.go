package tui

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	proc "github.com/ctl-sh/ctl/internal/program"
	"github.com/ctl-sh/ctl/internal/tui/page"
	"github.com/ctl-sh/ctl/internal/tui/source"
	"github.com/ctl-sh/ctl/internal/tui/ui"
)

// Command is a program that an operator has put on a key. NewCommand makes one.
//
// It is run as it is written, word by word and by no shell: what objects are
// called is up to whoever registers them, and must not become commands or options
// on the operator's machine.
type Command struct {
	Name, Key, Help string
	// On are the kinds of objects it is for; none is for everything.
	On   []string
	args []page.Template
	// Confirm asks first. Writes says that it changes something: it is refused
	// where nothing may be changed.
	Confirm, Writes bool
	// Terminal gives it the terminal while it runs; else what it prints is shown
	// on a page once it has ended, after Timeout at the latest.
	Terminal bool
	Timeout  time.Duration
}

// DefaultTimeout is how long a command may run that does not say it.
const DefaultTimeout = time.Minute

// NewCommand returns c with its words, the program first. The error says what is
// wrong with them.
func NewCommand(c Command, words []string) (Command, error) {
	for _, k := range c.On {
		if !slices.Contains(page.Kinds(), k) {
			return c, fmt.Errorf("on: nothing is called %q: there are %s", k, strings.Join(page.Kinds(), ", "))
		}
	}
	if len(words) == 0 || words[0] == "" {
		return c, errors.New("run: a program is wanted, and its arguments, as in [\"ping\", \"-c1\", \"{{.Address}}\"]")
	}
	for i, w := range words {
		t, err := page.ParseTemplate(w, c.On)
		if err != nil {
			return c, fmt.Errorf("run: %w", err)
		}
		switch {
		case t.Fixed():
		case i == 0:
			return c, fmt.Errorf("run: %q: the program itself is written out, without fields", w)
		case i > 1 && isShell(words[0]) && asksForScript(words[i-1]):
			return c, fmt.Errorf("run: %q: a name in the cluster would become part of a script; use \"$CTL_SELECTED_NODE\" and the like in it, or \"$1\" with the field as an argument behind", w)
		}
		c.args = append(c.args, t)
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	return c, nil
}

// isShell reports whether a program runs scripts that it is given as an argument.
func isShell(name string) bool {
	name = strings.TrimSuffix(strings.ToLower(filepath.Base(name)), ".exe")
	return slices.Contains([]string{"sh", "bash", "dash", "zsh", "ksh", "ash", "fish", "cmd", "powershell", "pwsh"}, name)
}

// asksForScript reports whether a script stands behind an option.
func asksForScript(option string) bool {
	o := strings.ToLower(option)
	return strings.HasPrefix(o, "-") && !strings.HasPrefix(o, "--") && strings.Contains(o, "c") || o == "/c" || o == "/k" || o == "--command"
}

// words are the program and its arguments for an object.
func (c *Command) words(o page.Object, values func(string) (string, bool)) ([]string, error) {
	var out []string
	options := true // a word that begins with a dash would be one
	for _, t := range c.args {
		w := t.Expand(o, values)
		if options && t.Leads() && strings.HasPrefix(w, "-") {
			return nil, fmt.Errorf("%s begins with a dash and would be taken for an option: write \"--\" before %s, if the program knows that", strconv.Quote(w), t)
		}
		if strings.ContainsRune(w, 0) {
			return nil, fmt.Errorf("%s has a zero byte, which no argument can have", strconv.Quote(w))
		}
		options = options && (w != "--" || !t.Fixed())
		out = append(out, w)
	}
	return out, nil
}

// fits reports whether it is for an object; chosen is false where there is none.
func (c *Command) fits(o page.Object, chosen bool) bool {
	return len(c.On) == 0 || chosen && slices.Contains(c.On, o.Kind)
}

// running are the commands that run. They end with the dashboard. The zero value is
// none.
type running struct {
	mu    sync.Mutex
	ended bool
	stops map[int]context.CancelFunc
	next  int
	all   sync.WaitGroup
}

// begin notes one more, unless the dashboard has ended. end must be called once it
// has.
func (r *running) begin() (ctx context.Context, end func(), ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return nil, nil, false
	}
	if r.stops == nil {
		r.stops = map[int]context.CancelFunc{}
	}
	ctx, stop := context.WithCancel(context.Background())
	id := r.next
	r.next++
	r.stops[id] = stop
	r.all.Add(1)
	return ctx, func() {
		stop()
		r.mu.Lock()
		delete(r.stops, id)
		r.mu.Unlock()
		r.all.Done()
	}, true
}

// end ends the commands and waits until they have.
func (r *running) end() {
	r.mu.Lock()
	r.ended = true
	for _, stop := range r.stops {
		stop()
	}
	r.mu.Unlock()
	r.all.Wait()
}

// prepared is a command about to be run.
type prepared struct {
	*Command
	words   []string
	object  page.Object
	environ []string
}

func (p *prepared) line() string { return source.Words(p.words) }

// ranMsg is a command that has ended.
type ranMsg struct {
	*prepared
	at     *visit
	output string
	err    error
	took   time.Duration
}

// prepare finds the command to run by name: of those on its key, the one for what is
// selected.
func (m *Model) prepare(name string) (*prepared, error) {
	i := slices.IndexFunc(m.c.Commands, func(c Command) bool { return c.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("no command of yours is called %q: commands in dashboard.json are such", ui.Clean(name))
	}
	o, chosen := page.Object{}, false
	if p, ok := m.at.page.(page.Chooser); ok {
		o, chosen = p.Object()
	}
	var kinds []string
	for k := i; k < len(m.c.Commands); k++ {
		c := &m.c.Commands[k]
		if k > i && (c.Key == "" || c.Key != m.c.Commands[i].Key) {
			continue
		}
		if !c.fits(o, chosen) {
			kinds = append(kinds, c.On...)
			continue
		}
		if why := m.readOnly(); c.Writes && why != "" {
			return nil, fmt.Errorf("nothing can be changed now: %s", why)
		}
		if len(c.On) == 0 {
			o = page.Object{}
		}
		words, err := c.words(o, m.env().Common(m.c.Session.Context))
		if err != nil {
			return nil, fmt.Errorf("%s is not run: %w", c.Name, err)
		}
		return &prepared{c, words, o, m.environ(o)}, nil
	}
	what := "nothing is selected"
	if chosen {
		what = "a " + o.Kind + " is selected"
	}
	return nil, fmt.Errorf("%s is for a %s, and %s", name, strings.Join(kinds, ", a "), what)
}

// environ is the environment of a command: the cluster's settings for ctl and other
// clients, and what is selected.
func (m *Model) environ(o page.Object) []string {
	env := append(os.Environ(), m.c.Session.Environ...)
	if a := m.state.Connection.Address; a != "" {
		env = append(env, "CONSUL_HTTP_ADDR="+a)
	}
	if dc := m.c.Session.Datacenter; dc != "" {
		env = append(env, "CTL_DATACENTER="+dc)
	}
	return append(env, o.Environment("CTL_SELECTED_")...)
}

// runCommand runs a command of the operator's, after a question if that is wanted.
func (m *Model) runCommand(name string) tea.Cmd {
	p, err := m.prepare(name)
	if err != nil {
		text := err.Error()
		m.say(ui.Warning, strings.ToUpper(text[:1])+text[1:]+".")
		return nil
	}
	require := ""
	if p.Writes {
		require = m.c.Session.Require
	}
	if !p.Confirm && require == "" {
		return m.start(p)
	}
	m.dialog = p.question(m.cluster(), require)
	m.answer = func(a ui.Answer) page.Effect {
		if !a.OK {
			return page.Effect{Say: "Nothing was done.", Level: ui.Info}
		}
		return page.Effect{Run: func() { m.started = m.start(p) }}
	}
	return nil
}

func (p *prepared) question(cluster, require string) *ui.Confirm {
	object := p.object.Name
	if object == "" {
		object = "(nothing selected)"
	}
	effect := "a command of your own; what it does is up to it"
	return &ui.Confirm{Verb: "Run " + p.Name, Objects: []string{object}, Cluster: cluster, Blast: []string{effect}, Command: p.line(), Require: require}
}

// start runs a command.
func (m *Model) start(p *prepared) tea.Cmd {
	at, began := m.at, m.c.Now()
	m.command = p.line()
	errs := proc.NewTail(maxErrors)
	if p.Terminal {
		cmd := exec.Command(p.words[0], p.words[1:]...) //nolint:gosec // it is what the operator has written
		cmd.Env = p.environ
		return func() tea.Msg {
			return editMsg{cmd, errs, func(err error) tea.Msg {
				return ranMsg{p, at, errs.String(), err, m.c.Now().Sub(began)}
			}}
		}
	}
	m.say(ui.Info, "Running "+p.Name+"…")
	return func() tea.Msg {
		ctx, end, ok := m.commands.begin()
		if !ok {
			return nil
		}
		defer end()
		output, err := p.run(ctx)
		return ranMsg{p, at, output, err, m.c.Now().Sub(began)}
	}
}

// The most that is kept of what a command prints.
const (
	maxOutput = 1 << 20
	maxErrors = 64 << 10
)

// run runs the command and returns what it printed. A child that it leaves behind
// holds nobody up.
func (p *prepared) run(ctx context.Context) (output string, err error) {
	ctx, stop := context.WithTimeout(ctx, p.Timeout)
	defer stop()
	cmd := exec.CommandContext(ctx, p.words[0], p.words[1:]...) //nolint:gosec // it is what the operator has written
	cmd.Env = p.environ
	proc.OwnGroup(cmd)
	cmd.WaitDelay = time.Second
	out := proc.NewTail(maxOutput)
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("it did not end within %s and was ended", p.Timeout)
	}
	return out.String(), err
}

// ended says how a command ended.
func (r *ranMsg) ended() string {
	var exit *exec.ExitError
	switch {
	case r.err == nil:
		return "exit code 0 after " + page.Age(r.took)
	case errors.As(r.err, &exit) && exit.ExitCode() >= 0:
		return "exit code " + strconv.Itoa(exit.ExitCode())
	}
	return r.err.Error()
}

// ran shows how a command ended and what it printed.
func (m *Model) ran(msg ranMsg) {
	m.notice = "" // that it runs
	level, verb := ui.Passing, " is done: "
	if msg.err != nil {
		level, verb = ui.Critical, " failed: "
	}
	text := msg.Name + verb + msg.ended()
	if msg.Terminal && (msg.err == nil || strings.TrimSpace(msg.output) == "") {
		m.say(level, text)
		return
	}
	body := "$ " + msg.line() + "\n" + msg.ended() + "\n\n" + msg.output
	m.output = &visit{page: page.NewOutput(msg.Name, body), from: msg.at}
	if m.at != msg.at || m.dialog != nil || m.input != nil || m.help != nil {
		m.say(level, text+"; :output shows what it said")
		return
	}
	m.showOutput()
	if msg.err != nil {
		m.say(level, text)
	}
}

// showOutput shows what the last command of the operator's said.
func (m *Model) showOutput() {
	if m.output == nil {
		m.say(ui.Info, "No command of yours has said anything yet.")
		return
	}
	m.visit(m.output)
}
