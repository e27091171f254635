// Package agent holds the command that runs an agent: the only command that
// starts server code.
//
// It turns flags and files into a configuration, sets up the log, and passes
// signals on: SIGHUP reloads; SIGINT and SIGTERM leave the cluster or only stop,
// as the configuration says; a second one ends the process at once. Exit codes
// are those Consul's agent has: 0 after leaving, 1 after a stop without leaving
// and after any failure.
package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/ctl-sh/ctl/internal/agent"
	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/config"
	"github.com/ctl-sh/ctl/internal/logging"
)

// leaveTime bounds a graceful leave that a signal asked for.
const leaveTime = 15 * time.Second

type options struct {
	f     *cli.Factory
	flags *config.Flags
}

// NewCommand returns `ctl agent`.
func NewCommand(f *cli.Factory) *cobra.Command {
	o := &options{f: f}
	cmd := &cobra.Command{
		Use:   "agent [options]",
		Short: "Run an agent: a server or a client of a cluster",
		Long: `Run an agent in the foreground until it is told to stop. A server keeps the
state of the cluster together with the other servers; a client passes requests
on to them. Both are configured by files (JSON or HCL) and flags; flags win.`,
		Example: `ctl agent -dev                                # one server, in memory
ctl agent -config-dir /etc/ctl.d              # as the files say
ctl agent -retry-join 10.0.0.1                # a client of that server`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return cli.Usagef(cmd, "Unexpected argument %q: agent takes only options", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	o.flags = config.BindFlags(cmd.Flags())
	return cmd
}

// load reads and resolves the configuration.
func (o *options) load() (*config.Runtime, []config.Warning, error) {
	cfg, warnings, err := o.flags.Load(config.OSFiles{})
	if err != nil {
		return nil, warnings, err
	}
	rt, more, err := cfg.Resolve(config.ThisMachine())
	return rt, append(warnings, more...), err
}

func (o *options) run(ctx context.Context) (err error) {
	rt, warnings, err := o.load()
	if err != nil {
		return fmt.Errorf("the agent cannot start with this configuration: %w", err)
	}
	if !rt.LogJSON {
		banner(o.f.Streams.Out, rt, o.f.Build)
	}
	logs, err := logging.Open(logging.Config{
		Level: rt.LogLevel, JSON: rt.LogJSON, File: rt.LogFile,
		RotateBytes: rt.LogRotateBytes, RotateDuration: rt.LogRotateDuration, RotateMaxFiles: rt.LogRotateMaxFiles,
		Syslog: rt.EnableSyslog, SyslogFacility: rt.SyslogFacility, Console: o.f.Streams.Out,
	})
	if err != nil {
		return fmt.Errorf("set up the log: %w", err)
	}
	defer func() { err = errors.Join(err, logs.Close()) }()
	for _, w := range warnings {
		logs.Logger().Warn(w.String())
	}
	// The signals are taken before anything is started: one that comes while
	// the agent starts must stop it in order, too.
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	signal.Ignore(syscall.SIGPIPE)
	a, err := agent.New(agent.Config{Runtime: rt, Logs: logs, Load: o.load, Notify: tellServiceManager(logs)})
	if err != nil {
		logs.Logger().Error("the agent cannot start", logging.KeyError, err)
		return err
	}
	return o.live(ctx, a, rt, logs, signals)
}

// live runs a until it ends by itself or a signal ends it.
func (o *options) live(ctx context.Context, a *agent.Agent, rt *config.Runtime, logs *logging.Logs, signals <-chan os.Signal) error {
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	log := logs.Logger()
	for {
		select {
		case err := <-ended:
			if err != nil {
				log.Error("the agent failed", logging.KeyError, err)
			}
			return err
		case sig := <-signals:
			if sig == syscall.SIGHUP {
				if err := a.Reload(ctx); err != nil {
					log.Error("the configuration was not reloaded; the old one stays in force", logging.KeyError, err)
				}
				continue
			}
			log.Info("caught a signal", "signal", sig)
			return end(a, rt, logs, sig, signals, ended)
		}
	}
}

// end stops the agent as the signal and the configuration say. A further signal
// ends the process at once.
func end(a *agent.Agent, rt *config.Runtime, logs *logging.Logs, sig os.Signal, signals <-chan os.Signal, ended <-chan error) error {
	log := logs.Logger()
	leave := rt.LeaveOnTerminate
	if sig == os.Interrupt {
		leave = !rt.SkipLeaveOnInterrupt
	}
	left := make(chan error, 1)
	if leave {
		log.Info("gracefully leaving the cluster; a second signal ends the agent at once")
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
			defer cancel()
			left <- a.Leave(ctx)
		}()
	} else {
		log.Info("Graceful shutdown disabled. Exiting")
		a.Stop()
	}
	for {
		select {
		case err := <-left:
			if err != nil {
				log.Warn("the agent did not leave cleanly", logging.KeyError, err)
			}
			a.Stop()
		case err := <-ended:
			if err == nil && !leave {
				return cli.ErrReported
			}
			return err
		case sig := <-signals:
			if sig == syscall.SIGHUP {
				continue
			}
			log.Warn("a second signal: ending at once", "signal", sig)
			return errors.New("ended by a second signal before the stop was complete")
		}
	}
}

// tellServiceManager returns what tells systemd the agent's state; it does
// nothing where there is no systemd.
func tellServiceManager(logs *logging.Logs) func(string) {
	return func(state string) {
		if _, err := daemon.SdNotify(false, state); err != nil {
			logs.Logger().Warn("the service manager was not told", "state", state, logging.KeyError, err)
		}
	}
}
