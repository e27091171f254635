package tls

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ctl-sh/ctl/internal/cli/clitest"
	"github.com/ctl-sh/ctl/internal/tlsconf/issue"
)

// do runs ctl tls in the test's working directory.
func do(t *testing.T, args ...string) clitest.Result {
	t.Helper()
	return clitest.Do(t, NewCommand, clitest.Run{Args: append([]string{"tls"}, args...)})
}

func ok(t *testing.T, args ...string) clitest.Result {
	t.Helper()
	got := do(t, args...)
	if got.Code != 0 {
		t.Fatalf("%q: exit code %d: %s%s", args, got.Code, got.Out, got.Err)
	}
	return got
}

func TestThreeCommands(t *testing.T) {
	t.Chdir(t.TempDir())
	if got := ok(t, "ca", "create"); got.Out != "==> Saved consul-agent-ca.pem\n==> Saved consul-agent-ca-key.pem\n" {
		t.Errorf("ca create: %q", got.Out)
	}
	got := ok(t, "cert", "create", "-server")
	if !strings.Contains(got.Out, "WARNING") || !strings.HasSuffix(got.Out, "==> Using consul-agent-ca.pem and consul-agent-ca-key.pem\n==> Saved dc1-server-consul-0.pem\n==> Saved dc1-server-consul-0-key.pem\n") {
		t.Errorf("cert create -server: %q", got.Out)
	}
	ok(t, "cert", "create", "-server", "-node", "n7")
	if got := ok(t, "cert", "create", "-client", "-dc", "DC2"); strings.Contains(got.Out, "WARNING") || !strings.Contains(got.Out, "dc2-client-consul-0.pem") {
		t.Errorf("cert create -client: %q", got.Out)
	}
	ok(t, "cert", "create", "-cli")
	modes := map[string]os.FileMode{}
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		modes[f.Name()] = info.Mode().Perm()
	}
	for name, mode := range modes {
		want := os.FileMode(0o644)
		if strings.HasSuffix(name, "-key.pem") {
			want = 0o600
		}
		if mode != want {
			t.Errorf("%s has mode %v, want %v", name, mode, want)
		}
	}
	if len(modes) != 10 {
		t.Errorf("files: %v", modes)
	}
	got = ok(t, "inspect", "-ca-file", "consul-agent-ca.pem", "dc1-server-consul-1.pem")
	for _, want := range []string{"server.dc1.consul, n7.server.dc1.consul, localhost", "127.0.0.1", "server of datacenter dc1", "leads to consul-agent-ca.pem", "ECDSA P-256"} {
		if !strings.Contains(got.Out, want) {
			t.Errorf("inspect does not say %q:\n%s", want, got.Out)
		}
	}
}

// TestDryRuns checks that a dry run finds what would be refused, and leaves
// nothing behind.
func TestDryRuns(t *testing.T) {
	t.Chdir(t.TempDir())
	if got := ok(t, "ca", "create", "-dry-run"); got.Out != "Dry run, nothing was changed. Would make a certificate authority for the domain consul, valid for 1825 days, in consul-agent-ca.pem and consul-agent-ca-key.pem\n" {
		t.Errorf("ca create: %q", got.Out)
	}
	if got := do(t, "cert", "create", "-client", "-dry-run"); got.Code != 1 || !strings.HasPrefix(got.Err, "the authority's certificate cannot be read") {
		t.Errorf("cert create without an authority: %+v", got)
	}
	if got := ok(t, "ca", "create", "-o", "name"); got.Out != "consul-agent-ca.pem\nconsul-agent-ca-key.pem\n" {
		t.Errorf("names of what was made: %q", got.Out)
	}
	if got := ok(t, "cert", "create", "-client", "-dry-run"); !strings.HasSuffix(got.Out, "in dc1-client-consul-0.pem and dc1-client-consul-0-key.pem\n") {
		t.Errorf("cert create: %q", got.Out)
	}
	if got := do(t, "ca", "create", "-dry-run"); got.Code != 1 || !strings.Contains(got.Err, "already exists") {
		t.Errorf("of files that are there: %+v", got)
	}
	if files, err := os.ReadDir("."); err != nil || len(files) != 2 {
		t.Errorf("files: %v, %v", files, err)
	}
}

func TestInspectForms(t *testing.T) {
	t.Chdir(t.TempDir())
	ok(t, "ca", "create", "-common-name", "test")
	got := ok(t, "inspect", "-o", "table", "consul-agent-ca.pem")
	if !strings.HasPrefix(got.Out, "Source               #  Subject ") || !strings.Contains(got.Out, "consul-agent-ca.pem  1  CN=test") {
		t.Errorf("table: %s", got.Out)
	}
	got = ok(t, "inspect", "-o", "go-template={{range .}}{{(index .Certificates 0).CA}}{{end}}", "consul-agent-ca.pem")
	if got.Out != "true" {
		t.Errorf("template: %q", got.Out)
	}
}

