package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ctl-sh/ctl/internal/e2e/agentproc"
)

// corpusRow is a command line as users of Consul write it and what Consul's
// documented behaviour makes of it. out and err are regular expressions for the
// whole of standard output and for the beginning of standard error; an empty
// err means that nothing may be there.
type corpusRow struct {
	line string
	code int
	out  string
	err  string
}

const (
	serverID = `[0-9a-f-]{36}`
	detailed = `CreateIndex      \d+\nFlags            %s\nKey              %s\nLockIndex        0\nModifyIndex      \d+\nSession          -\nValue            %s\n`
)

// corpus is run in order against one fresh agent. Source: the behaviour of
// Consul 1.21's command line.
func corpus() []corpusRow {
	const key = `Success! Data written to: `
	return []corpusRow{
		// The program itself.
		{"consul version", 0, `ctl v.*\n(.*\n)*Consul-compatible 1\.21\.\d+\n(.*\n)*`, ""},
		{"consul -v", 0, `ctl v.*\n(.*\n)*`, ""},
		{"consul --version", 0, `ctl v.*\n(.*\n)*`, ""},
		{"consul version -format=json", 0, `\{\n   "Version": ".*",\n(.*\n)*\}\n`, ""},
		{"consul", 127, ``, `a command is missing\n`},
		{"consul nope", 127, ``, `unknown command "nope"`},
		{"consul kv", 1, ``, `ctl kv: a command is missing`},
		{"consul operator", 1, ``, `ctl operator`},
		{"consul operator raft", 1, ``, `ctl operator raft`},
		{"consul catalog", 1, ``, `ctl catalog`},
		{"consul services", 1, ``, `ctl services`},
		{"consul kv -h", 0, `(.*\n)+`, ""},
		{"consul kv get -help", 0, `(.*\n)+HTTP API Options:\n(.*\n)+`, ""},
		{"consul members -nope", 1, ``, `unknown flag: --nope`},
		{"consul keygen", 0, `[A-Za-z0-9+/]{43}=\n`, ""},
		{"consul members -http-addr=127.0.0.1:1", 1, ``, `Error retrieving members: Get "`},
		// Keys.
		{"consul kv put foo bar", 0, key + `foo\n`, ""},
		{"consul kv get foo", 0, `bar\n`, ""},
		{"consul kv put empty", 0, key + `empty\n`, ""},
		{"consul kv get empty", 0, `\n`, ""},
		{"consul kv put /slash v", 0, key + `slash\n`, ""},
		{"consul kv put number -5", 0, key + `number\n`, ""},
		{"consul kv get number", 0, `-5\n`, ""},
		{"consul kv put dashes -cas", 0, key + `dashes\n`, ""},
		{"consul kv get dashes", 0, `-cas\n`, ""},
		{"echo from-file > file; consul kv put f @file", 0, key + `f\n`, ""},
		{"consul kv get f", 0, `from-file\n\n`, ""},
		{"printf piped | consul kv put p -", 0, key + `p\n`, ""},
		{"consul kv get p", 0, `piped\n`, ""},
		{"consul kv put -base64 b aGVsbG8=", 0, key + `b\n`, ""},
		{"consul kv get b", 0, `hello\n`, ""},
		{"consul kv get -base64 foo", 0, `YmFy\n`, ""},
		{"consul kv put -flags=42 g v", 0, key + `g\n`, ""},
		{"consul kv get -detailed g", 0, fmt.Sprintf(detailed, "42", "g", "v"), ""},
		{"consul kv put -cas -modify-index=0 fresh v", 0, key + `fresh\n`, ""},
		{"consul kv put -cas -modify-index=0 foo x", 1, ``, `Error! Did not write to foo: CAS performed with index=0 and key already exists.\n`},
		{"consul kv put -cas -modify-index=1 foo x", 1, ``, `Error! Did not write to foo: CAS failed\n`},
		{"consul kv put -acquire foo", 1, ``, `Error! Missing -session \(required with -acquire and -release\)\n`},
		{"consul kv put -release foo", 1, ``, `Error! Missing -session \(required with -acquire and -release\)\n`},
		{"consul kv put", 1, ``, `Error! Missing KEY argument\n`},
		{"consul kv get", 1, ``, `Error! Missing KEY argument\n`},
		{"consul kv get missing", 1, ``, `Error! No key exists at: missing\n`},
		{"consul kv get -stale foo", 0, `bar\n`, ""},
		{"consul kv get -datacenter=dc1 foo", 0, `bar\n`, ""},
		{"consul kv get -datacenter dc9 foo", 1, ``, `Error querying Consul agent: Unexpected response code: 500`},
		{"consul kv put cfg/a 1 && consul kv put cfg/b 2 && consul kv put cfg/sub/c 3", 0, `(Success! .*\n){3}`, ""},
		{"consul kv get -recurse cfg/", 0, `cfg/a:1\ncfg/b:2\ncfg/sub/c:3\n`, ""},
		{"consul kv get -recurse nothing/", 0, ``, ""},
		{"consul kv get -recurse -detailed cfg/a", 0, fmt.Sprintf(detailed, "0", "cfg/a", "1"), ""},
		{"consul kv get -recurse -detailed cfg/", 0, fmt.Sprintf(detailed+`\n`+detailed+`\n`+detailed, "0", "cfg/a", "1", "0", "cfg/b", "2", "0", "cfg/sub/c", "3"), ""},
		{"consul kv get -keys cfg/", 0, `cfg/a\ncfg/b\ncfg/sub/\n`, ""},
		{"consul kv get -keys c", 0, `cfg/\n`, ""},
		{"consul kv get -keys -separator= cfg/", 0, `cfg/a\ncfg/b\ncfg/sub/c\n`, ""},
		{"consul kv get -keys nothing/", 0, ``, ""},
		{"consul kv export cfg/a", 0, `\[\n\t\{\n\t\t"key": "cfg/a",\n\t\t"flags": 0,\n\t\t"value": "MQ=="\n\t\}\n\]\n`, ""},
		{"consul kv export cfg/ | consul kv import -", 0, `Imported: cfg/a\nImported: cfg/b\nImported: cfg/sub/c\n`, ""},
		{"consul kv export cfg/a > keys && consul kv import @keys", 0, `Imported: cfg/a\n`, ""},
		{`consul kv import '[{"key":"i","flags":0,"value":"dg=="}]'`, 0, `Imported: i\n`, ""},
		{"consul kv import -prefix=copy/ @keys", 0, `Imported: copy/cfg/a\n`, ""},
		{"consul kv get copy/cfg/a", 0, `1\n`, ""},
		{"consul kv import nonsense", 1, ``, `Cannot unmarshal data: `},
		{"consul kv delete -cas -modify-index=1 foo", 1, ``, `Error! Did not delete key foo: CAS failed\n`},
		{"consul kv delete foo", 0, `Success! Deleted key: foo\n`, ""},
		{"consul kv delete foo", 0, `Success! Deleted key: foo\n`, ""},
		{"consul kv delete -recurse cfg/", 0, `Success! Deleted keys with prefix: cfg/\n`, ""},
		{"consul kv get -recurse cfg/", 0, ``, ""},
		{"consul kv delete", 1, ``, `Error! Missing KEY argument\n`},
		// Members and the agent.
		{"consul members", 0, `Node +Address +Status +Type +Build +Protocol +DC +Partition +Segment\n\S+ +ADDRESS:8301 +alive +server +1\.21\.\d+ +2 +dc1 +default +<all>\n`, ""},
		{"consul members -detailed", 0, `Node +Address +Status +Tags\n\S+ +ADDRESS:8301 +alive +\S*ap=default,\S*role=consul\S*\n`, ""},
		{"consul members -status=alive", 0, `(.*\n){2}`, ""},
		{"consul members -status failed", 2, ``, ""},
		{"consul members -status='('", 1, ``, `Failed to compile status regexp: `},
		{"consul members -token=abc", 0, `(.*\n){2}`, ""},
		{"consul info", 0, `agent:\n(\t\S+ = .*\n)+build:\n(\t\S+ = .*\n)+consul:\n(.*\n)*raft:\n(.*\n)*runtime:\n(.*\n)*serf_lan:\n(\t\S+ = .*\n)+(.*\n)*`, ""},
		{"consul reload", 0, `Configuration reload triggered\n`, ""},
		{"consul join", 1, ``, `At least one address to join must be specified.`},
		{"consul join 127.255.255.1:1", 1, ``, `Error joining address '127.255.255.1:1': (.*\n)*Failed to join any nodes.\n`},
		{"consul join ADDRESS", 0, `Successfully joined cluster by contacting 1 nodes.\n`, ""},
		{"consul force-leave", 1, ``, `A single node name must be specified to force leave.`},
		// The catalog and services.
		{"consul catalog datacenters", 0, `dc1\n`, ""},
		{"consul catalog nodes", 0, `Node +ID +Address +DC\n\S+ +[0-9a-f]{8} +ADDRESS +dc1\n`, ""},
		{"consul catalog nodes -detailed", 0, `Node +ID +Address +DC +TaggedAddresses +Meta\n\S+ +` + serverID + ` +ADDRESS +dc1 +lan=ADDRESS, .*\n`, ""},
		{"consul catalog nodes -service=none", 0, `No nodes match the given query - try expanding your search.\n`, ""},
		{"consul catalog nodes -node-meta=none=here", 0, `No nodes match the given query - try expanding your search.\n`, ""},
		{"consul services register -name=web -port=80 -tag=v1", 0, `Registered service: web\n`, ""},
		{`echo '{"service":{"name":"db","port":5432}}' > db.json && consul services register db.json`, 0, `Registered service: db\n`, ""},
		{"consul services register -name=bad -address=10.0.0.1:80", 1, ``, `Error: Invalid Service address`},
		{"consul services register", 1, ``, `Error: `},
		{"consul services deregister -id=web", 0, `Deregistered service: web\n`, ""},
		{"consul services deregister db.json", 0, `Deregistered service: db\n`, ""},
		{"consul services deregister -id=web", 1, ``, `Error deregistering service "web": Unexpected response code: 404`},
		// The servers.
		{"consul operator raft list-peers", 0, `Node +ID +Address +State +Voter +RaftProtocol +Commit Index +Trails Leader By\n\S+ +` + serverID + ` +ADDRESS:8300 +leader +true +3 +\d+ +-\n`, ""},
		{"consul operator raft list-peers -stale=true", 0, `(.*\n){2}`, ""},
		{"consul operator raft remove-peer", 1, ``, `.`},
		{"consul operator raft remove-peer -id=nobody", 1, ``, `Error removing peer: Unexpected response code: 500`},
		{"consul operator raft transfer-leader", 1, ``, `Error transferring leadership: `},
		{"consul operator autopilot get-config", 0, `CleanupDeadServers = true\nLastContactThreshold = .*\nMaxTrailingLogs = \d+\nMinQuorum = 0\nServerStabilizationTime = 10s\nRedundancyZoneTag = ""\nDisableUpgradeMigration = false\nUpgradeVersionTag = ""\n`, ""},
		{"consul operator autopilot set-config -cleanup-dead-servers=false", 0, `Configuration updated!\n`, ""},
		{"consul operator autopilot get-config", 0, `CleanupDeadServers = false\n(.*\n){7}`, ""},
		{"consul operator autopilot state", 0, `Healthy: +true\nFailure Tolerance: +0\nOptimistic Failure Tolerance: 0\nLeader: +` + serverID + `\nVoters:\n   ` + serverID + `\nServers:\n   ` + serverID + `\n(      .*\n)+`, ""},
		{"consul operator autopilot state -format=json", 0, `\{\n(.*\n)+\}\n`, ""},
		// Files.
		{"mkdir -p conf && echo '{\"datacenter\":\"dc1\"}' > conf/a.json && consul validate conf", 0, `(.*\n)*Configuration is valid!\n`, ""},
		{"consul validate -quiet conf", 0, ``, ""},
		{"echo '{' > bad.json; consul validate bad.json", 1, ``, `Config validation failed: `},
		{"consul validate", 1, ``, `Must specify at least one config file or directory`},
		{"consul tls ca create", 0, `(.*\n)*==> Saved consul-agent-ca.pem\n(.*\n)*`, ""},
		{"consul tls ca create", 1, ``, `(.*\n)*.*already exists`},
		{"consul tls cert create -server", 0, `==> WARNING(.*\n)*==> Saved dc1-server-consul-0.pem\n(.*\n)*`, ""},
		{"consul tls cert create", 1, ``, `.`},
		{"consul connect ca get-config", 0, `\{\n\t"Provider": "consul",\n(.*\n)+\}\n`, ""},
		{"consul leave", 0, `Graceful leave complete\n`, ""},
	}
}

