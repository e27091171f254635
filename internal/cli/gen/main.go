// Command gen writes the reference of the command line from the command tree:
// a page a command, one for the environment and one for exit codes. With -man
// it writes man pages instead, with -completion the completion scripts of
// shells, both for packages.
//
//	go run ./internal/cli/gen docs/reference/cli
//	go run ./internal/cli/gen -man build/man
//	go run ./internal/cli/gen -completion build/completion
package main

//go:generate go run . ../../../docs/reference/cli

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/cli/agent"
	"github.com/ctl-sh/ctl/internal/cli/tree"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func main() {
	man := flag.Bool("man", false, "write man pages instead of Markdown")
	completion := flag.Bool("completion", false, "write completion scripts instead of Markdown")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: gen [-man|-completion] DIR")
		os.Exit(1)
	}
	write := writePages
	switch {
	case *man:
		write = writeManPages
	case *completion:
		write = writeCompletions
	}
	if err := write(flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// commands returns the whole tree, as cmd/ctl runs it.
func commands() *cobra.Command {
	f := cli.NewFactory()
	f.Agent = agent.NewCommand
	return tree.New(f)
}

func writePages(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	if err := removePages(dir); err != nil {
		return err
	}
	for name, text := range pages(commands()) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("write page: %w", err)
		}
	}
	return nil
}

// writeManPages writes a man page a command. They carry no date, so that the
// same commands give the same pages.
func writeManPages(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	var visit func(c *cobra.Command) error
	visit = func(c *cobra.Command) error {
		name := strings.ReplaceAll(c.CommandPath(), " ", "-")
		c.DisableAutoGenTag, c.DisableFlagsInUseLine = true, true
		var page bytes.Buffer
		if err := doc.GenMan(c, &doc.GenManHeader{Title: strings.ToUpper(name), Section: "1", Source: "ctl", Manual: "ctl manual", Date: &time.Time{}}, &page); err != nil {
			return fmt.Errorf("make page of %s: %w", c.CommandPath(), err)
		}
		text := bytes.Replace(page.Bytes(), []byte(`"Jan 0001"`), []byte(`""`), 1)
		if err := os.WriteFile(filepath.Join(dir, name+".1"), text, 0o644); err != nil {
			return fmt.Errorf("write page: %w", err)
		}
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				if err := visit(sub); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return visit(commands())
}

// writeCompletions writes the scripts under the names the shells look for.
func writeCompletions(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	root := commands()
	for name, script := range map[string]func(io.Writer) error{
		"ctl.bash": func(w io.Writer) error { return root.GenBashCompletionV2(w, true) },
		"_ctl":     root.GenZshCompletion,
		"ctl.fish": func(w io.Writer) error { return root.GenFishCompletion(w, true) },
	} {
		var b bytes.Buffer
		if err := script(&b); err != nil {
			return fmt.Errorf("make %s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o644); err != nil {
			return fmt.Errorf("write completion: %w", err)
		}
	}
	return nil
}

// removePages removes the pages of commands that are gone.
func removePages(dir string) error {
	old, err := filepath.Glob(filepath.Join(dir, "*.md"))
	if err != nil {
		return fmt.Errorf("list pages: %w", err)
	}
	for _, p := range old {
		if err := os.Remove(p); err != nil {
			return fmt.Errorf("remove page: %w", err)
		}
	}
	return nil
}
