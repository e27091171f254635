package config

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

// memFiles are files in memory; paths have no leading slash.
type memFiles struct{ fstest.MapFS }

func (m memFiles) Stat(p string) (fs.FileInfo, error) { return fs.Stat(m.MapFS, filepath.ToSlash(p)) }
func (m memFiles) ReadDir(p string) ([]fs.DirEntry, error) {
	return fs.ReadDir(m.MapFS, filepath.ToSlash(p))
}
func (m memFiles) ReadFile(p string) ([]byte, error) {
	return fs.ReadFile(m.MapFS, filepath.ToSlash(p))
}

func files(pairs ...string) memFiles {
	m := memFiles{fstest.MapFS{}}
	for i := 0; i < len(pairs); i += 2 {
		m.MapFS[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return m
}

func TestReadSources(t *testing.T) {
	f := files("d/b.json", "{}", "d/a.hcl", "x = 1", "d/B.json", "{}", "d/notes.txt", "?", "d/empty.json", " \n", "d/sub/z.json", "{}", "one.json", "{}", "one.conf", "{}")
	for _, c := range []struct {
		name          string
		paths         []string
		format        string
		want, warned  []string
		wantErr       string
		wantErrNumber int
	}{
		{name: "directory in byte order", paths: []string{"d"}, want: []string{"d/B.json", "d/a.hcl", "d/b.json"}, warned: []string{"d/notes.txt"}},
		{name: "command-line order", paths: []string{"one.json", "d"}, want: []string{"one.json", "d/B.json", "d/a.hcl", "d/b.json"}, warned: []string{"d/notes.txt"}},
		{name: "format takes every file", paths: []string{"one.conf", "d"}, format: "json", want: []string{"one.conf", "d/B.json", "d/a.hcl", "d/b.json", "d/notes.txt"}},
		{name: "unknown extension", paths: []string{"one.conf"}, wantErr: "file one.conf has unknown extension; must be .hcl or .json, or config format must be set"},
		{name: "missing", paths: []string{"nope", "one.json", "no.json"}, want: []string{"one.json"}, wantErr: "nope: cannot be read: file does not exist; check the path"},
	} {
		t.Run(c.name, func(t *testing.T) {
			sources, warnings, err := ReadSources(f, c.paths, c.format)
			if c.wantErr == "" && err != nil {
				t.Fatal(err)
			}
			if c.wantErr != "" && (err == nil || !strings.Contains(err.Error(), c.wantErr)) {
				t.Errorf("got error %v, want %q", err, c.wantErr)
			}
			var got, warned []string
			for _, s := range sources {
				got = append(got, filepath.ToSlash(s.Name))
			}
			for _, w := range warnings {
				warned = append(warned, filepath.ToSlash(w.Where.Source))
			}
			if d := cmp.Diff([][]string{got, warned}, [][]string{c.want, c.warned}); d != "" {
				t.Errorf("got - want +:\n%s", d)
			}
		})
	}
}

// flagLoad parses a command line and loads.
func flagLoad(t *testing.T, f Files, args ...string) (*Config, []Warning, error) {
	t.Helper()
	set := pflag.NewFlagSet("agent", pflag.ContinueOnError)
	flags := BindFlags(set)
	if err := set.Parse(args); err != nil {
		t.Fatal(err)
	}
	return flags.Load(f)
}

func TestFlagsLoad(t *testing.T) {
	f := files("a.json", `{"data_dir":"/a","retry_join":["a1"],"node_name":"file","ports":{"http":1}}`, "d/b.json", `{"retry_join":["b1"]}`, "plain", `{"data_dir":"/p"}`)
	for _, c := range []struct {
		name    string
		args    []string
		check   func(*Config) any
		want    any
		wantErr string
	}{
		{name: "list flag before files", args: []string{"--config-file=a.json", "--config-dir=d", "--retry-join=flag1", "--join=flag2"},
			check: func(c *Config) any { return c.RetryJoin }, want: []string{"flag2", "flag1", "a1", "b1"}},
		{name: "list flag is not split at commas", args: []string{"--dev", "--retry-join=a,b"}, check: func(c *Config) any { return c.RetryJoin }, want: []string{"a,b"}},
		{name: "scalar flag after files, -hcl last", args: []string{"--config-file=a.json", "--node=flag", "--http-port=2", `--hcl=ports { http = 3 }`},
			check: func(c *Config) any { return []any{c.NodeName, c.Ports.HTTP} }, want: []any{"flag", 3}},
		{name: "flag set to false", args: []string{"--dev", "--ui=false"}, check: func(c *Config) any { return c.UI.Enabled }, want: false},
		{name: "the command lines of today", args: strings.Fields("--server --disable-host-node-id --bind=127.0.0.2 --bootstrap-expect=3 --client=0.0.0.0 --ui --data-dir=/x"),
			check: func(c *Config) any { return []any{c.Server, c.BindAddr, c.BootstrapExpect, c.ClientAddr, c.UI.Enabled} }, want: []any{true, "127.0.0.2", 3, "0.0.0.0", true}},
		{name: "node meta", args: []string{"--dev", "--node-meta=a:1", "--node-meta", "b:2"}, check: func(c *Config) any { return c.NodeMeta }, want: map[string]string{"a": "1", "b": "2"}},
		{name: "config format", args: []string{"--config-file=plain", "--config-format=json"}, check: func(c *Config) any { return c.DataDir }, want: "/p"},
		{name: "bad config format", args: []string{"--config-format=yaml"}, wantErr: `-config-format must be either "hcl" or "json"`},
		{name: "missing file, nothing invented", args: []string{"--config-file=nope.json"}, wantErr: "nope.json: cannot be read"},
		{name: "bad fragment", args: []string{"--dev", "--hcl=a = = b"}, wantErr: "flag -hcl[0]:1:5: not valid HCL"},
		{name: "flag named in a broken rule", args: []string{"--data-dir=/x", "--bootstrap-expect=3"}, wantErr: "flag -bootstrap-expect: bootstrap_expect: 'bootstrap_expect > 0' requires 'server = true'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, _, err := flagLoad(t, f, c.args...)
			if c.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), c.wantErr) || strings.Contains(err.Error(), "problems") {
					t.Fatalf("got %v, want one problem with %q", err, c.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.check(cfg), c.want); d != "" {
				t.Errorf("got - want +:\n%s", d)
			}
		})
	}
}

