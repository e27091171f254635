package cli

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/spf13/cobra"
)

// noPromptEnv keeps every command from asking.
const noPromptEnv = "CTL_NO_PROMPT"

// Change is what all commands have in common that change something: --dry-run
// and --yes, the refusal of read-only contexts, the question of protected ones,
// and a result that is text or, with --format, data.
//
// A command calls Begin before its first request, and goes on only if that
// says so; then it tells what it did with Printf or Made.
type Change struct {
	f      *Factory
	conn   *Conn // nil where only files of this machine are changed
	out    *Output
	sink   *Sink[done]
	action string
	dryRun bool
	yes    string
	ask    bool
	listed bool
}

// done is one thing a command did, or would have done.
type done struct {
	Action  string
	Object  string `json:",omitempty"` // what was made, where it has a name
	Message string
	DryRun  bool `json:",omitempty"`
}

var doneView = View[done]{
	Name: func(d done) string { return cmp.Or(d.Object, d.Message) },
	Line: func(w io.Writer, _ int, d done) { fmt.Fprintln(w, d.Message) },
	Columns: []Column[done]{
		{Name: "Action", Value: func(d done) string { return d.Action }},
		{Name: "Message", Value: func(d done) string { return d.Message }},
	},
}

const (
	changeKey  = "ctl.change"
	dryRunFlag = "dry-run"
	yesFlag    = "yes"
)

// What changeKey says a command changes.
const (
	changesCluster = "cluster"
	changesFiles   = "files"
)

// Change gives cmd the flags --dry-run, --yes and --format. It must be called
// after cmd.RunE is set. conn is how the command reaches the agent.
func (f *Factory) Change(cmd *cobra.Command, conn *Conn) *Change {
	c := f.change(cmd, changesCluster)
	c.conn = conn
	cmd.Flags().StringVar(&c.yes, yesFlag, "", "do not ask; in a protected context, --yes=`CONTEXT`")
	cmd.Flags().Lookup(yesFlag).NoOptDefVal = "true"
	return c
}

// FileChange is Change for a command that changes files of this machine and no
// cluster: it has no --yes, because it never asks.
func (f *Factory) FileChange(cmd *cobra.Command) *Change { return f.change(cmd, changesFiles) }

func (f *Factory) change(cmd *cobra.Command, what string) *Change {
	c := &Change{f: f, out: f.Output(cmd)}
	cmd.Flags().BoolVar(&c.dryRun, dryRunFlag, false, "say what would be done, and do nothing")
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[changeKey] = what
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c.action = strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
		c.sink = NewSink(c.out, doneView)
		err := run(cmd, args)
		if c.listed || err != nil && c.sink.n == 0 {
			return err // nothing was done: no empty array
		}
		if closed := c.sink.Close(); err == nil {
			err = closed
		}
		return err
	}
	return c
}

// Changes reports whether cmd changes something in a cluster.
func Changes(cmd *cobra.Command) bool { return cmd.Annotations[changeKey] == changesCluster }

// ChangesFiles reports whether cmd changes files of this machine only.
func ChangesFiles(cmd *cobra.Command) bool { return cmd.Annotations[changeKey] == changesFiles }

// List returns what a command writes to that was told to change nothing and
// lists what there is instead.
func (c *Change) List() *Output {
	c.listed = true
	return c.out
}

// Ask makes Begin ask on a terminal, and demand --yes elsewhere. It is for
// commands that destroy something and that Consul does not have: Consul's never
// ask.
func (c *Change) Ask() { c.ask = true }

// Begin says what is about to be done ("delete key a") and reports whether to
// do it. It is false without an error for a dry run, which it describes, and
// false with one if the context is read-only, or nobody said yes where that is
// wanted. Nothing was sent then.
func (c *Change) Begin(format string, args ...any) (bool, error) {
	what := fmt.Sprintf(format, args...)
	if c.conn != nil {
		if _, err := c.conn.Client(); err != nil {
			return false, err
		}
		if err := c.conn.refusal(); err != nil {
			return false, err
		}
	}
	if c.dryRun {
		return false, c.sink.Add(done{Action: c.action, DryRun: true,
			Message: fmt.Sprintf("Dry run, nothing was changed. Would %s%s", what, c.where())})
	}
	if c.conn == nil {
		return true, nil
	}
	return c.allowed(what)
}

