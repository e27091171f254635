// Command ctl is a cluster agent compatible with Consul, and the commands to
// use it.
package main

import (
	"context"
	"os"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/cli/tree"
)

func main() {
	os.Exit(tree.Main(context.Background(), cli.NewFactory(), os.Args[1:]))
}
