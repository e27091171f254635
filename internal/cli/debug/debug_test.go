package debug

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/cli/clitest"
	"github.com/spf13/cobra"
)

// The secrets the canned agent gives away.
const (
	headerCanary = "canary-header-1"
	configCanary = "canary-config-token-2"
	gossipCanary = "pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvMwy7Cu5s="
	logCanary    = "canary-log-token-3"
	keyCanary    = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgcanary"
	ownCanary    = "4f7b7c54-0000-canary-token-of-the-command"
	bearerCanary = "canarybearer55555"
)

var canaries = []string{headerCanary, configCanary, gossipCanary, logCanary, keyCanary, ownCanary, bearerCanary}

const selfBody = `{"Config": {"Version": "1.22.5", "NodeName": "n1", "Datacenter": "dc1"}, "DebugConfig": {
	"ACLTokens": {"Agent": "` + configCanary + `"}, "EncryptKey": "hidden", "EncryptVerifyIncoming": true,
	"Checks": [{"HTTP": "http://x", "Header": {"X-Any": ["` + headerCanary + `"]}}],
	"Args": ["agent", "-encrypt", "` + gossipCanary + `"],
	"Pasted": "-----BEGIN EC PRIVATE KEY-----\n` + keyCanary + `\n-----END EC PRIVATE KEY-----\n"},
	"Stats": {"raft": {"term": "3"}}}`

const logBody = "2026-01-01T00:00:00Z [INFO]  agent: started\n" +
	"2026-01-01T00:00:01Z [WARN]  agent: refused: token=" + logCanary + "\n" +
	"2026-01-01T00:00:02Z [DEBUG] agent.http: Authorization: Bearer " + bearerCanary + "\n" +
	"-----BEGIN PRIVATE KEY-----\n" + keyCanary + "\nAbC=\n-----END PRIVATE KEY-----\n" +
	"2026-01-01T00:00:03Z [INFO]  agent: value " + configCanary + " again, and " + ownCanary + "\n" +
	"2026-01-01T00:00:04Z [INFO]  agent: last line\n"

func answers() map[string]clitest.Answer {
	return map[string]clitest.Answer{
		"GET /v1/agent/self":                         {Body: selfBody},
		"GET /v1/agent/host":                         {Body: `{"CPU": []}`},
		"GET /v1/agent/members":                      {Body: `[{"Name": "n1"}]`},
		"GET /v1/operator/raft/configuration?stale=": {Body: `{"Servers": [{"ID": "a"}]}`},
		"GET /v1/operator/autopilot/state?stale=":    {Body: `{"Healthy": true}`},
		"GET /v1/agent/metrics":                      {Body: `{"Gauges": [{"Name": "g", "Value": 1.50}]}`},
		"GET /v1/agent/monitor?loglevel=TRACE":       {Body: logBody},
		"GET /debug/pprof/":                          {Body: "heap\t1\n"},
		"GET /debug/pprof/heap":                      {Body: "HEAP"},
		"GET /debug/pprof/goroutine":                 {Body: "GOROUTINE"},
		"GET /debug/pprof/profile?seconds=5":         {Body: "CPU"},
		"GET /debug/pprof/trace?seconds=1":           {Body: "TRACE"},
	}
}

// run runs the command in a directory of its own, with a clock that jumps and,
// before each jump, what else is to happen.
func run(t *testing.T, agent *clitest.Agent, between func(o *options), args ...string) (clitest.Result, string) {
	t.Helper()
	dir := t.TempDir()
	build := func(f *cli.Factory) *cobra.Command {
		now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		o := &options{now: func() time.Time { return now }}
		o.sleep = func(_ context.Context, d time.Duration) {
			if between != nil {
				between(o)
			}
			now = now.Add(d)
		}
		return newCommand(f, o)
	}
	args = append([]string{"debug", "-duration=10s", "-interval=5s"}, args...)
	if !slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "-output") }) {
		args = append(args, "-output="+filepath.Join(dir, "out"))
	}
	r := clitest.Do(t, build, clitest.Run{Args: args, Agent: agent, Env: map[string]string{"CTL_HTTP_TOKEN": ownCanary}})
	return r, filepath.Join(dir, "out")
}

