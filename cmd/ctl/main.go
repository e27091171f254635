// Command ctl is a cluster agent compatible with Consul, and the commands to
// use it.
package main

import (
	"context"
	"os"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/cli/agent"
	"github.com/ctl-sh/ctl/internal/cli/tree"
)

func main() {
	f := cli.NewFactory()
	f.Agent = agent.NewCommand
	os.Exit(tree.Main(context.Background(), f, os.Args[1:]))
}