// TestIssueConfiguration is the server.json the first users write.
func TestIssueConfiguration(t *testing.T) {
	f := files("c/server.json", `{
  "datacenter": "consul_cluster",
  "bind_addr": "192.168.17.161",
  "data_dir": "/opt/consul/data",
  "log_level": "INFO",
  "node_name": "consul-server01",
  "server": true,
  "bootstrap_expect": 3,
  "client_addr": "0.0.0.0",
  "enable_syslog": true,
  "rejoin_after_leave": true,
  "ui": true,
  "log_file": "/opt/consul/log",
  "retry_join": ["192.168.17.161", "192.168.16.197", "192.168.17.221"]
}`)
	c, warnings, err := flagLoad(t, f, "--config-dir=c")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Resolve(machine()); err != nil {
		t.Error(err)
	}
	ui := 0
	for _, w := range warnings {
		if w.Key == "ui" {
			ui++
		}
	}
	if ui != 1 {
		t.Errorf("ui is spoken of %d times:\n%v", ui, warnings)
	}
}

// TestExamples loads every directory of configs/ as an agent would.
func TestExamples(t *testing.T) {
	root := filepath.Join("..", "..", "configs")
	seen := 0
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() || path == root {
			return err
		}
		entries, err := os.ReadDir(path)
		if err != nil || !strings.Contains(strings.Join(names(entries), " "), ".") {
			return err
		}
		seen++
		t.Run(filepath.Base(path), func(t *testing.T) {
			if _, _, err := flagLoad(t, OSFiles{}, "--config-dir="+path); err != nil {
				t.Error(err)
			}
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 7 {
		t.Errorf("only %d example directories", seen)
	}
}

func names(entries []fs.DirEntry) []string {
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// TestGenerated fails when the schema or the reference page is stale.
func TestGenerated(t *testing.T) {
	schema, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][]byte{"configs/schema.json": schema, "docs/reference/configuration.md": Reference()} {
		got, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(path)))
		if err != nil || !bytes.Equal(bytes.ReplaceAll(got, []byte("\r\n"), []byte("\n")), want) {
			t.Errorf("%s is stale (%v): run go generate ./internal/config", path, err)
		}
	}
}