func logRead(o *options) { <-o.logEnded }

// unpack returns the files of an archive by their names in its directory.
func unpack(t *testing.T, name string) map[string]string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for packed := tar.NewReader(zipped); ; {
		h, err := packed.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(packed)
		if err != nil {
			t.Fatal(err)
		}
		root, rest, _ := strings.Cut(h.Name, "/")
		if root != strings.TrimSuffix(path.Base(name), ".tar.gz") {
			t.Errorf("%s is not below the archive's name", h.Name)
		}
		files[rest] = string(data)
	}
}

func readIndex(t *testing.T, files map[string]string) index {
	t.Helper()
	var i index
	if err := json.Unmarshal([]byte(files["index.json"]), &i); err != nil {
		t.Fatal(err)
	}
	return i
}

func TestACaptureHasEverythingAndNoSecret(t *testing.T) {
	r, out := run(t, clitest.NewAgent(t, answers()), logRead)
	if r.Code != 0 {
		t.Fatalf("%+v", r)
	}
	for _, want := range []string{
		"Agent Version: '1.22.5'\n", "Interval: '5s'\n", "==> Beginning capture interval 2026-01-02T03:04:10Z (1)\n",
		"==> Capture successful 2026-01-02T03:04:10Z (1)\n", "==> Saved debug archive: " + out + ".tar.gz\n",
	} {
		if !strings.Contains(r.Out, want) {
			t.Errorf("%q is not in\n%s", want, r.Out)
		}
	}
	if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is left: %v", err)
	}
	files := unpack(t, out+".tar.gz")
	for name, want := range map[string]string{
		"agent.json": `"Version": "1.22.5"`, "host.json": "CPU", "members.json": "n1", "raft.json": "Servers", "autopilot.json": "Healthy",
		"metrics.json": `"Value":1.50`, "consul.log": "agent: last line", "0/heap.prof": "HEAP", "1/heap.prof": "HEAP",
		"1/goroutine.prof": "GOROUTINE", "profile.prof": "CPU", "trace.out": "TRACE",
	} {
		if !strings.Contains(files[name], want) {
			t.Errorf("%s has no %q: %q", name, want, files[name])
		}
	}
	if n := strings.Count(files["metrics.json"], "\n"); n != 2 {
		t.Errorf("metrics of %d intervals, want 2", n)
	}
	for name, text := range files {
		for _, canary := range canaries {
			if strings.Contains(text, canary) {
				t.Errorf("%s has the secret %s", name, canary)
			}
		}
	}
	if !strings.Contains(files["agent.json"], `"EncryptVerifyIncoming": true`) {
		t.Error("what is no secret was taken out")
	}
	var found []removal
	if err := json.Unmarshal([]byte(files["scrubbed.json"]), &found); err != nil {
		t.Fatal(err)
	}
	for _, want := range []removal{
		{"agent.json", "DebugConfig.ACLTokens.Agent", "named secret"},
		{"agent.json", "DebugConfig.Checks[0].Header.X-Any[0]", "named secret"},
		{"agent.json", "DebugConfig.Args[2]", "key in base64"},
		{"agent.json", "DebugConfig.Pasted", "private key"},
		{"consul.log", "line 2", "named secret"},
		{"consul.log", "line 3", "authorization"},
		{"consul.log", "line 4", "private key"},
		{"consul.log", "line 5", "private key"},
		{"consul.log", "line 8", "known secret"},
	} {
		if !slices.Contains(found, want) {
			t.Errorf("%v is not listed in %v", want, found)
		}
	}
	i := readIndex(t, files)
	if i.Scrubbed != len(found) || i.Intervals != 2 || i.Node != "n1" || i.Interrupted || i.Full {
		t.Errorf("index: %+v", i)
	}
	// The canned log ends at once, which a real one does not.
	if len(i.Problems) != 1 || i.Problems[0].What != "logs" {
		t.Errorf("problems: %+v", i.Problems)
	}
}

