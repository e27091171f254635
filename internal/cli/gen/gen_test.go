package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const reference = "../../../docs/reference/cli"

// TestReferenceIsCurrent fails when a command changed and the pages did not.
func TestReferenceIsCurrent(t *testing.T) {
	want := pages(commands())
	files, err := filepath.Glob(filepath.Join(reference, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if _, ok := want[filepath.Base(f)]; !ok {
			t.Errorf("%s is a page of no command; run go generate ./internal/cli/gen", f)
		}
	}
	for name, text := range want {
		got, err := os.ReadFile(filepath.Join(reference, name))
		if err != nil {
			t.Errorf("%v; run go generate ./internal/cli/gen", err)
			continue
		}
		if d := cmp.Diff(string(got), text); d != "" {
			t.Errorf("%s is stale (- file, + tree); run go generate ./internal/cli/gen\n%s", name, d)
		}
	}
}

func TestManPages(t *testing.T) {
	dir := t.TempDir()
	if err := writeManPages(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ctl.1", "ctl-kv-get.1", "ctl-operator-raft-list-peers.1", "ctl-context-use.1"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.Contains(string(text), ".SH NAME") || !strings.Contains(string(text), ".SH EXAMPLE") {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
}

func TestCompletionScripts(t *testing.T) {
	dir := t.TempDir()
	if err := writeCompletions(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ctl.bash", "_ctl", "ctl.fish"} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !strings.Contains(string(text), "__complete") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWriteReplacesThePages(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "ctl-gone.md")
	if err := os.WriteFile(old, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writePages(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Errorf("the page of a command that is gone is still there: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "ctl-kv-get.md")); err != nil {
		t.Error(err)
	}
}