func TestBadInput(t *testing.T) {
	t.Chdir(t.TempDir())
	ok(t, "ca", "create")
	ok(t, "ca", "create", "-domain", "other")
	ok(t, "ca", "create", "-domain", "strict", "-name-constraint", "-additional-name-constraint", "example")
	before := read(t, "consul-agent-ca.pem")
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"authority twice", []string{"ca", "create"}, "consul-agent-ca.pem already exists."},
		{"no days", []string{"ca", "create", "-domain", "d", "-days", "0"}, "-days must be a positive number"},
		{"domain with a slash", []string{"ca", "create", "-domain", "a/b"}, `-domain "a/b" is not`},
		{"constraint without constraints", []string{"ca", "create", "-domain", "d", "-additional-name-constraint", "x"}, "does nothing without"},
		{"no role", []string{"cert", "create"}, "Please provide either -server, -client, or -cli"},
		{"two roles", []string{"cert", "create", "-server", "-cli"}, "Please provide either -server, -client, or -cli"},
		{"node of a client", []string{"cert", "create", "-client", "-node", "x"}, "-node is for certificates of servers"},
		{"no address", []string{"cert", "create", "-client", "-additional-ipaddress", "10.0.0"}, `"10.0.0" is not an IP address`},
		{"no DNS name", []string{"cert", "create", "-client", "-additional-dnsname", "a b"}, `"a b" is not a DNS name`},
		{"client that calls itself a server", []string{"cert", "create", "-client", "-additional-dnsname", "server.dc1.consul"}, "must not have it"},
		{"datacenter with an underscore", []string{"cert", "create", "-server", "-dc", "a_b"}, "cannot be part of a name"},
		{"no such authority", []string{"cert", "create", "-server", "-domain", "gone"}, "gone-agent-ca.pem: no such file"},
		{"key of another authority", []string{"cert", "create", "-server", "-key", "other-agent-ca-key.pem"}, "is not the key of"},
		{"outside of the constraints", []string{"cert", "create", "-client", "-domain", "strict", "-additional-dnsname", "www.test"}, "www.test"},
		{"argument", []string{"ca", "create", "x"}, "Too many arguments"},
		{"inspect nothing", []string{"inspect"}, "Name at least one file"},
		{"inspect no file", []string{"inspect", "gone.pem"}, "no such file"},
		{"inspect a key", []string{"inspect", "consul-agent-ca-key.pem"}, "a private key and no certificate"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := do(t, tt.args...)
			if got.Code != 1 || !strings.Contains(got.Err, tt.want) {
				t.Errorf("exit code %d, want %q in:\n%s", got.Code, tt.want, got.Err)
			}
		})
	}
	if read(t, "consul-agent-ca.pem") != before {
		t.Error("an authority was written over")
	}
	files, _ := filepath.Glob("dc1-*")
	if len(files) > 0 {
		t.Errorf("refused commands left %v", files)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestInspectSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	ca, err := issue.NewAuthority(issue.AuthorityOptions{Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	other, err := issue.NewAuthority(issue.AuthorityOptions{Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	put := func(name string, parts ...[]byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, slices.Concat(parts...), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	leaf := func(a *issue.Authority, from time.Time, life time.Duration) ([]byte, []byte) {
		c, k, err := a.Issue(issue.Options{Role: issue.Server, Datacenter: "dc1", Domain: "consul", NotBefore: from, Life: life})
		if err != nil {
			t.Fatal(err)
		}
		return c, k
	}
	root := put("ca.pem", ca.CertPEM)
	good, goodKey := leaf(ca, time.Time{}, time.Hour)
	old, _ := leaf(ca, time.Now().Add(-2*time.Hour), time.Hour)
	early, _ := leaf(ca, time.Now().Add(time.Hour), time.Hour)
	foreign, foreignKey := leaf(other, time.Time{}, time.Hour)
	tests := []struct {
		name string
		args []string
		want []string // problems
	}{
		{"good", []string{"-ca-file", root, put("good.pem", good, goodKey)}, []string{}},
		{"expired", []string{put("old.pem", old)}, []string{"expired 1h"}},
		{"not yet valid", []string{put("early.pem", early)}, []string{"not yet valid"}},
		{"of another authority", []string{"-ca-file", root, put("foreign.pem", foreign)}, []string{"does not lead to"}},
		{"key of another", []string{put("mixed.pem", good, foreignKey)}, []string{"not that of the certificate"}},
		{"for another name", []string{"-tls-server-name", "server.dc2.consul", put("name.pem", good)}, []string{"server.dc2.consul"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := do(t, append([]string{"inspect", "-format", "json"}, tt.args...)...)
			var found []Finding
			if err := json.Unmarshal([]byte(got.Out), &found); err != nil || len(found) != 1 {
				t.Fatalf("%v in %s%s", err, got.Out, got.Err)
			}
			if (got.Code == 0) != (len(tt.want) == 0) || len(found[0].Problems) != len(tt.want) {
				t.Errorf("exit code %d, problems %v", got.Code, found[0].Problems)
			}
			for i, want := range tt.want {
				if i < len(found[0].Problems) && !strings.Contains(found[0].Problems[i], want) {
					t.Errorf("got %q, want %q", found[0].Problems[i], want)
				}
			}
			if strings.Contains(got.Out+got.Err, "PRIVATE") {
				t.Error("a key was shown")
			}
		})
	}
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{90 * time.Minute: "1h30m0s", 49 * time.Hour: "2 days", 365 * day: "365 days"} {
		if got := age(d); got != want {
			t.Errorf("%v: got %q", d, got)
		}
	}
}
