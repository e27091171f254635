// Package cli is what all commands of ctl share: where their settings come
// from, the one HTTP client, the common flags, the form of help and of errors,
// and the table of exit codes. The commands themselves live in a directory
// each; package tree puts them together.
//
// Commands speak only the public HTTP API, through the official Go client, so
// they work against any agent that speaks it. Rules that keep it right: results
// go to standard output and everything else to standard error; no command
// exits, prints an error or reads the environment by itself: it returns an
// error and Main does the rest; flags, texts and exit codes of Consul's
// commands stay as they are known.
package cli

import (
	"context"
	"net"
	"os"
	"time"

	"github.com/ctl-sh/ctl/internal/buildinfo"
	"github.com/ctl-sh/ctl/internal/iostreams"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Factory is what a command needs from outside. It is filled once and not
// changed while a command runs.
type Factory struct {
	Streams *iostreams.Streams
	// LookupEnv reads the environment.
	LookupEnv func(name string) (string, bool)
	Build     buildinfo.Info
	// Agent makes the agent command, the only one that starts server code.
	// It is handed in so that this tree does not import the agent; nil
	// leaves the command out.
	Agent func(*Factory) *cobra.Command
	// CompletionTime bounds what a completion asks the agent; 300 ms if zero.
	CompletionTime time.Duration
	// Dial opens the connections to agents that are not named by a socket's
	// path; nil is over the network. Tests in fake time have them in memory.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	conn *Conn // the connection the running command uses, for error reports
	// reach has the flags of a Conn. The commands of a tree, of which one runs,
	// have the same ones; nil before the first command and after Root.
	reach     *pflag.FlagSet
	exitCodes string // as --exit-codes says; empty if it was not given
}

// NewFactory returns the factory of this process: its streams, environment and
// build.
func NewFactory() *Factory {
	return &Factory{Streams: iostreams.System(), LookupEnv: os.LookupEnv, Build: buildinfo.Get()}
}
