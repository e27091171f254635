//go:build !race

// These tests run the library's own reader of a terminal, which closes its file
// while it still reads it when the program ends (cancelreader 0.2.2): harmless, but
// the race detector says so now and then. What this package does at the same time
// is tested under the race detector through the model.

package tui

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ctl-sh/ctl/internal/tui/page"
	"github.com/ctl-sh/ctl/internal/tui/ptyterm"
	"github.com/ctl-sh/ctl/internal/tui/source"
	"github.com/ctl-sh/ctl/internal/tui/tuitest"
	"github.com/ctl-sh/ctl/internal/tui/ui"
)

const patient = 30 * time.Second

// Sequences that switch to the screen of a full-screen program and back.
const (
	enterScreen = "\x1b[?1049h"
	leaveScreen = "\x1b[?1049l"
)

// show runs a dashboard on a pseudo terminal.
func show(t *testing.T, feed source.Feed, start page.Page) (*ptyterm.Terminal, <-chan error) {
	t.Helper()
	pty, err := ptyterm.Open(100, 30)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pty.Close)
	c := config(t, feed, "services")
	if start != nil {
		c.Start = start
	}
	done := make(chan error, 1)
	go func() {
		done <- Run(t.Context(), c, Terminal{In: pty.Slave, Out: pty.Slave, Env: []string{"TERM=xterm-256color", "LANG=C.UTF-8"}})
	}()
	if !pty.Await(enterScreen, patient) {
		t.Fatalf("no full screen: %q", pty.Read())
	}
	return pty, done
}

func await(t *testing.T, done <-chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(patient):
		t.Fatal("the dashboard does not end")
		return nil
	}
}

// restored fails unless the terminal is as it was before.
func restored(t *testing.T, pty *ptyterm.Terminal, before any) {
	t.Helper()
	if !pty.Await(leaveScreen, patient) {
		t.Errorf("the screen was not given back: %q", tail(pty.Read()))
	}
	after, err := pty.Settings()
	if err != nil {
		t.Fatal(err)
	}
	if after != before {
		t.Errorf("the settings of the terminal are not as before:\n%+v\n%+v", before, after)
	}
}

func tail(b []byte) []byte { return b[max(0, len(b)-300):] }

func settings(t *testing.T) any {
	t.Helper()
	pty, err := ptyterm.Open(80, 24)
	if err != nil {
		t.Fatal(err)
	}
	defer pty.Close()
	s, err := pty.Settings()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestTerminalIsGivenBack is not parallel: its signals go to the whole process.
func TestTerminalIsGivenBack(t *testing.T) {
	before := settings(t)
	t.Run("after q", func(t *testing.T) {
		pty, done := show(t, tuitest.NewFeed(tuitest.Live()), nil)
		if !pty.Await("consul", patient) {
			t.Fatal("no services")
		}
		if err := pty.Type("q"); err != nil {
			t.Fatal(err)
		}
		if err := await(t, done); err != nil {
			t.Error(err)
		}
		restored(t, pty, before)
	})
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		t.Run("after "+s.String(), func(t *testing.T) {
			pty, done := show(t, tuitest.NewFeed(tuitest.Live()), nil)
			if !pty.Await("consul", patient) {
				t.Fatal("no services")
			}
			if err := syscall.Kill(os.Getpid(), s); err != nil {
				t.Fatal(err)
			}
			var by Signal
			if err := await(t, done); !errors.As(err, &by) || by.Signal != s {
				t.Errorf("ended with %v", err)
			}
			restored(t, pty, before)
		})
	}
}

// faulty is a page with faults.
type faulty struct {
	page.Page
	in string // where
}

func (f faulty) Do(*page.Env, ui.Action) page.Effect {
	if f.in == "a command" {
		return page.Effect{Fetch: &page.Fetch{Ranges: []source.Range{{Key: "a"}}}}
	}
	panic("a fault, on purpose")
}

func faultyKeys(source.Range) ([]source.Key, error) { panic("a fault, on purpose") }

func (f faulty) View(env *page.Env, width, height int) []string {
	if f.in == "drawing" && env.State.Connection.Link == source.Lost {
		panic("a fault, on purpose")
	}
	return f.Page.View(env, width, height)
}

