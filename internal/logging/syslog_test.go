package logging

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

// daemon listens like a syslog daemon.
func daemon(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(); _ = os.Remove(path) })
	return c
}

func receive(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 64<<10)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

// socket returns a path short enough for a socket.
func socket(t *testing.T) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("no syslog")
	}
	dir, err := os.MkdirTemp("", "ctl") //nolint:usetesting // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func TestSyslog(t *testing.T) {
	for _, c := range []struct {
		name string
		conf Config
		want string
	}{
		{"default facility", Config{}, `^<134>\w{3} [ \d]\d \d\d:\d\d:\d\d ctl\[\d+\]: agent: hello: k=v$`},
		{"facility in lower case", Config{SyslogFacility: "daemon"}, `^<30>.* ctl\[\d+\]: agent: hello: k=v$`},
		{"JSON goes whole", Config{JSON: true}, `^<134>.* ctl\[\d+\]: \{"@level":"info","@message":"hello".*\}$`},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := socket(t)
			d := daemon(t, path)
			var out screen
			c.conf.Syslog, c.conf.Console, c.conf.syslogPaths = true, &out, []string{"/nowhere/log", path}
			l := open(t, c.conf)
			l.Logger().Debug("not this")
			l.Logger().Info("hello", "k", "v")
			if got := receive(t, d); !regexp.MustCompile(c.want).MatchString(got) {
				t.Errorf("got %q, want a match of %s", got, c.want)
			}
			if strings.Contains(out.String(), "syslog") {
				t.Errorf("console says %q", out.String())
			}
		})
	}
}

func TestMissingSyslogDaemonIsSaidAndOvercome(t *testing.T) {
	path := socket(t)
	var out screen
	dir := t.TempDir()
	l, err := Open(Config{Syslog: true, File: dir, Console: &out, syslogPaths: []string{path}})
	if err != nil {
		t.Fatal(err)
	}
	l.Logger().Info("while it was away")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(dir, "ctl.log"))
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]string{"console": out.String(), "file": string(file)} {
		if strings.Count(got, "[WARN]  agent: enable_syslog is true but no syslog daemon answers") != 1 || !strings.Contains(got, "set enable_syslog to false") {
			t.Errorf("%s says %q, want the warning once", name, got)
		}
		if !strings.Contains(got, "while it was away") {
			t.Errorf("%s lost the line", name)
		}
	}
}

func TestSyslogReconnects(t *testing.T) {
	path := socket(t)
	w, err := newSyslogWriter("", []string{path})
	if err != nil {
		t.Fatal(err)
	}
	l := &Logs{}
	l.subs.Store(&[]*Subscription{})
	sub, err := l.Subscribe("INFO", false)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	w.say, w.format = l.saying(nil), l.format
	d := daemon(t, path)
	quit := make(chan struct{})
	one := []queued{{line: []byte("2026 [INFO]  agent: one\n")}}
	w.write(one, 0, quit)
	if got := receive(t, d); !strings.HasSuffix(got, ": agent: one") {
		t.Errorf("got %q", got)
	}
	// The daemon is restarted between two lines: nothing is lost.
	_ = d.Close()
	_ = os.Remove(path)
	d = daemon(t, path)
	w.write(one, 3, quit)
	if got := receive(t, d); !strings.HasSuffix(got, "agent: log lines dropped because syslog did not take them: lines=3") {
		t.Errorf("got %q", got)
	}
	if got := receive(t, d); !strings.HasSuffix(got, ": agent: one") {
		t.Errorf("got %q", got)
	}
	// The daemon is gone: the line is kept until quit.
	_ = d.Close()
	_ = os.Remove(path)
	done := make(chan struct{})
	go func() { w.write(one, 0, quit); close(done) }()
	if got := string(<-sub.Lines()); !strings.Contains(got, "no syslog daemon answers") {
		t.Errorf("said %q", got)
	}
	select {
	case <-done:
		t.Error("the line was given up while nobody quit")
	default:
	}
	close(quit)
	<-done
	// It comes back: said once.
	daemon(t, path)
	w.write(one, 0, make(chan struct{}))
	if got := string(<-sub.Lines()); !strings.Contains(got, "syslog daemon answers") {
		t.Errorf("said %q", got)
	}
	if err := w.close(); err != nil {
		t.Error(err)
	}
}

func TestSeverity(t *testing.T) {
	for _, c := range []struct {
		name string
		want int
	}{{"TRACE", 7}, {"DEBUG", 7}, {"INFO", 6}, {"WARN", 4}, {"ERROR", 3}} {
		t.Run(c.name, func(t *testing.T) {
			l, err := ParseLevel(c.name)
			if err != nil {
				t.Fatal(err)
			}
			if got := severity(l); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}
