// Package validate holds the command that checks configuration files without
// starting an agent. The rules are those of packages config, declared and watch,
// the same the agent starts by; texts and exit codes follow Consul's command line.
package validate

import (
	"errors"
	"fmt"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/config"
	"github.com/ctl-sh/ctl/internal/declared"
	"github.com/ctl-sh/ctl/internal/iostreams"
	"github.com/ctl-sh/ctl/internal/watch"
	"github.com/spf13/cobra"
)

type options struct {
	f          *cli.Factory
	out        *cli.Output
	quiet      bool
	fileFormat string
}

// result is the JSON form.
type result struct {
	Valid    bool
	Warnings []string
	Problems []string
}

// NewCommand returns `ctl validate`. It talks to no agent.
func NewCommand(f *cli.Factory) *cobra.Command {
	o := &options{f: f}
	cmd := &cobra.Command{
		Use:   "validate [options] FILE_OR_DIR...",
		Short: "Check configuration files",
		Long: `Check configuration files as the agent does when it starts, without starting one.
Several files and directories are merged in the order given, as the agent would.
Services, checks and watches are checked, too: the agent does not start with one
it cannot use.
Exits 0 if the configuration is valid, with or without warnings.`,
		Example: `ctl validate /etc/ctl.d
ctl validate -quiet server.json && ctl reload`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	cmd.Flags().BoolVar(&o.quiet, "quiet", false, "print nothing if the configuration is valid")
	cmd.Flags().StringVar(&o.fileFormat, "config-format", "", "`FORMAT` of every file, whatever its name: hcl or json")
	o.out = f.Output(cmd)
	return cmd
}

func (o *options) run(cmd *cobra.Command, paths []string) error {
	if len(paths) == 0 {
		return cli.Usagef(cmd, "Must specify at least one config file or directory")
	}
	if o.fileFormat != "" && o.fileFormat != "hcl" && o.fileFormat != "json" {
		return cli.Usagef(cmd, "-config-format must be hcl or json, not %q", o.fileFormat)
	}
	warnings, err := check(paths, o.fileFormat)
	if !o.out.Pretty() {
		return o.listed(warnings, err)
	}
	if !o.quiet || err != nil {
		for _, w := range warnings {
			fmt.Fprintln(o.f.Streams.Out, w)
		}
	}
	if err != nil {
		return cli.Failf("Config validation failed: %w", err)
	}
	if !o.quiet {
		fmt.Fprintln(o.f.Streams.Out, "Configuration is valid!")
	}
	return nil
}

// finding is a row of the listing.
type finding struct{ Severity, Text string }

var view = cli.View[finding]{
	Columns: []cli.Column[finding]{
		{Name: "Severity", Value: func(f finding) string { return f.Severity }, Tone: func(f finding) iostreams.Tone {
			if f.Severity == "problem" {
				return iostreams.Bad
			}
			return iostreams.Warn
		}},
		{Name: "Text", Value: func(f finding) string { return f.Text }},
	},
}

func (r result) rows() []finding {
	var list []finding
	for _, text := range r.Problems {
		list = append(list, finding{"problem", text})
	}
	for _, text := range r.Warnings {
		list = append(list, finding{"warning", text})
	}
	return list
}

// listed shows what was found in a form that was asked for.
func (o *options) listed(warnings []config.Warning, err error) error {
	r := result{Valid: err == nil, Warnings: []string{}, Problems: []string{}}
	for _, w := range warnings {
		r.Warnings = append(r.Warnings, w.String())
	}
	var problems config.Problems
	switch {
	case errors.As(err, &problems):
		for _, p := range problems {
			r.Problems = append(r.Problems, p.String())
		}
	case err != nil:
		r.Problems = append(r.Problems, err.Error())
	}
	if err := cli.ShowDocument(o.out, view, r, r.rows(), nil); err != nil {
		return err
	}
	if err != nil {
		return cli.ErrReported
	}
	return nil
}

func check(paths []string, format string) ([]config.Warning, error) {
	sources, warnings, err := config.ReadSources(config.OSFiles{}, paths, format)
	if err != nil {
		return warnings, err
	}
	c, more, err := config.Load(config.Input{Sources: sources})
	warnings = append(warnings, more...)
	if err != nil {
		return warnings, err
	}
	more, err = definitions(c)
	return append(warnings, more...), err
}

// definitions checks the services, checks and watches of the files: the agent
// does not start with one that it cannot use.
func definitions(c *config.Config) ([]config.Warning, error) {
	var warnings []config.Warning
	var problems config.Problems
	if _, err := declared.Read(c); err != nil && !errors.As(err, &problems) {
		return nil, err
	}
	for _, d := range c.Watches {
		_, err := watch.Parse([]byte(d.JSON), "", nil)
		switch {
		case errors.Is(err, watch.ErrEvents):
			warnings = append(warnings, config.Warning{Where: d.At, Key: "watch", Text: err.Error()})
		case err != nil:
			problems = append(problems, config.Problem{Where: d.At, Key: "watch", What: err.Error()})
		}
	}
	if len(problems) > 0 {
		return warnings, problems
	}
	return warnings, nil
}
