// Package tree puts all commands of ctl together. It is the only package that
// knows them all; none of them knows another.
package tree

import (
	stdcontext "context"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/cli/catalog"
	"github.com/ctl-sh/ctl/internal/cli/check"
	"github.com/ctl-sh/ctl/internal/cli/completion"
	"github.com/ctl-sh/ctl/internal/cli/config"
	"github.com/ctl-sh/ctl/internal/cli/connect"
	"github.com/ctl-sh/ctl/internal/cli/context"
	"github.com/ctl-sh/ctl/internal/cli/dashboard"
	"github.com/ctl-sh/ctl/internal/cli/debug"
	"github.com/ctl-sh/ctl/internal/cli/doctor"
	"github.com/ctl-sh/ctl/internal/cli/health"
	"github.com/ctl-sh/ctl/internal/cli/info"
	"github.com/ctl-sh/ctl/internal/cli/keygen"
	"github.com/ctl-sh/ctl/internal/cli/keyring"
	"github.com/ctl-sh/ctl/internal/cli/kv"
	"github.com/ctl-sh/ctl/internal/cli/maint"
	"github.com/ctl-sh/ctl/internal/cli/members"
	"github.com/ctl-sh/ctl/internal/cli/monitor"
	"github.com/ctl-sh/ctl/internal/cli/operator"
	"github.com/ctl-sh/ctl/internal/cli/reload"
	"github.com/ctl-sh/ctl/internal/cli/rtt"
	"github.com/ctl-sh/ctl/internal/cli/services"
	tlscmd "github.com/ctl-sh/ctl/internal/cli/tls"
	"github.com/ctl-sh/ctl/internal/cli/validate"
	"github.com/ctl-sh/ctl/internal/cli/version"
	"github.com/ctl-sh/ctl/internal/cli/wait"
	"github.com/ctl-sh/ctl/internal/cli/watch"
	"github.com/spf13/cobra"
)

// New returns the whole command tree. It is good for one run.
func New(f *cli.Factory) *cobra.Command {
	root := f.Root("ctl", "Run and use a cluster of agents", `ctl runs an agent that is compatible with Consul, and talks to such agents:
members of a cluster find each other by gossip, elect a leader, keep keys, and
know which services run where and how healthy they are.`,
		version.NewCommand(f),
		catalog.NewCommand(f),
		check.NewCommand(f),
		completion.NewCommand(f),
		connect.NewCommand(f),
		config.NewCommand(f),
		context.NewCommand(f),
		dashboard.NewCommand(f),
		debug.NewCommand(f),
		doctor.NewCommand(f),
		members.NewForceLeaveCommand(f),
		health.NewCommand(f),
		info.NewCommand(f),
		members.NewJoinCommand(f),
		keygen.NewCommand(f),
		keyring.NewCommand(f),
		kv.NewCommand(f),
		members.NewLeaveCommand(f),
		maint.NewCommand(f),
		members.NewCommand(f),
		monitor.NewCommand(f),
		operator.NewCommand(f),
		reload.NewCommand(f),
		rtt.NewCommand(f),
		services.NewCommand(f),
		tlscmd.NewCommand(f),
		validate.NewCommand(f),
		wait.NewCommand(f),
		watch.NewCommand(f),
	)
	root.Example = `ctl agent -dev                 # a server to try things with
ctl dash                       # watch it
ctl members
ctl kv put greeting hello
ctl kv get greeting
ctl services register -name web -port 8080`
	if f.Agent != nil {
		root.AddCommand(f.Agent(f))
	}
	return root
}

// Main runs the command line args, without the program's name, and returns the
// exit code.
func Main(ctx stdcontext.Context, f *cli.Factory, args []string) int {
	return f.Run(ctx, New(f), args)
}
