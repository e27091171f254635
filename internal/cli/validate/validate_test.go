package validate

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/cli/clitest"
)

func TestValidate(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"good.json":  `{"data_dir": "/tmp/ctl", "server": true, "bootstrap": true}`,
		"warns.json": `{"data_dir": "/tmp/ctl", "datacenter": "consul_cluster"}`,
		"bad.json":   `{"data_dir": "/tmp/ctl", "servr": true}`,
		"good.txt":   `data_dir = "/tmp/ctl"`,
		"dir/a.json": `{"data_dir": "/tmp/ctl"}`,
		"dir/b.hcl":  `node_name = "n1"`,
		"defs.json":  `{"service": {"name": "x", "check": {"http": "http://x"}}, "watches": [{"type": "nope"}]}`,
	} {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name     string
		args     string // @ stands for the directory
		code     int
		out, err string // parts; @ stands for the directory
		quiet    bool   // nothing on standard output
	}{
		{"valid", "@/good.json", 0, "Configuration is valid!\n", "", false},
		{"valid and quiet", "-quiet @/good.json", 0, "", "", true},
		{"directory of both formats", "@/dir", 0, "Configuration is valid!\n", "", false},
		{"warnings come first", "@/warns.json", 0, "@/warns.json:1:", "", false},
		{"warnings and quiet", "-quiet @/warns.json", 0, "", "", true},
		{"unknown key", "@/bad.json", 1, "", "Config validation failed: @/bad.json:1:", true},
		{"nearest key", "@/bad.json", 1, "", `did you mean "server"?`, true},
		{"JSON", "-format json @/bad.json", 1, `"Valid": false`, "", false},
		{"JSON, valid", "-format json @/good.json", 0, "\"Valid\": true,\n    \"Warnings\": [", "", false},
		{"definitions", "@/defs.json", 1, "", "2 problems in the configuration:\n  * @/defs.json:1:13: service: Invalid check: Interval must be > 0", true},
		{"a watch", "@/defs.json", 1, "", "@/defs.json:1:71: watch: ", true},
		{"unknown extension", "@/good.txt", 1, "", "unknown extension", true},
		{"format given", "-config-format hcl @/good.txt", 0, "Configuration is valid!\n", "", false},
		{"unknown format", "-config-format yaml @/good.txt", 1, "", `-config-format must be hcl or json, not "yaml"`, true},
		{"missing file", "@/nope.json", 1, "", "Config validation failed: @/nope.json: cannot be read", true},
		{"no argument", "", 1, "", "Must specify at least one config file or directory\n", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			here := func(s string) string { return strings.ReplaceAll(s, "@", filepath.ToSlash(dir)) }
			got := clitest.Do(t, NewCommand, clitest.Run{Args: append([]string{"validate"}, strings.Fields(here(c.args))...)})
			if got.Code != c.code {
				t.Errorf("exit code %d, want %d", got.Code, c.code)
			}
			if !strings.Contains(got.Out, here(c.out)) || (c.quiet && got.Out != "") {
				t.Errorf("standard output %q, want %q", got.Out, here(c.out))
			}
			if !strings.Contains(got.Err, here(c.err)) || (c.err == "") != (got.Err == "") {
				t.Errorf("standard error %q, want %q", got.Err, here(c.err))
			}
		})
	}
}

// TestShippedConfigurations checks what operators begin with: the example
// directories, the file of the packages, and every file shown in the guides.
func TestShippedConfigurations(t *testing.T) {
	const root = "../../.."
	var paths []string
	for _, pattern := range []string{"configs/*/*.*", "configs/*/*/*.*", "scripts/packaging/*.json"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("nothing is %s (%v)", pattern, err)
		}
		for _, path := range found {
			if dir := filepath.Dir(path); filepath.Base(dir) != "packaging" {
				path = dir // as -config-dir names it
			}
			if !slices.Contains(paths, path) {
				paths = append(paths, path)
			}
		}
	}
	shown := shownFiles(t, filepath.Join(root, "docs"))
	if len(paths) < 9 || len(shown) < 9 {
		t.Fatalf("only %d configurations and %d shown ones found", len(paths), len(shown))
	}
	for _, path := range append(paths, shown...) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			got := clitest.Do(t, NewCommand, clitest.Run{Args: []string{"validate", path}})
			if got.Code != 0 {
				t.Errorf("exit code %d: %s", got.Code, got.Err)
			}
		})
	}
}

// shownFiles writes the blocks of JSON in guides and tutorials to files of their
// own, named after the page.
func shownFiles(t *testing.T, docs string) []string {
	t.Helper()
	block := regexp.MustCompile("(?ms)^ *```json\n(.*?)^ *```")
	dir := t.TempDir()
	var files []string
	for _, kind := range []string{"how-to", "tutorials"} {
		pages, err := filepath.Glob(filepath.Join(docs, kind, "*.md"))
		if err != nil {
			t.Fatal(err)
		}
		for _, page := range pages {
			text, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			for i, m := range block.FindAllStringSubmatch(string(text), -1) {
				name := filepath.Join(dir, fmt.Sprintf("%s-%d.json", strings.TrimSuffix(filepath.Base(page), ".md"), i+1))
				if err := os.WriteFile(name, []byte(m[1]), 0o600); err != nil {
					t.Fatal(err)
				}
				files = append(files, name)
			}
		}
	}
	return files
}
