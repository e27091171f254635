// Package dashboard holds the command that opens the dashboard, package tui, on
// the cluster the settings name.
//
// It decides what the terminal can do, which context is meant and how careful to
// be with it, and starts the source that watches the cluster. What is shown and
// done is tui's affair.
package dashboard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/tui"
	"github.com/ctl-sh/ctl/internal/tui/page"
	"github.com/ctl-sh/ctl/internal/tui/source"
	"github.com/ctl-sh/ctl/internal/tui/ui"
	"github.com/spf13/cobra"
)

type options struct {
	f         *cli.Factory
	conn      *cli.Conn
	format    *cli.Output
	once      bool
	plain     bool
	noStream  bool
	readOnly  bool
	printKeys bool
	schema    bool
	ascii     bool
	noMouse   bool
	theme     string

	mu      sync.Mutex             // of what switches and looks at contexts
	targets map[string]*cli.Target // those looked at
	feeds   sync.WaitGroup         // the sources that run
	faults  *tui.Faults            // takes theirs; nil where there is no screen to give back
}

// NewCommand returns `ctl dashboard`.
func NewCommand(f *cli.Factory) *cobra.Command {
	o := &options{f: f}
	cmd := &cobra.Command{
		Use:     "dashboard [options] [SCREEN[/WHAT]]",
		Aliases: []string{"dash"},
		Short:   "Watch and operate the cluster in the terminal",
		Long: `Watch and operate the cluster in the terminal: who leads and what can be lost,
members, services down to the output of a failing check, nodes, keys, events and
the agent's log, Raft, DNS and other clusters, all as they change. ? shows the
keys.

SCREEN opens another screen first: ` + strings.Join(page.Names(), ", ") + `;
and WHAT goes on in it, as services/web or kv/app/.

Where standard output is no terminal, the screen is printed once, as with
--once. With --plain, or CTL_ACCESSIBLE=1, the dashboard is read line by line:
rows have numbers, nothing is drawn over. Looks, keys, columns and commands of
your own can be set for good in dashboard.json beside the contexts.`,
		Example: `ctl dash
ctl dash services/web
ctl dash --once
ctl dash raft -o json
ctl dash --context=prod --read-only
ctl dash --print-keys
ctl dash --print-schema > dashboard.schema.json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return cli.Usagef(cmd, "Too many arguments (expected 1, got %d)", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), cmd, args) },
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return page.Names(), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.once, "once", false, "print the screen once and exit")
	flags.BoolVar(&o.plain, "plain", false, "line by line, with numbered choices, for screen readers and dumb terminals")
	flags.BoolVar(&o.noStream, "no-stream", false, "watch by blocking queries even where the agent has the change stream")
	flags.BoolVar(&o.readOnly, "read-only", false, "change nothing, whatever is pressed")
	flags.BoolVar(&o.printKeys, "print-keys", false, "print the keys and exit")
	flags.BoolVar(&o.schema, "print-schema", false, "print the JSON Schema of dashboard.json, for editors, and exit")
	flags.BoolVar(&o.ascii, "ascii", false, "use no signs but those of ASCII")
	flags.BoolVar(&o.noMouse, "no-mouse", false, "leave the mouse to the terminal")
	flags.StringVar(&o.theme, "theme", "", "`NAME` of the colours: "+strings.Join(ui.Themes(), ", "))
	// Names are fixed; this fails only for a flag that does not exist.
	_ = cmd.RegisterFlagCompletionFunc("theme", cobra.FixedCompletions(ui.Themes(), cobra.ShellCompDirectiveNoFileComp))
	o.format = f.Output(cmd)
	o.conn = f.ConnectServer(cmd)
	cli.DetailedExit(cmd)
	return cmd
}

func (o *options) run(ctx context.Context, cmd *cobra.Command, args []string) error {
	defer putOffCollection()()
	if o.schema { // also where the settings are wrong: it helps to mend them
		return o.writeSchema()
	}
	set, err := o.settings()
	if err != nil {
		return err
	}
	keys, err := set.keymap()
	if err != nil {
		return err
	}
	if o.printKeys {
		return o.writeKeys(keys)
	}
	path := "overview"
	if len(args) > 0 {
		path = args[0]
	}
	start, err := page.Open(path)
	if err != nil {
		return cli.Usagef(cmd, "%w", err)
	}
	target, err := o.conn.Target()
	if err != nil {
		return err
	}
	defer o.feeds.Wait()
	form := o.form()
	if form == onScreen {
		o.faults = tui.NewFaults()
	}
	session, err := o.open(target, target.Datacenter, start.Interest())
	if err != nil {
		return err
	}
	c := tui.Config{Session: session, Start: start, Keys: keys, Looks: o.looks(set), Contexts: o.contexts(target), Filters: set.Filters, Columns: set.allColumns(), Commands: set.commands(), Editor: o.editor(), Clipboard: o.clipboard(runtime.GOOS, exec.LookPath),
		Drafts: o.kept("drafts"), NoMouse: o.noMouse || set.NoMouse, Faults: o.faults, Reports: o.kept("reports"),
		Version: "ctl " + o.f.Build.Version + " " + o.f.Build.Commit,
		Connect: func(to page.Switch) (tui.Session, error) { return o.connect(target, to) },
		Survey:  func(ctx context.Context, name string) *source.Survey { return o.survey(ctx, target, name) }}
	return o.show(ctx, c, form)
}

// form is how the dashboard is shown.
type form uint8

const (
	onScreen form = iota
	once
	lineByLine
)

// form is the one that was asked for, or that is left.
func (o *options) form() form {
	switch {
	case o.once || !o.format.Text() || !o.f.Streams.OutTerminal:
		return once
	case o.plain || o.env("CTL_ACCESSIBLE") != "" && o.env("CTL_ACCESSIBLE") != "0" || o.env("TERM") == "dumb":
		return lineByLine
	}
	return onScreen
}

// putOffCollection lets the heap grow while the dashboard starts: it makes a few
// megabytes of rows then and throws little away, and somebody waits. The result
// ends that early.
func putOffCollection() (end func()) {
	const percent, start = 800, 2 * time.Second
	before := debug.SetGCPercent(percent)
	t := time.AfterFunc(start, func() { debug.SetGCPercent(before) })
	return func() {
		if t.Stop() {
			debug.SetGCPercent(before)
		}
	}
}

// show runs the dashboard in a form.
func (o *options) show(ctx context.Context, c tui.Config, f form) error {
	s := o.f.Streams
	switch f {
	case once:
		return o.print(ctx, c)
	case lineByLine:
		if err := tui.Lines(ctx, c, tui.Streams{In: s.In, Out: s.Out}); err != nil {
			return cli.Failf("Error showing the dashboard: %w", err)
		}
		return nil
	default: // on the screen, below
	}
	t := tui.Terminal{Out: os.Stdout}
	if s.InTerminal {
		t.In = os.Stdin
	} else if tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0); err == nil {
		defer tty.Close()
		t.In = tty
	} else {
		closeSession(c)
		return cli.Failf("The dashboard needs a terminal to read keys from, and there is none: use --once to print the screen, or --plain to read it line by line")
	}
	err := tui.Run(ctx, c, t)
	if by, ok := errors.AsType[tui.Signal](err); ok {
		if by.Signal == syscall.SIGTERM {
			return cli.ErrTerminated
		}
		return cli.ErrInterrupted
	}
	return err
}

// print writes the screen once.
func (o *options) print(ctx context.Context, c tui.Config) error {
	ctx, stop := context.WithTimeout(ctx, tui.OncePatience)
	defer stop()
	if !o.f.Streams.ColorOut() {
		c.Looks.Plain = true
	}
	var err error
	if o.format.Text() {
		err = tui.Once(ctx, c, o.f.Streams.Out, tui.AsScreen, o.f.Streams.Width())
	} else {
		err = o.printData(ctx, c)
	}
	if err != nil {
		return cli.Failf("Error showing the dashboard: %w", err)
	}
	return nil
}

// printData writes what the screen shows as data. Screens differ in what they
// show: the rows are those of a list, or the whole.
func (o *options) printData(ctx context.Context, c tui.Config) error {
	var b bytes.Buffer
	if err := tui.Once(ctx, c, &b, tui.AsJSON, 0); err != nil {
		return err
	}
	if o.format.JSON() {
		_, err := o.f.Streams.Out.Write(b.Bytes())
		return err
	}
	var data any
	if err := json.Unmarshal(b.Bytes(), &data); err != nil {
		return err
	}
	rows, list := data.([]any)
	if !list {
		rows = []any{data}
	}
	return cli.ShowDocument(o.format, cli.View[any]{Name: nameOf}, data, rows, nil)
}

// nameOf is what a row of any screen is called.
func nameOf(row any) string {
	fields, _ := row.(map[string]any)
	for _, field := range []string{"Name", "Key", "Node", "ID", "Address"} {
		if name, ok := fields[field].(string); ok {
			return name
		}
	}
	return ""
}

func closeSession(c tui.Config) {
	if c.Session.Close != nil {
		c.Session.Close()
	}
}

// open starts to watch a cluster, beginning with what will be in sight.
func (o *options) open(t *cli.Target, datacenter string, in source.Interest) (tui.Session, error) {
	conf := configOf(t, datacenter)
	conf.NoStream, conf.ReadOnly = o.noStream, t.ReadOnly
	if o.readOnly {
		conf.ReadOnly = "the dashboard was started with --read-only"
	}
	if o.faults != nil {
		conf.Fault = o.faults.Report
	}
	src, err := source.New(conf)
	if err != nil {
		return tui.Session{}, cli.Failf("Error watching the cluster: %w", err)
	}
	src.Interest(in)
	ctx, stop := context.WithCancel(context.Background())
	o.feeds.Go(func() {
		// It ends with ctx and has nothing else to say: what goes wrong is
		// part of what it shows.
		_ = src.Run(ctx)
	})
	s := tui.Session{Feed: src, Context: t.Context, Datacenter: datacenter, Accent: t.Color, Environ: t.Environ, Close: stop}
	if t.Protected {
		s.Require = t.Context
	}
	return s, nil
}

// connect goes on with another context, or another datacenter of the first.
func (o *options) connect(first *cli.Target, to page.Switch) (tui.Session, error) {
	if to.Context == "" {
		return o.open(first, to.Datacenter, source.Interest{})
	}
	o.mu.Lock()
	t, err := o.f.Target(to.Context)
	o.mu.Unlock()
	if err != nil {
		return tui.Session{}, err
	}
	return o.open(t, t.Datacenter, source.Interest{})
}

// configOf is how the agents of a target are asked.
func configOf(t *cli.Target, datacenter string) source.Config {
	conf := source.Config{Context: t.Context, Datacenter: datacenter, TokenSource: t.TokenFrom}
	for _, e := range t.Endpoints {
		conf.Endpoints = append(conf.Endpoints, source.Endpoint{Name: e.Address, URL: e.URL, HTTP: e.HTTP})
	}
	return conf
}

// survey looks at a context: the one in use as first says, another without asking
// anybody for a token.
func (o *options) survey(ctx context.Context, first *cli.Target, name string) *source.Survey {
	t := first
	if name != first.Context && name != noContext {
		var err error
		if t, err = o.quietly(name); err != nil {
			return &source.Survey{At: time.Now(), Problem: &source.Problem{Text: err.Error(), At: time.Now()}}
		}
	}
	return source.Look(ctx, configOf(t, t.Datacenter))
}

// quietly returns the target of a context that is only looked at.
func (o *options) quietly(name string) (*cli.Target, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if t := o.targets[name]; t != nil {
		return t, nil
	}
	t, err := o.f.TargetQuietly(name)
	if err != nil {
		return nil, err // it may be put right meanwhile
	}
	if o.targets == nil {
		o.targets = map[string]*cli.Target{}
	}
	o.targets[name] = t
	return t, nil
}

// noContext is shown where there is none in use.
const noContext = "(none)"

// contexts lists what can be switched to. A file that cannot be read has been
// complained about before.
func (o *options) contexts(t *cli.Target) []page.Context {
	file, path, err := o.f.Contexts()
	if err != nil {
		return nil
	}
	var out []page.Context
	for _, name := range file.Names() {
		c, err := file.Get(name)
		if err != nil {
			continue
		}
		out = append(out, page.Context{Name: name, Addresses: c.Addresses, ReadOnly: c.ReadOnly, Protected: c.Protected, Current: name == t.Context, From: path})
	}
	if t.Context == "" {
		var addresses []string
		for _, e := range t.Endpoints {
			addresses = append(addresses, e.Address)
		}
		out = append(out, page.Context{Name: noContext, Addresses: addresses, Current: true, From: t.AddressFrom})
	}
	return out
}

func (o *options) env(name string) string {
	v, _ := o.f.LookupEnv(name)
	return v
}

// looks says what the terminal shows, as far as flags and environment tell.
func (o *options) looks(s *settings) ui.Looks {
	l := ui.Looks{Name: s.Theme, ASCII: o.ascii || s.ASCII || !o.unicode(), Plain: o.env("NO_COLOR") != "", Dumb: o.env("TERM") == "dumb"}
	if o.theme != "" {
		l.Name = o.theme
	}
	return l
}

// unicode reports whether the locale allows more than ASCII. Where none is set,
// which is common in containers, terminals of today do.
func (o *options) unicode() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(o.env(name)); v != "" {
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return true
}