// commandLine is one agent and a directory to run commands in.
type commandLine struct {
	dir, bin, address string
}

// exampleKey is the gossip key of the agent that the command lines are run at.
const exampleKey = "bSSFXgd0BkWo6wDYg8nPKcIRMFLUqRCnNIJbLBTsN8A="

func startCommandLine(t *testing.T) *commandLine {
	t.Helper()
	c := &commandLine{dir: t.TempDir(), bin: t.TempDir(), address: addresses.Loopback(1)[0]}
	built := *program
	if built == "" {
		built = c.bin
		if _, err := agentproc.Build(t.Context(), built, ""); err != nil {
			t.Fatal(err)
		}
	}
	ctl, err := filepath.Abs(filepath.Join(built, "ctl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"consul", "ctl"} {
		if err := os.Symlink(ctl, filepath.Join(c.bin, name)); err != nil && !errors.Is(err, os.ErrExist) {
			t.Fatal(err)
		}
	}
	log, err := os.Create(filepath.Join(c.bin, "agent.log"))
	if err != nil {
		t.Fatal(err)
	}
	agent := exec.Command(ctl, "agent", "-dev", "-bind", c.address, "-client", c.address, "-encrypt", exampleKey)
	agent.Stdout, agent.Stderr = log, log
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = agent.Process.Kill() // may have left
		_ = agent.Wait()
		log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("the agent's log ends with\n%s", text[max(0, len(text)-4000):])
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !c.ready(ctx) {
		select {
		case <-ctx.Done():
			t.Fatal("the agent does not take a write")
		case <-tick.C:
		}
	}
	return c
}

func (c *commandLine) ready(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+c.address+":8500/v1/kv/ready", strings.NewReader("x"))
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// run runs line in a shell.
func (c *commandLine) run(t *testing.T, line string) (code int, out, errOut string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Dir = c.dir
	cmd.Env = []string{"PATH=" + c.bin + string(os.PathListSeparator) + os.Getenv("PATH"), "HOME=" + c.dir, "CONSUL_HTTP_ADDR=http://" + c.address + ":8500"}
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", line, err)
	}
	return cmd.ProcessState.ExitCode(), o.String(), e.String()
}

// TestConsulCommandLines runs command lines of Consul's users, with a program
// of that name, and compares what comes out.
func TestConsulCommandLines(t *testing.T) {
	t.Parallel()
	c := startCommandLine(t)
	rows := corpus()
	if len(rows) < 80 {
		t.Errorf("%d command lines, want at least 80", len(rows))
	}
	for _, r := range rows {
		r.line = strings.ReplaceAll(r.line, "ADDRESS", c.address)
		out := strings.ReplaceAll(r.out, "ADDRESS", regexp.QuoteMeta(c.address))
		code, gotOut, gotErr := c.run(t, r.line)
		if code != r.code {
			t.Errorf("%s\nexit code %d, want %d\n%s", r.line, code, r.code, gotErr)
		}
		if !regexp.MustCompile(`^` + out + `$`).MatchString(gotOut) {
			t.Errorf("%s\nstandard output\n%s\nwant\n%s", r.line, gotOut, out)
		}
		if (r.err == "") != (gotErr == "") || !regexp.MustCompile(`^`+r.err).MatchString(gotErr) {
			t.Errorf("%s\nstandard error\n%s\nwant it to begin with\n%s", r.line, gotErr, r.err)
		}
	}
	t.Logf("%d command lines", len(rows))
}
