// Package wait holds the command that waits until a cluster is as a script needs
// it: wait.
//
// It watches by blocking queries where the API has an index (services and keys),
// and asks once a second where it has none (leader and members). Consul has no
// such command, so its exit codes are always the detailed ones. It goes on while
// the agent cannot be reached or has no leader, because what is waited for is
// often just that; what no time cures, such as a refused token, ends it at once.
package wait

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/backoff"
	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/hashicorp/consul/api"
	"github.com/spf13/cobra"
)

// Pauses between two questions: where the API has no index, after a failure, and
// after the longest row of failures.
const (
	pollTime     = time.Second
	retryTime    = 250 * time.Millisecond
	maxRetryTime = 5 * time.Second
)

// defaultTimeout ends a wait that nobody bounded: a script that hangs for ever
// is worse than one that fails.
const defaultTimeout = 5 * time.Minute

type options struct {
	conn    *cli.Conn
	out     *cli.Output
	timeout time.Duration

	poll, retry time.Duration
}

// NewCommand returns `ctl wait`.
func NewCommand(f *cli.Factory) *cobra.Command {
	return newCommand(f, pollTime, retryTime)
}

func newCommand(f *cli.Factory, poll, retry time.Duration) *cobra.Command {
	o := &options{poll: poll, retry: retry}
	cmd := &cobra.Command{
		Use:   "wait [options] CONDITION",
		Short: "Wait until there is a leader, a member, a service or a key",
		Long: `Wait until a condition holds, and say so; it may hold already. Conditions:

  leader                      the cluster has a leader
  members=N, members>=N       so many members are alive
  service/NAME [passing>=N]   so many instances, 1 without a number, have only
                              checks that pass; passing=N is exactly so many
  kv KEY                      the key exists
  kv KEY=VALUE                the key has this value; KEY ends at the first "=";
                              KEY=VALUE alone means the same

A shell takes ">" for itself: quote what has one. While the agent cannot be
reached, or has no leader, waiting goes on. Exit codes: 0 it holds, 15 time ran
out, 12 the token lacks the right, 1 the condition is not understood.`,
		Example: `ctl wait leader
ctl wait -timeout 10m "members>=3"
ctl wait service/web "passing>=2"
ctl wait kv config/limit=10 && echo go`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := parse(args)
			if err != nil {
				return cli.Usagef(cmd, "%w", err)
			}
			if o.timeout < 0 {
				return cli.Usagef(cmd, "-timeout %v is negative; 0 waits for ever", o.timeout)
			}
			return o.run(cmd.Context(), c)
		},
		ValidArgsFunction: completeConditions,
	}
	cmd.Flags().DurationVar(&o.timeout, "timeout", defaultTimeout, "give up after this `TIME`; 0 is never")
	o.out = f.Output(cmd)
	o.conn = f.ConnectServer(cmd)
	cli.DetailedExit(cmd)
	return cmd
}

func completeConditions(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	switch {
	case len(args) == 0:
		return []cobra.Completion{"leader", "members=", "service/", "kv"}, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	case len(args) == 1 && strings.HasPrefix(args[0], servicePrefix):
		return []cobra.Completion{"passing>="}, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	default:
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}

// outcome is what a wait ended with.
type outcome struct {
	Condition string
	State     string // what was found
	Seconds   float64
}

var view = cli.View[outcome]{
	Columns: []cli.Column[outcome]{
		{Name: "Condition", Value: func(o outcome) string { return o.Condition }},
		{Name: "State", Value: func(o outcome) string { return o.State }},
		{Name: "Waited", Value: func(o outcome) string { return fmt.Sprintf("%.1fs", o.Seconds) }},
	},
	Line: func(w io.Writer, _ int, o outcome) { fmt.Fprintf(w, "%s: %s\n", o.Condition, o.State) },
}

func (o *options) run(ctx context.Context, c condition) error {
	client, err := o.conn.Client()
	if err != nil {
		return err
	}
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.timeout)
		defer cancel()
	}
	begun := time.Now()
	state, err := o.await(ctx, client, c)
	if err != nil {
		return err
	}
	found := outcome{Condition: c.String(), State: state, Seconds: time.Since(begun).Seconds()}
	return cli.ShowDocument(o.out, view, found, []outcome{found}, func(w io.Writer) error {
		view.Line(w, 0, found)
		return nil
	})
}

// await returns the state in which c holds.
func (o *options) await(ctx context.Context, client *api.Client, c condition) (string, error) {
	state, index, retry := "nothing was answered yet", uint64(0), o.retry
	for {
		q := o.conn.Query(ctx)
		q.WaitIndex = index
		holds, now, next, err := c.ask(client, q)
		switch {
		case err != nil && ctx.Err() != nil:
			return "", o.gaveUp(c, state)
		case err != nil && final(err):
			return "", cli.Failf("Error waiting for %s: %w", c, err)
		case err != nil:
			state, index = err.Error(), 0
			if !backoff.Pause(ctx, retry) {
				return "", o.gaveUp(c, state)
			}
			retry = min(2*retry, max(maxRetryTime, o.retry))
			continue
		case holds:
			return now, nil
		}
		state, retry = now, o.retry
		if next < index {
			next = 0 // the servers' state went back, as after a restore: begin anew
		}
		if index = next; index == 0 && !backoff.Pause(ctx, o.poll) {
			return "", o.gaveUp(c, state)
		}
	}
}

func (o *options) gaveUp(c condition, state string) error {
	return cli.Fail(failure.Timeout, "Still not so after %v (-timeout): %s. Last seen: %s", o.timeout, c, state)
}

// final reports whether an error will not go away by itself.
func final(err error) bool {
	if status, ok := errors.AsType[api.StatusError](err); ok {
		return status.Code >= 400 && status.Code < 500 && status.Code != http.StatusTooManyRequests
	}
	var certificate *tls.CertificateVerificationError
	return errors.As(err, &certificate)
}
