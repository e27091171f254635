package contextfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPath(t *testing.T) {
	for _, c := range []struct {
		name string
		env  map[string]string
		want string
	}{
		{"XDG first", map[string]string{"XDG_CONFIG_HOME": "/x", "HOME": "/h"}, "/x/ctl/config.json"},
		{"home", map[string]string{"HOME": "/h"}, "/h/.config/ctl/config.json"},
		{"a relative directory is no place", map[string]string{"XDG_CONFIG_HOME": "x", "HOME": "/h"}, "/h/.config/ctl/config.json"},
		{"none", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Path(func(name string) (string, bool) { v, ok := c.env[name]; return v, ok })
			if got != filepath.FromSlash(c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestSaveAndLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "config.json")
	if f, err := Load(path); err != nil || len(f.Contexts) != 0 {
		t.Fatalf("a file that is not there: %v, %v", f, err)
	}
	f := &File{Current: "prod", Previous: "dev", Contexts: map[string]*Context{
		"prod": {Addresses: []string{"https://a:1", "https://b:1"}, TokenFile: "/t", CAFile: "/ca", Protected: true, ReadOnly: true, Color: "red"},
		"dev":  {Addresses: []string{"http://127.0.0.1:8500"}},
	}}
	if err := f.Save(path); err != nil {
		t.Fatal(err)
	}
	back, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(back, f); d != "" {
		t.Errorf("(- loaded, + saved):\n%s", d)
	}
	for file, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, want %v, %v", file, info.Mode().Perm(), want, err)
		}
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("other files are left: %v, %v", left, err)
	}
	if err := f.Save(""); err == nil {
		t.Error("saved nowhere")
	}
}

func TestLoadRefuses(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unknown field, with its line", "{\n \"contexts\": {\n  \"a\": {\"addresses\": [\"x\"], \"read_only\": true}}}", `:3: json: unknown field "read_only"`},

		{"broken JSON", "{\n \"contexts\": [", ":2: "},
		{"wrong type", "{\"contexts\": {\"a\": {\n\"addresses\": 5}}}", ":2: "},
		{"no address", `{"contexts": {"a": {}}}`, `context "a": addresses: at least one address is needed`},
		{"two tokens", `{"contexts": {"a": {"addresses": ["x"], "token": "t", "token_file": "/f"}}}`, "only one of token_file"},
		{"key without certificate", `{"contexts": {"a": {"addresses": ["x"], "client_key": "/f"}}}`, "client_cert and client_key belong together"},
		{"unknown colour", `{"contexts": {"a": {"addresses": ["x"], "color": "beige"}}}`, `color "beige" is not one of: red`},
		{"name", `{"contexts": {"a b": {"addresses": ["x"]}}}`, `"a b" is no name for a context`},
		{"name that --yes could not tell", `{"contexts": {"true": {"addresses": ["x"]}}}`, `"true" is no name`},
		{"current that is not there", `{"current": "b", "contexts": {"a": {"addresses": ["x"]}}}`, `the current context "b" is not among`},
		{"null", `{"contexts": {"a": null}}`, `context "a" is null`},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config.json")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Load(path)
			if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one that names the file and contains %q", err, c.want)
			}
		})
	}
}

func TestUseRenameRemove(t *testing.T) {
	one := &Context{Addresses: []string{"x"}}
	f := &File{Contexts: map[string]*Context{"a": one, "b": one}}
	steps := []struct {
		name              string
		do                func() error
		fails             string
		current, previous string
	}{
		{"use", func() error { return f.Use("a") }, "", "a", ""},
		{"use another", func() error { return f.Use("b") }, "", "b", "a"},
		{"use it again", func() error { return f.Use("b") }, "", "b", "a"},
		{"use what is not there", func() error { return f.Use("x") }, `there is no context "x"; there are: a, b`, "b", "a"},
		{"rename the one in use", func() error { return f.Rename("b", "c") }, "", "c", "a"},
		{"rename to a name that is taken", func() error { return f.Rename("c", "a") }, `there is a context "a" already`, "c", "a"},
		{"rename to no name", func() error { return f.Rename("c", "") }, "is no name", "c", "a"},
		{"remove the previous one", func() error { return f.Remove("a") }, "", "c", ""},
		{"remove the current one", func() error { return f.Remove("c") }, "", "", ""},
		{"remove what is gone", func() error { return f.Remove("c") }, "and no other", "", ""},
	}
	for _, s := range steps {
		err := s.do()
		if (err == nil) != (s.fails == "") || (err != nil && !strings.Contains(err.Error(), s.fails)) {
			t.Errorf("%s: error %v, want %q", s.name, err, s.fails)
		}
		if f.Current != s.current || f.Previous != s.previous {
			t.Errorf("%s: current %q, previous %q, want %q and %q", s.name, f.Current, f.Previous, s.current, s.previous)
		}
	}
}
