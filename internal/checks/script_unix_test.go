//go:build unix

package checks

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"sync"
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

// deadline is a context whose time is up when up is closed.
type deadline struct {
	context.Context
	up chan struct{}
}

func (d deadline) Done() <-chan struct{} { return d.up }

func (d deadline) Err() error {
	select {
	case <-d.up:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// TestScriptLeavesNothing has scripts whose child would live on: it holds a pipe
// open, whose end says that the child is gone.
func TestScriptLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, end, output string
		timeUp            bool
		status            string
	}{
		{"its time is up", "wait", "Timed out (1m0s) running check\nbegun\n", true, Critical},
		{"it ended before its child", "exit 0", "begun\n", false, Passing},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			pipe, begun := filepath.Join(dir, "pipe"), filepath.Join(dir, "begun")
			for _, name := range []string{pipe, begun} {
				if err := syscall.Mkfifo(name, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			r, err := os.OpenFile(pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			d := script("exec 3> " + pipe + "; echo begun; echo here >&3; sleep 1000 & : > " + begun + "; " + tt.end)
			d.Interval, d.Timeout = Duration(time.Second), Duration(time.Minute)
			ctx := deadline{t.Context(), make(chan struct{})}
			var status, output string
			var wg sync.WaitGroup
			wg.Go(func() { status, output = New(Config{}).probe(&d)(ctx) })
			f, err := os.Open(begun) // waits for the script to open it
			if err != nil {
				t.Fatal(err)
			}
			f.Close()
			if tt.timeUp {
				close(ctx.up)
			}
			wg.Wait()
			if status != tt.status || output != tt.output {
				t.Errorf("got %s %q, want %s %q", status, output, tt.status, tt.output)
			}
			if b, err := io.ReadAll(r); err != nil || string(b) != "here\n" {
				t.Errorf("the child: %q %v", b, err)
			}
		})
	}
}
