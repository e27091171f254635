package doctor

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/cli/clitest"
	"github.com/ctl-sh/ctl/internal/e2e/agentproc"
)

var addresses agentproc.Allocator

// place is a machine with a configuration of an agent n1, at an address of its
// own.
type place struct {
	at, dir, data string
}

// newPlace writes the configuration with more members. The data directory is not
// there yet: how fast this machine's disk is must not matter.
func newPlace(t *testing.T, more string) place {
	t.Helper()
	p := place{at: addresses.Loopback(1)[0], dir: t.TempDir(), data: filepath.Join(t.TempDir(), "data")}
	text := fmt.Sprintf(`{"node_name": "n1", "data_dir": %q, "bind_addr": %q, "client_addr": %q%s}`, p.data, p.at, p.at, more)
	if err := os.WriteFile(filepath.Join(p.dir, "agent.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p place) listen(t *testing.T, port string) {
	t.Helper()
	l, err := net.Listen("tcp", p.at+":"+port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
}

// look runs doctor on the machine, with no agent where the settings point.
func (p place) look(t *testing.T, args ...string) (report, int) {
	t.Helper()
	got := clitest.Do(t, NewCommand, clitest.Run{Args: append([]string{"doctor", "-o", "json", "-config-dir", p.dir}, args...)})
	var r report
	if err := json.Unmarshal([]byte(got.Out), &r); err != nil {
		t.Fatalf("exit code %d, standard error %q, output %q: %v", got.Code, got.Err, got.Out, err)
	}
	return r, got.Code
}

func TestMachine(t *testing.T) {
	for _, c := range []struct {
		name          string
		more          string // of the configuration
		prepare       func(t *testing.T, p place)
		found         string // %s is the address
		evidence, fix string // of the first finding
		unchecked     string
	}{
		{name: "all is free, and no agent runs", unchecked: "the cluster: Error asking the agent at http://%s:8500"},
		{
			name: "an unknown key", more: `, "servr": true`,
			found: "critical config/servr", evidence: "agent.json:1:", fix: "server", unchecked: "the configuration in ",
		},
		{
			name: "two problems", more: `, "log_level": "LOUD", "ports": {"http": 70000}`,
			found: "critical config/log_level, critical config/ports.http", evidence: "loud", unchecked: "the configuration in ",
		},
		{
			name: "a warning is a note", more: `, "server": true, "bootstrap_expect": 3`,
			found: "note config/bootstrap_expect", evidence: "agent.json:1:", unchecked: "the cluster: ",
		},
		{
			name: "an address of another machine", more: `, "addresses": {"http": "192.0.2.1"}`,
			found: "critical port/192.0.2.1:8500/tcp", evidence: "cannot assign", fix: "client_addr", unchecked: "the cluster: ",
		},
		{
			name: "a port of another program", prepare: func(t *testing.T, p place) { p.listen(t, "8600") },
			found: "critical port/%s:8600/tcp", evidence: "address already in use", fix: "ports.dns", unchecked: "the cluster: ",
		},
		{
			name: "a data directory that is none", prepare: func(t *testing.T, p place) {
				if err := os.WriteFile(p.data, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			},
			found: "critical disk/n1", evidence: "this machine: ", fix: "the right to write", unchecked: "the cluster: ",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, c.more)
			if c.prepare != nil {
				c.prepare(t, p)
			}
			r, code := p.look(t)
			here := func(s string) string { return strings.ReplaceAll(s, "%s", p.at) }
			if got := r.found(); got != here(c.found) {
				t.Fatalf("found %q, want %q: %+v", got, here(c.found), r.Findings)
			}
			exit := 0
			if strings.Contains(c.found, critical) {
				exit = 16
			}
			if code != exit || r.Healthy != (exit == 0) {
				t.Errorf("exit code %d, healthy %t", code, r.Healthy)
			}
			if all := strings.Join(r.Unchecked, "\n"); !strings.Contains(all, here(c.unchecked)) {
				t.Errorf("no %q in what was not checked: %s", here(c.unchecked), all)
			}
			if len(r.Findings) == 0 {
				return
			}
			if f := r.Findings[0]; !strings.Contains(strings.Join(f.Evidence, "\n"), c.evidence) || !strings.Contains(f.Fix, c.fix) || f.Summary == "" || f.Fix == "" {
				t.Errorf("got %+v", f)
			}
		})
	}
}

// TestPortsOfTheAgentItself has ports in use while an agent answers.
func TestPortsOfTheAgentItself(t *testing.T) {
	p := newPlace(t, "")
	p.listen(t, "8301")
	agentOf := func(name string) string {
		own := selfOf(name, fmt.Sprintf(`"SerfBindAddrLAN":%q`, p.at+":8301"), "true")
		return clitest.NewAgent(t, healthy(answers{selfURL: own})).URL
	}
	if r, code := p.look(t, "-http-addr", agentOf("n1")); code != 0 || len(r.Findings) > 0 {
		t.Errorf("its own: exit code %d, found %s", code, r.found())
	}
	if r, code := p.look(t, "-http-addr", agentOf("n2")); code != 16 || r.found() != "critical port/"+p.at+":8301/tcp" {
		t.Errorf("of an agent of another name: exit code %d, found %s", code, r.found())
	}
}

// TestPortsOfWhoWillNotSay has an HTTP API that refuses to say whose it is.
func TestPortsOfWhoWillNotSay(t *testing.T) {
	p := newPlace(t, "")
	p.listen(t, "8301")
	agent := clitest.NewAgent(t, answers{selfURL: {Status: 403, Body: "Permission denied"}})
	l := readLocal([]string{p.dir})
	c := &cluster{views: []*view{{address: l.api()[0], err: errOf(t, agent.URL)}}}
	l.check(c)
	if len(l.findings) > 0 || len(l.unchecked) != 1 || !strings.Contains(l.unchecked[0], "refuses to say") {
		t.Errorf("found %+v, not checked %q", l.findings, l.unchecked)
	}
}

// errOf is the error of an agent that refuses.
func errOf(t *testing.T, url string) error {
	t.Helper()
	o := &options{timeout: defaultTimeout}
	v := &view{address: url, url: url, http: http.DefaultClient}
	err := o.fillOne(t.Context(), v)
	if err == nil {
		t.Fatal("it does not refuse")
	}
	return err
}

func TestReachable(t *testing.T) {
	for address, want := range map[string]string{
		"10.0.0.1:8500": "10.0.0.1:8500", "0.0.0.0:8500": "127.0.0.1:8500", "[::]:8500": "[::1]:8500", "[fd00::1]:8500": "[fd00::1]:8500",
	} {
		if got := reachable(address); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
}

func TestSettingsThatAreNotUnderstood(t *testing.T) {
	p := newPlace(t, "")
	got := clitest.Do(t, NewCommand, clitest.Run{Args: []string{"doctor", "-config-dir", p.dir, "-ca-file", "/no/such/file"}})
	if got.Code == 0 || got.Out != "" || !strings.Contains(got.Err, "/no/such/file") {
		t.Errorf("exit code %d, output %q, error %q", got.Code, got.Out, got.Err)
	}
}