func TestWhatCannotBeCapturedIsRecorded(t *testing.T) {
	a := answers()
	delete(a, "GET /v1/agent/host")
	a["GET /debug/pprof/"] = clitest.Answer{Status: 404, Body: "profiles are off"}
	a["GET /v1/agent/members"] = clitest.Answer{Status: 403, Body: "Permission denied: token " + ownCanary}
	r, out := run(t, clitest.NewAgent(t, a), nil, "-capture=host,members,pprof,metrics")
	if r.Code != 0 || !strings.Contains(r.Err, "Set enable_debug to true") || strings.Contains(r.Err, ownCanary) {
		t.Fatalf("%+v", r)
	}
	files := unpack(t, out+".tar.gz")
	var got []string
	for _, p := range readIndex(t, files).Problems {
		got = append(got, p.What)
	}
	if want := []string{"host.json", "members.json", "pprof"}; !slices.Equal(got, want) {
		t.Errorf("problems %v, want %v", got, want)
	}
	if files["metrics.json"] == "" || files["agent.json"] != "" {
		t.Errorf("metrics %q, agent %q", files["metrics.json"], files["agent.json"])
	}
}

func TestTheSizeEndsACapture(t *testing.T) {
	a := answers()
	a["GET /v1/agent/metrics"] = clitest.Answer{Body: `"` + strings.Repeat("x", 3000) + `"`}
	r, out := run(t, clitest.NewAgent(t, a), nil, "-capture=members,metrics", "-max-size=4k")
	if r.Code != 0 || !strings.Contains(r.Err, "-max-size") {
		t.Fatalf("%+v", r)
	}
	files := unpack(t, out+".tar.gz")
	if i := readIndex(t, files); !i.Full || i.Intervals != 1 {
		t.Errorf("index: %+v", i)
	}
	if n := len(files["metrics.json"]); n != 3003 {
		t.Errorf("metrics of %d bytes, want those of one interval", n)
	}
}

func TestAnInterruptKeepsWhatWasCaptured(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	out := filepath.Join(t.TempDir(), "out")
	build := func(f *cli.Factory) *cobra.Command {
		return newCommand(f, &options{now: time.Now, sleep: func(ctx context.Context, _ time.Duration) {
			cancel()
			<-ctx.Done()
		}})
	}
	r := clitest.DoContext(ctx, build, clitest.Run{Args: []string{"debug", "-output", out + ".tar.gz"}, Agent: clitest.NewAgent(t, answers())})
	if r.Code != 0 || !strings.Contains(r.Err, "interrupted") {
		t.Fatalf("%+v", r)
	}
	files := unpack(t, out+".tar.gz")
	if i := readIndex(t, files); !i.Interrupted || i.Intervals != 1 || files["members.json"] == "" {
		t.Errorf("index: %+v", i)
	}
}

// TestProgress checks that what is captured and what is packed is counted.
func TestProgress(t *testing.T) {
	r, out := run(t, clitest.NewAgent(t, answers()), nil, "-capture=members", "-progress=json")
	var ends []map[string]any
	for text := range strings.Lines(r.Err) {
		var l struct{ Progress map[string]any }
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if l.Progress["Ended"] == true {
			ends = append(ends, l.Progress)
		}
	}
	size := 0.0
	for _, text := range unpack(t, out+".tar.gz") {
		size += float64(len(text))
	}
	if len(ends) != 2 || ends[0]["What"] != "Capturing" || ends[0]["Bytes"] == 0.0 || ends[1]["What"] != "Packing" ||
		ends[1]["Bytes"] != ends[1]["TotalBytes"] || ends[1]["Bytes"].(float64) > size {
		t.Errorf("%v, and %v bytes are packed", ends, size)
	}
}

