// Package version holds the command that says which program this is.
package version

import (
	"fmt"
	"io"
	"strings"

	"github.com/ctl-sh/ctl/internal/buildinfo"
	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/spf13/cobra"
)

// protocols are the gossip protocol versions understood. Source: Serf.
type protocols struct{ Default, Min, Max int }

// info is the JSON form: Consul's, and what we are compatible with.
type info struct {
	Version    string
	Revision   string
	Prerelease string
	BuildDate  string
	Consul     string
	RPC        protocols
}

// NewCommand returns `ctl version`. It talks to no agent. The first line is
// "ctl v0.1.0": the own version, not that of Consul, which has its own line.
func NewCommand(f *cli.Factory) *cobra.Command {
	var out *cli.Output
	cmd := &cobra.Command{
		Use:   "version [options]",
		Short: "Show the version",
		Long:  "Show the version of this program and the version of Consul it is compatible with.",
		Example: `ctl version
ctl version -format json`,
		Args: cli.NoArguments,
		RunE: func(*cobra.Command, []string) error {
			p := protocols{Default: 2, Min: 2, Max: 3}
			number, prerelease, _ := strings.Cut(f.Build.Version, "-")
			i := info{number, f.Build.Commit, prerelease, f.Build.Date, buildinfo.ConsulCompat, p}
			return cli.ShowDocument(out, view, i, []info{i}, func(w io.Writer) error {
				_, err := io.WriteString(w, text(f.Build, p))
				return err
			})
		},
	}
	out = f.Output(cmd)
	return cmd
}

var view = cli.View[info]{
	Indent: "   ",
	Columns: []cli.Column[info]{
		{Name: "Version", Value: func(i info) string { return i.Version }},
		{Name: "Prerelease", Value: func(i info) string { return i.Prerelease }},
		{Name: "Consul", Value: func(i info) string { return i.Consul }},
		{Name: "Revision", Wide: true, Value: func(i info) string { return i.Revision }},
		{Name: "BuildDate", Wide: true, Value: func(i info) string { return i.BuildDate }},
	},
}

func text(b buildinfo.Info, p protocols) string {
	s := "ctl v" + b.Version + "\n"
	if b.Commit != "" {
		s += "Revision " + b.Commit + "\n"
	}
	if b.Date != "" {
		s += "Build Date " + b.Date + "\n"
	}
	return s + fmt.Sprintf("Consul-compatible %s\nProtocol %d spoken by default, understands %d to %d\n",
		buildinfo.ConsulCompat, p.Default, p.Min, p.Max)
}