// TestFaults lets every sort of part have a fault: the terminal is given back, and
// a report says where it was.
func TestFaults(t *testing.T) {
	before := settings(t)
	for _, in := range []string{"the model", "a command", "drawing", "the source"} {
		t.Run("in "+in, func(t *testing.T) {
			p, err := page.Open("services")
			if err != nil {
				t.Fatal(err)
			}
			pty, err := ptyterm.Open(100, 30)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(pty.Close)
			feed := tuitest.NewFeed(tuitest.Live())
			feed.OnKeys = faultyKeys
			c := config(t, feed, "services")
			c.Start, c.Reports, c.Version, c.Faults = faulty{p, in}, t.TempDir(), "ctl 1.2.3", NewFaults()
			done := make(chan error, 1)
			go func() {
				done <- Run(t.Context(), c, Terminal{In: pty.Slave, Out: pty.Slave, Env: []string{"TERM=xterm-256color", "LANG=C.UTF-8"}})
			}()
			if !pty.Await("consul", patient) {
				t.Fatalf("no services: %q", tail(pty.Read()))
			}
			switch in {
			case "drawing":
				lost := *tuitest.Live()
				lost.Connection.Link = source.Lost
				lost.Connection.Version++
				lost.Version++
				feed.Set(&lost)
			case "the source":
				src, err := source.New(source.Config{Fault: c.Faults.Report, Endpoints: []source.Endpoint{{URL: "http://127.0.0.1", HTTP: &http.Client{Transport: faultyTransport{}}}}})
				if err != nil {
					t.Fatal(err)
				}
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan struct{})
				go func() { defer close(ended); _ = src.Run(ctx) }()
				defer func() { stop(); <-ended }()
			default:
				if err := pty.Type("y"); err != nil {
					t.Fatal(err)
				}
			}
			if err = await(t, done); !errors.Is(err, ErrPanic) || !strings.Contains(err.Error(), "on purpose") {
				t.Errorf("ended with %v", err)
			}
			restored(t, pty, before)
			files, err2 := filepath.Glob(filepath.Join(c.Reports, "*"))
			if err2 != nil || len(files) != 1 || !strings.Contains(err.Error(), files[0]) {
				t.Fatalf("reports %v, %v; the error says %v", files, err2, err)
			}
			report, err := os.ReadFile(files[0])
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(pty.Read(), []byte("Caught")) {
				t.Errorf("the library had to catch something, too: %q", tail(pty.Read()))
			}
			for _, want := range []string{"ctl 1.2.3", "a fault, on purpose", "faulty"} {
				if !bytes.Contains(report, []byte(want)) {
					t.Errorf("the report has no %q:\n%s", want, report)
				}
			}
		})
	}
}

// faultyTransport has a fault in the goroutine that reads the stream.
type faultyTransport struct{}

func (faultyTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path == "/v1/ctl/stream" {
		panic("a fault, on purpose")
	}
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// TestFrozenTerminal lets a terminal stop to read while very many changes come.
// Whoever makes the changes is not held up, memory does not grow with them, a
// signal still ends the dashboard, and once the terminal reads again it shows
// what is true then.
func TestFrozenTerminal(t *testing.T) {
	feed := tuitest.NewFeed(state(0))
	pty, done := show(t, feed, nil)
	if !pty.Await("round-0-", patient) {
		t.Fatalf("no services: %q", tail(pty.Read()))
	}
	pty.Hold()
	// Fill what the kernel keeps for the terminal, and the loop with it.
	for i := range 2000 {
		feed.Set(state(i))
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	goroutines := runtime.NumGoroutine()
	const changes = 20000
	for i := range changes { // for ever, if who makes them waited for the terminal
		feed.Set(state(i))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("the heap grew by %d bytes for %d changes nobody saw", grown, changes)
	}
	if n := runtime.NumGoroutine(); n > goroutines+5 {
		t.Errorf("%d goroutines, %d before", n, goroutines)
	}
	feed.Set(state(777777))
	pty.Forget()
	pty.Release()
	if !pty.Await("777777", patient) {
		t.Errorf("after the terminal reads again it does not show what is: %q", tail(pty.Read()))
	}
	if err := pty.Type("q"); err != nil {
		t.Fatal(err)
	}
	if err := await(t, done); err != nil {
		t.Error(err)
	}
}

// TestFrozenTerminalCanBeEnded sends a signal while the terminal does not read.
func TestFrozenTerminalCanBeEnded(t *testing.T) {
	feed := tuitest.NewFeed(state(0))
	pty, done := show(t, feed, nil)
	if !pty.Await("round-0-", patient) {
		t.Fatalf("no services: %q", tail(pty.Read()))
	}
	pty.Hold()
	for i := range 5000 {
		feed.Set(state(i))
		if i%100 == 0 {
			runtime.Gosched()
		}
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var by Signal
	if err := await(t, done); !errors.As(err, &by) {
		t.Errorf("ended with %v", err)
	}
}

// state is one in which every row differs from that of another n.
func state(n int) *source.State {
	s := tuitest.Many(0)
	s.Services.Version = uint64(n + 1)
	for i := range 25 {
		s.Services.Rows = append(s.Services.Rows, &source.Service{Name: "s" + strconv.Itoa(i), Tags: []string{"round-" + strconv.Itoa(n) + "-" + strconv.Itoa(i*7919+n)}, Counted: true, Passing: 1, Instances: 1})
	}
	return s
}

// TestFirstFrameWaitsForNobody draws before the feed has anything to say.
func TestFirstFrameWaitsForNobody(t *testing.T) {
	feed := tuitest.NewFeed(tuitest.Loading())
	pty, done := show(t, feed, nil)
	if !pty.Await("Waiting for the agent", patient) {
		t.Errorf("got %q", tail(pty.Read()))
	}
	feed.Set(tuitest.Live())
	if !pty.Await("consul", patient) {
		t.Errorf("got %q", tail(pty.Read()))
	}
	if err := pty.Resize(40, 8); err != nil {
		t.Fatal(err)
	}
	if err := pty.Type("q"); err != nil {
		t.Fatal(err)
	}
	if err := await(t, done); err != nil {
		t.Error(err)
	}
	if bytes.Contains(pty.Read(), []byte("panic")) {
		t.Errorf("got %q", tail(pty.Read()))
	}
}
