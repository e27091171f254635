package config

import (
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/cli/clitest"
	"github.com/ctl-sh/ctl/internal/cli/contextfile"
)

func TestExplain(t *testing.T) {
	dir := t.TempDir()
	f := &contextfile.File{Current: "prod", Contexts: map[string]*contextfile.Context{
		"prod": {Addresses: []string{"https://a:8501", "https://b:8501"}, Token: "s3cret-of-context", CAFile: "/ca.pem", Protected: true},
	}}
	if err := f.Save(filepath.Join(dir, "ctl", "config.json")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, args string
		env        map[string]string
		want       []string // lines, with single blanks
	}{
		{"context", "", nil, []string{
			"context prod `ctl context use` protected",
			`http-addr https://a:8501, https://b:8501 context "prod"`,
			`token (secret, 17 characters) context "prod"`,
			`ca-file /ca.pem context "prod"`,
			"http-ssl-verify true default",
			"client-cert",
		}},
		{"variables and flags over it", "-datacenter dc2 -ca-file x.pem", map[string]string{"CONSUL_HTTP_TOKEN_FILE": "/t", "CTL_STALE": "true", "NO_COLOR": "1", "CTL_EXIT_CODES": "detailed"}, []string{
			"token-file /t CONSUL_HTTP_TOKEN_FILE",
			`token (secret, 17 characters) context "prod" not used: --token-file from CONSUL_HTTP_TOKEN_FILE wins`,
			"datacenter dc2 --datacenter", "ca-file x.pem --ca-file", "stale true CTL_STALE", "color 1 NO_COLOR", "exit-codes detailed CTL_EXIT_CODES",
		}},
		{"another address", "", map[string]string{"CONSUL_HTTP_ADDR": "c:1", "CONSUL_HTTP_AUTH": "ada:lovelace"}, []string{
			"context prod `ctl context use` left aside: CONSUL_HTTP_ADDR names another address, protected",
			"http-addr c:1 CONSUL_HTTP_ADDR", "token", "http-auth (secret, 12 characters) CONSUL_HTTP_AUTH",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := map[string]string{"XDG_CONFIG_HOME": dir}
			maps.Copy(env, c.env)
			got := clitest.Do(t, NewCommand, clitest.Run{Args: append([]string{"config", "explain"}, strings.Fields(c.args)...), Env: env})
			if got.Code != 0 || got.Err != "" {
				t.Fatalf("exit code %d: %s", got.Code, got.Err)
			}
			lines := map[string]bool{}
			for line := range strings.Lines(got.Out) {
				lines[strings.Join(strings.Fields(line), " ")] = true
			}
			for _, want := range c.want {
				if !lines[want] {
					t.Errorf("no line %q in\n%s", want, got.Out)
				}
			}
			if strings.Contains(got.Out, "s3cret") || strings.Contains(got.Out, "lovelace") {
				t.Errorf("a secret is shown:\n%s", got.Out)
			}
		})
	}
}
