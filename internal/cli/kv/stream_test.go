package kv

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/iostreams"
	"github.com/spf13/cobra"
)

// manyKeys is how many keys the streaming tests read.
const manyKeys = 1_000_000

// keysServer answers every request with n keys, which it never holds.
func keysServer(t *testing.T, n int) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		b := bufio.NewWriterSize(w, 64<<10)
		defer b.Flush()
		io.WriteString(b, "[")
		for i := range n {
			if i > 0 {
				io.WriteString(b, ",")
			}
			fmt.Fprintf(b, `{"LockIndex":0,"Key":"k/%07d","Flags":0,"Value":"dmFsdWU=","CreateIndex":%d,"ModifyIndex":%d}`, i, i+10, i+10)
		}
		io.WriteString(b, "]")
	}))
	t.Cleanup(srv.Close)
	return srv
}

// counting counts lines and notes how much is held: what the collector leaves,
// because what it has not come to yet depends on the machine.
type counting struct {
	lines, writes int
	heap          uint64
}

func (c *counting) Write(p []byte) (int, error) {
	c.lines += strings.Count(string(p), "\n")
	if c.writes++; c.writes%16 == 0 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		c.heap = max(c.heap, m.HeapAlloc)
	}
	return len(p), nil
}

// TestReadsAreConstantInMemory reads many keys in every form that can be written
// as it comes, and holds the heap to a few megabytes.
func TestReadsAreConstantInMemory(t *testing.T) {
	const limit = 12 << 20 // of 100,000 keys the JSON alone is 11 MB
	// What the collector has not come to yet on a busy machine is no memory of
	// the command's, so it collects early here.
	defer debug.SetGCPercent(debug.SetGCPercent(25))
	for _, c := range []struct {
		args        string
		keys, lines int
	}{
		{"kv get -recurse k/", manyKeys, manyKeys},
		{"kv get -recurse -o jsonl k/", 100_000, 100_000},
		{"kv get -recurse -o table k/", 100_000, 100_001},
		{"kv export k/", 100_000, 500_002},
	} {
		t.Run(c.args, func(t *testing.T) {
			srv := keysServer(t, c.keys)
			var out counting
			streams, _, errOut := iostreams.Test("")
			streams.Out = iostreams.NewWriter(&out)
			f := &cli.Factory{Streams: streams, LookupEnv: func(name string) (string, bool) { return srv.URL, name == "CTL_HTTP_ADDR" }}
			root := f.Root("ctl", "Test", "Test.", &cobra.Command{Use: "version", Run: func(*cobra.Command, []string) {}}, NewCommand(f))
			runtime.GC()
			var before runtime.MemStats
			runtime.ReadMemStats(&before)
			if code := f.Run(context.Background(), root, strings.Fields(c.args)); code != 0 {
				t.Fatalf("exit code %d: %s", code, errOut)
			}
			if out.lines != c.lines {
				t.Errorf("%d lines, want %d", out.lines, c.lines)
			}
			if out.heap == 0 || out.heap > before.HeapAlloc+limit {
				t.Errorf("the heap grew from %d to %d bytes, limit %d more", before.HeapAlloc, out.heap, limit)
			}
			t.Logf("%d keys, heap at most %d KiB, %d KiB before", c.keys, out.heap>>10, before.HeapAlloc>>10)
		})
	}
}

// TestBrokenAnswers checks that an answer which breaks off is not taken for
// whole.
func TestBrokenAnswers(t *testing.T) {
	for _, c := range []struct{ name, args, body, out, err string }{
		{"in a key", "kv get -recurse a", `[{"Key":"a","Value":"MQ=="},{"Key":`, "a:1\n", "Error querying Consul agent: the answer breaks off after 1 keys: unexpected EOF\n"},
		{"behind a key", "kv get -recurse a", `[{"Key":"a","Value":"MQ=="}`, "a:1\n", "Error querying Consul agent: the answer breaks off after 1 keys: "},
		{"export stays open", "kv export", `[{"Key":"a","Value":"MQ=="}`, "[\n\t{\n\t\t\"key\": \"a\",\n\t\t\"flags\": 0,\n\t\t\"value\": \"MQ==\"\n\t}", "Error querying Consul agent: the answer breaks off"},
		{"no JSON", "kv get -recurse a", `<html>`, "", "Error querying Consul agent: read keys: invalid character '<'"},
		{"null", "kv get -recurse a", `null`, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, c.body) }))
			defer srv.Close()
			streams, out, errOut := iostreams.Test("")
			f := &cli.Factory{Streams: streams, LookupEnv: func(name string) (string, bool) { return srv.URL, name == "CTL_HTTP_ADDR" }}
			root := f.Root("ctl", "Test", "Test.", &cobra.Command{Use: "version", Run: func(*cobra.Command, []string) {}}, NewCommand(f))
			code := f.Run(t.Context(), root, strings.Fields(c.args))
			if (code == 0) != (c.err == "") || out.String() != c.out || !strings.HasPrefix(errOut.String(), c.err) {
				t.Errorf("exit code %d, out %q, err %q", code, out, errOut)
			}
		})
	}
}
