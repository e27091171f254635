// Package monitor holds the command that shows an agent's log as it is written.
package monitor

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/spf13/cobra"
)

type options struct {
	f     *cli.Factory
	conn  *cli.Conn
	level string
	json  bool
}

// NewCommand returns `ctl monitor`.
func NewCommand(f *cli.Factory) *cobra.Command {
	o := &options{f: f}
	cmd := &cobra.Command{
		Use:   "monitor [options]",
		Short: "Show the agent's log as it is written",
		Long: `Show the agent's log as it is written, until Ctrl-C, also in more detail than the
agent's own log has.`,
		Example: `ctl monitor
ctl monitor -log-level debug
ctl monitor -log-json | jq .`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return o.run(ctx)
		},
	}
	cmd.Flags().StringVar(&o.level, "log-level", "INFO", "least `LEVEL` to show: trace, debug, info, warn or error")
	cmd.Flags().BoolVar(&o.json, "log-json", false, "show every line as a JSON object")
	o.conn = f.Connect(cmd)
	return cmd
}

// run copies log lines until ctx ends, which is success, or the agent ends the
// stream, which is not.
func (o *options) run(ctx context.Context) error {
	client, err := o.conn.Client()
	if err != nil {
		return err
	}
	start := client.Agent().Monitor
	if o.json {
		start = client.Agent().MonitorJSON
	}
	// The stream is read by a goroutine of the client's; stop ends it, and it
	// may be waiting to hand over a line then.
	stop := make(chan struct{})
	lines, err := start(o.level, stop, o.conn.Query(ctx))
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return cli.Failf("Error starting monitor: %w", err)
	}
	defer func() {
		close(stop)
		for range lines {
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case line := <-lines:
			if line == "" { // the client's sign for the end of the stream
				if ctx.Err() != nil {
					return nil
				}
				return cli.Failf("The agent ended the log stream: it was stopped or the connection was lost.")
			}
			if _, err := fmt.Fprintln(o.f.Streams.Out, line); err != nil {
				return fmt.Errorf("write log line: %w", err)
			}
		}
	}
}
