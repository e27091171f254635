package logging

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// screen is a console that may be read while it is written.
type screen struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// open opens logs that close with the test.
func open(t *testing.T, c Config) *Logs {
	t.Helper()
	l, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// emit logs one record at a fixed time through a handler.
func emit(h slog.Handler, level slog.Level, msg string, attrs ...slog.Attr) {
	r := slog.NewRecord(time.Date(2026, 11, 23, 10, 1, 48, 982_123_456, time.UTC), level, msg, 0)
	r.AddAttrs(attrs...)
	_ = h.Handle(nil, r) //nolint:staticcheck // the context is not used
}

type counter int

func (c *counter) String() string { *c++; return "counter" }

type address struct{ host string }

func (a address) String() string { return a.host }

type nilSafe struct{ s string }

func (n *nilSafe) Error() string { return n.s } // panics for nil

func TestLineForms(t *testing.T) {
	const at = "2026-11-23T10:01:48.982Z"
	for _, c := range []struct {
		name  string
		level slog.Level
		with  func(slog.Handler) slog.Handler
		msg   string
		attrs []slog.Attr
		text  string
		json  string
	}{
		{
			name: "no attributes", level: slog.LevelInfo, msg: "started",
			text: at + " [INFO]  agent: started",
			json: `{"@level":"info","@message":"started","@module":"agent","@timestamp":"2026-11-23T10:01:48.982123Z"}`,
		},
		{
			name: "every level lines up: trace", level: LevelTrace, msg: "m",
			text: at + " [TRACE] agent: m",
			json: `{"@level":"trace","@message":"m","@module":"agent","@timestamp":"2026-11-23T10:01:48.982123Z"}`,
		},
		{
			name: "error with attributes", level: slog.LevelError, msg: "join",
			attrs: []slog.Attr{slog.String(KeyNode, "n1"), slog.Any(KeyError, errors.New("no route to host"))},
			text:  at + ` [ERROR] agent: join: node=n1 error="no route to host"`,
			json:  `{"@level":"error","@message":"join","@module":"agent","@timestamp":"2026-11-23T10:01:48.982123Z","node":"n1","error":"no route to host"}`,
		},
		{
			name: "component replaced, values of every kind", level: slog.LevelWarn, msg: "m",
			with: func(h slog.Handler) slog.Handler {
				return h.WithAttrs([]slog.Attr{slog.String(KeyComponent, "agent.server.raft"), slog.Int("a", -1)})
			},
			attrs: []slog.Attr{slog.Uint64("b", 1<<63), slog.Float64("c", 1.5), slog.Bool("d", true), slog.Duration("e", 1500*time.Millisecond),
				slog.Any("f", []string{"x", "y z"}), slog.Any("g", address{"10.0.0.1"}), slog.String("h", ""), slog.Any("i", nil)},
			text: at + ` [WARN]  agent.server.raft: m: a=-1 b=9223372036854775808 c=1.5 d=true e=1.5s f=[x, "y z"] g=10.0.0.1 h="" i=<nil>`,
			json: `{"@level":"warn","@message":"m","@module":"agent.server.raft","@timestamp":"2026-11-23T10:01:48.982123Z","a":-1,"b":9223372036854775808,"c":1.5,"d":true,"e":"1.5s","f":["x","y z"],"g":"10.0.0.1","h":"","i":null}`,
		},
		{
			name: "component of one record", level: slog.LevelInfo, msg: "m",
			attrs: []slog.Attr{slog.String(KeyComponent, "http")},
			text:  at + " [INFO]  http: m",
			json:  `{"@level":"info","@message":"m","@module":"http","@timestamp":"2026-11-23T10:01:48.982123Z"}`,
		},
		{
			name: "nothing forges a line", level: slog.LevelInfo, msg: "a\n2026 [ERROR] b\x1b[31m",
			attrs: []slog.Attr{slog.String("k\n", "v\r\n\"w\"")}, //nolint:sloglint // such a key is the point
			text:  at + ` [INFO]  agent: a\n2026 [ERROR] b\x1b[31m: k\n="v\r\n\"w\""`,
			json:  `{"@level":"info","@message":"a\n2026 [ERROR] b\u001b[31m","@module":"agent","@timestamp":"2026-11-23T10:01:48.982123Z","k\n":"v\r\n\"w\""}`,
		},
		{
			name: "groups become dotted keys", level: slog.LevelDebug, msg: "m",
			with: func(h slog.Handler) slog.Handler {
				return h.WithGroup("raft").WithGroup("").WithAttrs([]slog.Attr{slog.Int("term", 2), slog.Group("", slog.Int("inline", 3))})
			},
			attrs: []slog.Attr{slog.Group("log", slog.Int("index", 7)), {}},
			text:  at + ` [DEBUG] agent: m: raft.term=2 raft.inline=3 raft.log.index=7`,
			json:  `{"@level":"debug","@message":"m","@module":"agent","@timestamp":"2026-11-23T10:01:48.982123Z","raft.term":2,"raft.inline":3,"raft.log.index":7}`,
		},
		{
			name: "what JSON cannot hold, and keys twice", level: slog.LevelInfo, msg: "<a&b>",
			attrs: []slog.Attr{slog.Int("k", 1), slog.Any("e", (*nilSafe)(nil)), slog.Any("f", complex(1, 2)), slog.Int("k", 2)},
			text:  at + ` [INFO]  agent: <a&b>: k=1 e=<nil> f=(1+2i) k=2`,
			json:  `{"@level":"info","@message":"<a&b>","@module":"agent","@timestamp":"2026-11-23T10:01:48.982123Z","e":"<nil>","f":"(1+2i)","k":2}`,
		},
	} {
		for _, asJSON := range []bool{false, true} {
			name, want := c.name, c.text
			if asJSON {
				name, want = c.name+" as JSON", c.json
			}
			t.Run(name, func(t *testing.T) {
				var out bytes.Buffer
				h := open(t, Config{Level: "TRACE", JSON: asJSON, Console: &out}).Logger().Handler()
				if c.with != nil {
					h = c.with(h)
				}
				emit(h, c.level, c.msg, c.attrs...)
				if d := cmp.Diff(want+"\n", out.String()); d != "" {
					t.Errorf("(-want +got):\n%s", d)
				}
				if asJSON && !json.Valid(out.Bytes()) {
					t.Error("not valid JSON")
				}
			})
		}
	}
}

func TestParseLevel(t *testing.T) {
	for _, c := range []struct {
		name, in, want, err string
	}{
		{"lower case", "trace", "TRACE", ""},
		{"mixed case", "Debug", "DEBUG", ""},
		{"info", "INFO", "INFO", ""},
		{"warn", "warn", "WARN", ""},
		{"err is error", "ERR", "ERROR", ""},
		{"error", "error", "ERROR", ""},
		{"unknown", "bogus", "", "Invalid log level: bogus. Valid log levels are: [TRACE DEBUG INFO WARN ERR ERROR]"},
		{"empty", "", "", "Invalid log level: . Valid log levels are: [TRACE DEBUG INFO WARN ERR ERROR]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := ParseLevel(c.in)
			if c.err != "" {
				if err == nil || err.Error() != c.err {
					t.Fatalf("error %v, want %q", err, c.err)
				}
				return
			}
			if err != nil || LevelName(l) != c.want {
				t.Errorf("got %s, %v; want %s", LevelName(l), err, c.want)
			}
		})
	}
}

