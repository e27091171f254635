// Command gen writes the reference of the command line from the command tree:
// a page a command, one for the environment and one for exit codes. With -man
// it writes man pages instead, for packages.
//
//	go run ./internal/cli/gen docs/reference/cli
//	go run ./internal/cli/gen -man dist/man
package main

//go:generate go run . ../../../docs/reference/cli

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/cli/agent"
	"github.com/ctl-sh/ctl/internal/cli/tree"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func main() {
	man := flag.Bool("man", false, "write man pages instead of Markdown")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: gen [-man] DIR")
		os.Exit(1)
	}
	if err := write(flag.Arg(0), *man); err != nil {
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

func write(dir string, man bool) error {
	root := commands()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	if man {
		root.DisableAutoGenTag = true
		return doc.GenManTree(root, &doc.GenManHeader{Title: "CTL", Section: "1", Source: "ctl", Manual: "ctl manual"}, dir)
	}
	if err := removePages(dir); err != nil {
		return err
	}
	for name, text := range pages(root) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("write page: %w", err)
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