func TestWithoutAnArchiveADirectoryIsLeft(t *testing.T) {
	r, out := run(t, clitest.NewAgent(t, answers()), nil, "-capture=members", "-archive=false")
	if _, err := os.Stat(filepath.Join(out, "scrubbed.json")); r.Code != 0 || err != nil {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestRefused(t *testing.T) {
	taken := filepath.Join(t.TempDir(), "taken")
	if err := os.WriteFile(taken+".tar.gz", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, args, want string
		answers          map[string]clitest.Answer
	}{
		{"a short duration", "-duration=9s", "Capture validation failed: -duration 9s is too short, it must be at least 10s\n", nil},
		{"a short interval", "-interval=1s", "Capture validation failed: -interval 1s is too short", nil},
		{"an interval longer than all", "-interval=11s", "Capture validation failed: -interval 11s is longer than", nil},
		{"an unknown target", "-capture=agent,disk", `Capture validation failed: unknown capture target "disk": use agent, host`, nil},
		{"a size that is none", "-max-size=big", `Capture validation failed: -max-size "big": use a number`, nil},
		{"an archive that exists", "-output=" + taken, "Capture validation failed: " + taken + ".tar.gz exists", answers()},
		{"nothing can be captured", "-capture=host", "Nothing could be captured: host.json: Unexpected response code: 403 (no)", map[string]clitest.Answer{
			"GET /v1/agent/self": {Status: 403, Body: "no"}, "GET /v1/agent/host": {Status: 403, Body: "no"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, out := run(t, clitest.NewAgent(t, c.answers), nil, c.args)
			if r.Code != 1 || !strings.HasPrefix(r.Err, c.want) {
				t.Errorf("%+v, want %q", r, c.want)
			}
			if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("something was left: %v", err)
			}
		})
	}
}

func TestScrubText(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"agent: started", "agent: started"},
		{"token_file=/etc/t", "token_file=/etc/t"},
		{`{\"token\": \"abc\", \"a\": 1}`, `{\"token\": [removed: named secret], \"a\": 1}`},
		{`secret_id="a b" x=1`, `secret_id=[removed: named secret] x=1`},
		{"http://u:pw@h/?token=abc&x=1", "http://u:[removed: password in a URL]@h/?token=[removed: named secret]&x=1"},
		{"X-Consul-Token: abc", "X-Consul-Token: [removed: named secret]"},
		{"curl --token abc", "curl --token [removed: flag that gives a secret]"},
		{"Cookie: a=b; c=d", "Cookie: [removed: cookie]"},
		{"keys AAAAAAAAAAAAAAAAAAAAAA== BBBBBBBBBBBBBBBBBBBBBB==", "keys [removed: key in base64] [removed: key in base64]"},
		{"id 8b1d9a3e-0a57-4f10-9ccd-c2dcdd3e9e6a", "id 8b1d9a3e-0a57-4f10-9ccd-c2dcdd3e9e6a"},
		{"password: hidden", "password: hidden"},
		{"-----BEGIN RSA PRIVATE KEY-----\\nabc", "[removed: private key]"},
		{"-----BEGIN CERTIFICATE-----", "-----BEGIN CERTIFICATE-----"},
	} {
		s := &scrubber{}
		if got := s.text("f", "p", c.text); got != c.want {
			t.Errorf("%q became\n%q, want\n%q", c.text, got, c.want)
		} else if (got != c.text) != (len(s.found) > 0) {
			t.Errorf("%q: listed %v", c.text, s.found)
		}
	}
}

// A key that was cut off does not take the rest of the log with it.
func TestAKeyWithoutEnd(t *testing.T) {
	l := &lines{s: &scrubber{}}
	var got []string
	for _, line := range []string{"[INFO] a", "x -----BEGIN PRIVATE KEY-----", keyCanary, "[INFO] went on with this", "[INFO] b"} {
		got = append(got, l.scrub(line))
	}
	want := []string{"[INFO] a", "x [removed: private key]", "[removed: private key]", "[INFO] went on with this", "[INFO] b"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