func TestLevelSwitch(t *testing.T) {
	var out screen
	l := open(t, Config{Console: &out})
	log := l.Logger()
	log.Debug("one")
	if err := l.SetLevel("debug"); err != nil {
		t.Fatal(err)
	}
	log.Debug("two")
	if err := l.SetLevel("loud"); err == nil || l.Level() != "DEBUG" {
		t.Errorf("bad level: %v, level is %s; want an error and DEBUG", err, l.Level())
	}
	if err := l.SetLevel("ERR"); err != nil {
		t.Fatal(err)
	}
	log.Warn("three")
	if got := out.String(); strings.Contains(got, "one") || !strings.Contains(got, "two") || strings.Contains(got, "three") {
		t.Errorf("got %q, want only two", got)
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		conf Config
		want string
	}{
		{"unknown level", Config{Level: "bogus"}, "Invalid log level: bogus."},
		{"unknown facility", Config{Syslog: true, SyslogFacility: "LOCAL9"}, `syslog_facility: invalid syslog facility "LOCAL9"`},
		{"file under a file", Config{File: "logging.go/x"}, "log_file: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := Open(c.conf)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, %v; want an error with %q", l, err, c.want)
			}
		})
	}
}

func TestSubscription(t *testing.T) {
	var out screen
	l := open(t, Config{Level: "INFO", Console: &out})
	debug, err := l.Subscribe("debug", false)
	if err != nil {
		t.Fatal(err)
	}
	warn, err := l.Subscribe("warn", true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Subscribe("bogus", false); err == nil {
		t.Error("an unknown level was accepted")
	}
	log := l.Logger()
	log.Log(t.Context(), LevelTrace, "too low for everybody")
	log.Debug("for the debugger")
	log.Warn("for both")
	if got := string(<-debug.Lines()); !strings.HasSuffix(got, " [DEBUG] agent: for the debugger\n") {
		t.Errorf("debug subscriber got %q first", got)
	}
	if got := string(<-debug.Lines()); !strings.HasSuffix(got, " [WARN]  agent: for both\n") {
		t.Errorf("debug subscriber got %q second", got)
	}
	if got := string(<-warn.Lines()); !strings.HasPrefix(got, `{"@level":"warn","@message":"for both"`) {
		t.Errorf("warn subscriber got %q", got)
	}
	if got := out.String(); strings.Contains(got, "debugger") || !strings.Contains(got, "for both") {
		t.Errorf("console got %q, want only the warning", got)
	}
	debug.Close()
	debug.Close()
	if _, open := <-debug.Lines(); open {
		t.Error("stream is open after Close")
	}
	if log.Enabled(t.Context(), slog.LevelDebug) {
		t.Error("debug lines are still made after their only reader left")
	}
}

func TestLaggingReaderLosesTheOldestAndIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := Open(Config{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := l.Subscribe("info", false)
		if err != nil {
			t.Fatal(err)
		}
		log := l.Logger()
		log.Info("first")
		synctest.Wait() // the pump holds "first"
		const lines = 40000
		for i := range lines {
			log.Info("filler", "n", i)
		}
		if got := string(<-s.Lines()); !strings.Contains(got, "first") {
			t.Errorf("got %q, want the line that was on its way", got)
		}
		notice := string(<-s.Lines())
		if !strings.Contains(notice, "[WARN]  agent: monitor: ") || !strings.Contains(notice, " log lines dropped because this reader is too slow\n") {
			t.Fatalf("got %q, want the notice", notice)
		}
		received := 0
		for line := range s.Lines() {
			received++
			if strings.Contains(string(line), "n=39999\n") {
				break
			}
		}
		var dropped int
		for f := range strings.FieldsSeq(notice) {
			if json.Unmarshal([]byte(f), &dropped) == nil && dropped > 0 && !strings.Contains(f, "-") {
				break
			}
		}
		if received == 0 || dropped+received != lines {
			t.Errorf("%d dropped and %d received, want %d together", dropped, received, lines)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if _, err := l.Subscribe("info", false); err == nil {
			t.Error("subscribed to closed logs")
		}
	})
}

func TestConcurrentUse(t *testing.T) {
	l := open(t, Config{Console: io.Discard, File: t.TempDir()})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			log := l.Logger().With("a", 1)
			for range 200 {
				log.Info("m", "b", 2)
				_ = l.SetLevel("INFO")
			}
		})
		wg.Go(func() {
			for range 50 {
				s, err := l.Subscribe("TRACE", false)
				if err != nil {
					t.Error(err)
					return
				}
				<-s.Lines()
				s.Close()
			}
		})
		wg.Go(func() {
			for range 2000 {
				l.Logger().Debug("something to read")
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for { // readers need lines until they are through
		select {
		case <-done:
			return
		default:
			l.Logger().Debug("more")
		}
	}
}

func BenchmarkInfo(b *testing.B) {
	l, err := Open(Config{Console: io.Discard})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	log := l.Logger().With(KeyNode, "n1")
	b.Run("printed", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			log.Info("message", "index", 42)
		}
	})
	b.Run("below the level", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			log.Debug("message", "index", 42)
		}
	})
}
