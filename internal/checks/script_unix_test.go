//go:build unix

package checks

import (
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func script(text string) Definition { return Definition{ScriptArgs: []string{"/bin/sh", "-c", text}} }

func TestScript(t *testing.T) {
	expect(t, script("echo fine; echo well >&2"), Passing, "fine\nwell\n")
	expect(t, script("exit 1"), Warning, "")
	expect(t, script("exit 2"), Critical, "")
	expect(t, script("kill -9 $$"), Critical, "")
	expect(t, script("yes | head -c 1000"), Passing, "Captured 100 of 1000 bytes")
	expect(t, Definition{ScriptArgs: []string{"/no/such/program"}}, Critical, "no such file")
}

// TestScriptLeavesNothing has scripts whose child would live on: it holds a pipe
// open, whose end says that the child is gone.
func TestScriptLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, end, output string
		limit             time.Duration
		status            string
	}{
		{"its time is up", "wait", "Timed out (300ms) running check\nbegun\n", 300 * time.Millisecond, Critical},
		{"it ended before its child", "exit 0", "begun\n", 30 * time.Second, Passing},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			pipe := filepath.Join(t.TempDir(), "pipe")
			if err := syscall.Mkfifo(pipe, 0o600); err != nil {
				t.Fatal(err)
			}
			r, err := os.OpenFile(pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			d := script("exec 3> " + pipe + "; echo begun; echo here >&3; sleep 1000 & " + tt.end)
			d.Timeout = Duration(tt.limit)
			expect(t, d, tt.status, tt.output)
			if b, err := io.ReadAll(r); err != nil || string(b) != "here\n" {
				t.Errorf("the child: %q %v", b, err)
			}
		})
	}
}
