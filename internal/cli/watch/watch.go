// Package watch holds the command that shows what is there and runs a program
// whenever it changes: watch.
//
// Texts and exit codes follow Consul's command line.
package watch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/cli/argv"
	"github.com/ctl-sh/ctl/internal/program"
	"github.com/ctl-sh/ctl/internal/watch"
	"github.com/spf13/cobra"
)

type options struct {
	f     *cli.Factory
	conn  *cli.Conn
	plan  watch.Plan
	name  string
	shell bool
	post  string
}

// NewCommand returns `ctl watch`.
func NewCommand(f *cli.Factory) *cobra.Command {
	o := &options{f: f}
	cmd := &cobra.Command{
		Use:   "watch [options] [CHILD...]",
		Short: "Run a program whenever something changes",
		Long: `Show what a watch finds, or run a program now and whenever it changes: the
program gets the content as JSON on standard input and the index in
CONSUL_INDEX. Only a change of content counts. Watches go on over failures.

Types: key, keyprefix, services, nodes, service, checks, connect_roots,
connect_leaf, agent_service.`,
		Example: `ctl watch -type=key -key=app/colour cat
ctl watch -type=service -service=web -passingonly ./reload.sh
ctl watch -type=checks -state=critical
ctl watch -type=nodes -post http://127.0.0.1:9000/nodes`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	argv.FreeTail(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.plan.Type, "type", "", "what to watch: a `TYPE` of the list above")
	flags.StringVar(&o.plan.Key, "key", "", "`KEY` to watch, of type key")
	flags.StringVar(&o.plan.Prefix, "prefix", "", "`PREFIX` of the keys to watch, of type keyprefix")
	flags.StringVar(&o.plan.Service, "service", "", "`NAME` of the service, of types service and checks")
	flags.StringArrayVar(&o.plan.Tags, "tag", nil, "`TAG` that instances must have; may be repeated")
	flags.BoolVar(&o.plan.PassingOnly, "passingonly", false, "only instances whose checks all pass")
	flags.StringVar(&o.plan.State, "state", "", "`STATE` of the checks: any, passing, warning, critical")
	flags.StringVar(&o.plan.ServiceID, "service-id", "", "`ID` of a service of the agent, of type agent_service")
	flags.StringVar(&o.name, "name", "", "`NAME` of the event, of type event")
	flags.StringVar(&o.plan.Filter, "filter", "", "filter `EXPRESSION` the servers apply")
	flags.BoolVar(&o.shell, "shell", true, "run CHILD with a shell, as one command line")
	flags.StringVar(&o.post, "post", "", "send every content to a `URL` instead of running a program")
	o.conn = f.ConnectServer(cmd)
	return cmd
}

func (o *options) run(cmd *cobra.Command, args []string) error {
	// These types belong to one flag each, so the type may be left out.
	if o.plan.Type == "" {
		switch {
		case o.plan.Key != "":
			o.plan.Type = "key"
		case o.plan.Prefix != "":
			o.plan.Type = "keyprefix"
		}
	}
	if err := o.plan.Validate(); err != nil {
		return cli.Usagef(cmd, "%w", err)
	}
	if o.post != "" && len(args) > 0 {
		return cli.Usagef(cmd, "Only one of -post and a program may be given")
	}
	if u, err := url.Parse(o.post); o.post != "" && (err != nil || u.Host == "") {
		return cli.Usagef(cmd, "-post %q is no URL such as http://127.0.0.1:9000/path", o.post)
	}
	if _, err := o.conn.Client(); err != nil {
		return err
	}
	agent := requester{o.conn}
	if o.post == "" && len(args) == 0 {
		return o.show(cmd.Context(), agent)
	}
	// An agent that cannot be asked at all is a mistake in the settings rather
	// than something to wait out.
	if _, err := o.plan.Get(cmd.Context(), agent); err != nil {
		return cli.Failf("Error querying agent: %w", err)
	}
	// A signal is how a watch ends; the program it runs must end with it.
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	h := o.handler(args)
	err := o.plan.Follow(ctx, agent, func(ctx context.Context, c watch.Change) error {
		if err := h.Handle(ctx, c); err != nil && ctx.Err() == nil {
			fmt.Fprintf(o.f.Streams.Err, "Error executing handler: %v\n", err)
		}
		return nil
	}, func(err error, pause time.Duration) error {
		fmt.Fprintf(o.f.Streams.Err, "Watch failed: %v; tried again in %s\n", err, pause)
		return nil
	})
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// show writes the content once.
func (o *options) show(ctx context.Context, agent requester) error {
	c, err := o.plan.Get(ctx, agent)
	if err != nil {
		return cli.Failf("Error querying agent: %w", err)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, c.Body, "", "    "); err != nil {
		return err
	}
	_, err = fmt.Fprintln(o.f.Streams.Out, b.String())
	return err
}

func (o *options) handler(args []string) watch.Handler {
	if o.post != "" {
		return &watch.Post{URL: o.post}
	}
	if o.shell {
		shell, _ := o.f.LookupEnv("SHELL")
		args = program.Shell(shell, strings.Join(args, " "))
	}
	return &watch.Program{Args: args, Stdout: o.f.Streams.Out, Stderr: o.f.Streams.Err}
}

// requester asks through the connection of the command.
type requester struct{ conn *cli.Conn }

// Do implements watch.Requester for GET.
func (r requester) Do(ctx context.Context, _, path string, query url.Values, _ []byte) (int, http.Header, []byte, error) {
	plain, err := url.PathUnescape(path)
	if err != nil {
		return 0, nil, nil, err
	}
	resp, err := r.conn.Ask(ctx, plain, query)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, body, err
}
