// Package tree puts all commands of ctl together. It is the only package that
// knows them all; none of them knows another.
package tree

import (
	stdcontext "context"
	"slices"

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

// command is one below the root: its name and aliases, and what makes it.
type command struct {
	names []string
	make  func(*cli.Factory) *cobra.Command
}

// all lists the commands below the root.
func all(f *cli.Factory) []command {
	list := []command{
		{[]string{"catalog"}, catalog.NewCommand},
		{[]string{"check"}, check.NewCommand},
		{[]string{"completion"}, completion.NewCommand},
		{[]string{"connect"}, connect.NewCommand},
		{[]string{"config"}, config.NewCommand},
		{[]string{"context"}, context.NewCommand},
		{[]string{"dashboard", "dash"}, dashboard.NewCommand},
		{[]string{"debug"}, debug.NewCommand},
		{[]string{"doctor"}, doctor.NewCommand},
		{[]string{"force-leave"}, members.NewForceLeaveCommand},
		{[]string{"health"}, health.NewCommand},
		{[]string{"info"}, info.NewCommand},
		{[]string{"join"}, members.NewJoinCommand},
		{[]string{"keygen"}, keygen.NewCommand},
		{[]string{"keyring"}, keyring.NewCommand},
		{[]string{"kv"}, kv.NewCommand},
		{[]string{"leave"}, members.NewLeaveCommand},
		{[]string{"maint"}, maint.NewCommand},
		{[]string{"members"}, members.NewCommand},
		{[]string{"monitor"}, monitor.NewCommand},
		{[]string{"operator"}, operator.NewCommand},
		{[]string{"reload"}, reload.NewCommand},
		{[]string{"rtt"}, rtt.NewCommand},
		{[]string{"services", "service"}, services.NewCommand},
		{[]string{"tls"}, tlscmd.NewCommand},
		{[]string{"validate"}, validate.NewCommand},
		{[]string{"wait"}, wait.NewCommand},
		{[]string{"watch"}, watch.NewCommand},
	}
	if f.Agent != nil {
		list = append(list, command{[]string{"agent"}, f.Agent})
	}
	return list
}

// New returns the whole command tree. It is good for one run.
func New(f *cli.Factory) *cobra.Command { return build(f, all(f)) }

// forRun returns the tree that args need: with the one command they name, where
// they begin with a name. Making the others takes as long as many a command
// itself. Whatever begins otherwise, such as help, completion and flags in front
// of a command, gets the whole.
func forRun(f *cli.Factory, args []string) *cobra.Command {
	if len(args) == 0 {
		return New(f)
	}
	list := all(f)
	if i := slices.IndexFunc(list, func(c command) bool { return slices.Contains(c.names, args[0]) }); i >= 0 {
		return build(f, list[i:i+1])
	}
	return New(f)
}

func build(f *cli.Factory, list []command) *cobra.Command {
	below := make([]*cobra.Command, 0, len(list))
	for _, c := range list {
		below = append(below, c.make(f))
	}
	root := f.Root("ctl", "Run and use a cluster of agents", `ctl runs an agent that is compatible with Consul, and talks to such agents:
members of a cluster find each other by gossip, elect a leader, keep keys, and
know which services run where and how healthy they are.`,
		version.NewCommand(f), below...)
	root.Example = `ctl agent -dev                 # a server to try things with
ctl dash                       # watch it
ctl members
ctl kv put greeting hello
ctl kv get greeting
ctl services register -name web -port 8080`
	return root
}

// Main runs the command line args, without the program's name, and returns the
// exit code.
func Main(ctx stdcontext.Context, f *cli.Factory, args []string) int {
	return f.Run(ctx, forRun(f, args), args)
}