// DryRun reports whether --dry-run was given.
func (c *Change) DryRun() bool { return c.dryRun }

// Printf tells what was done, in one line.
func (c *Change) Printf(format string, args ...any) error { return c.Made("", format, args...) }

// Made is Printf for what has a name: -o name shows object.
func (c *Change) Made(object, format string, args ...any) error {
	message := strings.TrimSuffix(fmt.Sprintf(format, args...), "\n")
	if err := c.sink.Add(done{Action: c.action, Object: object, Message: message}); err != nil {
		return err
	}
	return c.sink.Flush() // the next thing may take long, or fail
}

func (c *Change) where() string {
	if c.conn == nil {
		return ""
	}
	if c.conn.context() != nil {
		return fmt.Sprintf(", in context %s (%s)", c.conn.values.context.name, c.conn.agents.current())
	}
	return fmt.Sprintf(", at %s", c.conn.agents.current())
}

func (c *Change) allowed(what string) (bool, error) {
	context := c.conn.context()
	name := c.conn.values.context.name
	switch {
	case context != nil && context.Protected:
		if c.yes == name {
			return true, nil
		}
		if c.yes != "" && c.yes != "true" {
			return false, Failf("--yes=%s is not the name of the context in use, which is %s. Nothing was changed.", c.yes, name)
		}
		if !c.f.CanAsk() {
			return false, Failf("Context %s is protected. To %s, give --yes=%s. Nothing was changed.", name, what, name)
		}
		answer, err := c.f.prompt(fmt.Sprintf("About to %s%s.\nThe context is protected: type its name to go on: ", what, c.where()))
		if err == nil && answer != name {
			err = Failf("That is not the name of the context. Nothing was changed.")
		}
		return err == nil, err
	case c.yes != "" && c.yes != "true":
		return false, Failf("--yes=%s names a context, but it is not the protected context in use. Nothing was changed.", c.yes)
	case c.ask && c.yes == "":
		if !c.f.CanAsk() {
			return false, Failf("To %s%s, give --yes. Nothing was changed.", what, c.where())
		}
		ok, err := c.f.Confirm(fmt.Sprintf("About to %s%s.\nGo on?", what, c.where()))
		if err == nil && !ok {
			err = Failf("Nothing was changed.")
		}
		return ok && err == nil, err
	default:
		return true, nil
	}
}

// CanAsk reports whether there is a person to ask: standard input and standard
// error are terminals, and CTL_NO_PROMPT is not set.
func (f *Factory) CanAsk() bool {
	no, _ := f.LookupEnv(noPromptEnv)
	return f.Streams.InTerminal && f.Streams.ErrTerminal && no == ""
}

// Confirm asks a question that has yes or no for an answer; anything but yes
// is no. CanAsk must be true.
func (f *Factory) Confirm(question string) (bool, error) {
	answer, err := f.prompt(question + " [y/N] ")
	answer = strings.ToLower(answer)
	return answer == "y" || answer == "yes", err
}

// prompt asks on standard error and returns the line that is typed.
func (f *Factory) prompt(question string) (string, error) {
	fmt.Fprint(f.Streams.Err, question)
	line, err := bufio.NewReader(f.Streams.In).ReadString('\n')
	if err != nil && (err != io.EOF || line == "") {
		fmt.Fprintln(f.Streams.Err)
		return "", Failf("No answer was given. Nothing was changed.")
	}
	return strings.TrimSpace(line), nil
}

// refusal says why nothing may be changed: the context is read-only. Nil means
// that it may be.
func (c *Conn) refusal() error {
	if context := c.context(); context == nil || !context.ReadOnly {
		return nil
	}
	return Fail(failure.PermissionDenied, "Context %s is read-only: this command changes something, so nothing was sent. Choose another context with --context, or take the mark off with `ctl context add -replace`", c.values.context.name)
}
