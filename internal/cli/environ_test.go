package cli

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/cli/contextfile"
)

// TestEnvironLeadsToTheSamePlace: a command that is run with the environment of a
// target reaches the same agents with the same token under the same marks, whatever
// the operator's own environment says.
func TestEnvironLeadsToTheSamePlace(t *testing.T) {
	dir := t.TempDir()
	file := &contextfile.File{Current: "prod", Contexts: map[string]*contextfile.Context{
		"prod": {Addresses: []string{"10.0.0.1:8500", "10.0.0.2:8500"}, Token: "of-prod", Protected: true},
		"test": {Addresses: []string{"10.1.0.1:8500"}, TokenCommand: "echo of-test", ReadOnly: true, Datacenter: "dc2"},
	}}
	if err := file.Save(filepath.Join(dir, "ctl", "config.json")); err != nil {
		t.Fatal(err)
	}
	target := func(t *testing.T, env map[string]string, args ...string) (*Target, string) {
		t.Helper()
		_, _, conn := parsedConn(t, env, args...)
		got, err := conn.Target()
		if err != nil {
			t.Fatal(err)
		}
		return got, conn.http.Transport.(*roundTripper).token
	}
	addresses := func(t *Target) []string {
		var out []string
		for _, e := range t.Endpoints {
			out = append(out, e.URL)
		}
		return out
	}
	for _, c := range []struct {
		name    string
		env     map[string]string
		args    []string
		context string
		token   string
	}{
		{"the current context", nil, nil, "prod", "of-prod"},
		{"another by flag", map[string]string{"CTL_HTTP_TOKEN": ""}, []string{"--context=test"}, "test", "of-test"},
		{"another by variable", map[string]string{"CTL_CONTEXT": "test", "CONSUL_HTTP_TOKEN": "c"}, nil, "test", "of-test"},
		{"a context, with another token", nil, []string{"--context=prod", "--token=t"}, "prod", "t"},
		{"an address by flag", map[string]string{"CTL_HTTP_TOKEN": "e"}, []string{"--http-addr=10.9.0.1:8500"}, "", "e"},
		{"an address by variable", map[string]string{"CONSUL_HTTP_ADDR": "10.9.0.1:8500", "CONSUL_HTTP_TOKEN": "c"}, nil, "", "c"},
		{"an address by flag and a context", nil, []string{"--context=test", "--http-addr=https://10.9.0.1:8501"}, "", "of-test"},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := map[string]string{"XDG_CONFIG_HOME": dir}
			maps.Copy(env, c.env)
			parent, token := target(t, env, c.args...)
			if token != c.token {
				t.Fatalf("the token is %q, want %q", token, c.token)
			}
			for _, v := range parent.Environ {
				name, value, _ := strings.Cut(v, "=")
				env[name] = value
			}
			child, inherited := target(t, env)
			if child.Context != c.context || c.context != "" && child.Context != parent.Context {
				t.Errorf("context %q, want %q of %q", child.Context, c.context, parent.Context)
			}
			if !slices.Equal(addresses(child), addresses(parent)) || inherited != token {
				t.Errorf("agents %v with %q, want %v with %q", addresses(child), inherited, addresses(parent), token)
			}
			if c.context != "" && (child.Protected != parent.Protected || (child.ReadOnly == "") != (parent.ReadOnly == "") || child.Datacenter != parent.Datacenter) {
				t.Errorf("marks %+v, want %+v", child, parent)
			}
			if env["CONSUL_HTTP_TOKEN"] != token {
				t.Errorf("others get the token %q, want %q", env["CONSUL_HTTP_TOKEN"], token)
			}
		})
	}
}
