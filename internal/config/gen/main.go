// Command gen writes what is derived from the fields of config.Config: first
// the table of their comments (comments_gen.go), then, from the tables, the
// JSON Schema and the reference page. Run by go generate in internal/config.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/ctl-sh/ctl/internal/config"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// run works in two steps, each its own process: the second is compiled with the
// comments the first one wrote.
func run(args []string) error {
	if len(args) == 0 {
		src, err := commentsSource(os.DirFS("."))
		if err != nil {
			return err
		}
		if err := os.WriteFile("comments_gen.go", src, 0o644); err != nil {
			return err
		}
		again := exec.Command("go", "run", "./gen", "documents")
		again.Stdout, again.Stderr = os.Stdout, os.Stderr
		return again.Run()
	}
	schema, err := config.Schema()
	if err != nil {
		return err
	}
	for path, data := range map[string][]byte{
		"../../configs/schema.json":             schema,
		"../../docs/reference/configuration.md": config.Reference(),
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}
