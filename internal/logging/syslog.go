package logging

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"
)

const (
	syslogTag   = "ctl"
	syslogRetry = 10 * time.Second
	syslogWait  = time.Second // for one dial or write; a daemon may hang
)

// facilities are the names and codes of RFC 5424, 6.2.1.
var facilities = map[string]int{
	"KERN": 0, "USER": 1, "MAIL": 2, "DAEMON": 3, "AUTH": 4, "SYSLOG": 5, "LPR": 6, "NEWS": 7,
	"UUCP": 8, "CRON": 9, "AUTHPRIV": 10, "FTP": 11, "LOCAL0": 16, "LOCAL1": 17, "LOCAL2": 18,
	"LOCAL3": 19, "LOCAL4": 20, "LOCAL5": 21, "LOCAL6": 22, "LOCAL7": 23,
}

// syslogPaths are where daemons listen: Linux, macOS, the BSDs.
var syslogPaths = []string{"/dev/log", "/var/run/syslog", "/var/run/log"}

// syslogWriter is the sink that speaks to the local syslog daemon. The
// standard library's log/syslog is not used because its writes have no
// deadline: a daemon that hangs would hold up Close.
type syslogWriter struct {
	facility int
	paths    []string
	say      sayer // on the other outputs
	format   func(slog.Level, string, ...slog.Attr) []byte

	conn    net.Conn
	network string // of conn: datagrams keep lines apart, streams need newlines
	down    bool   // the daemon is missing, and that was said
}

// newSyslogWriter checks the facility; it does not connect.
func newSyslogWriter(facility string, paths []string) (*syslogWriter, error) {
	if facility == "" {
		facility = "LOCAL0"
	}
	code, ok := facilities[strings.ToUpper(facility)]
	if !ok {
		return nil, fmt.Errorf("syslog_facility: invalid syslog facility %q; use LOCAL0 to LOCAL7, DAEMON or USER", facility)
	}
	if paths == nil {
		paths = syslogPaths
	}
	return &syslogWriter{facility: code, paths: paths}, nil
}

// connectFirst tries the daemon before the first line, so that the warning
// comes at start-up.
func (w *syslogWriter) connectFirst() {
	if err := w.connect(); err != nil {
		w.missing(err)
	}
}

func (w *syslogWriter) connect() error {
	if w.conn != nil {
		return nil
	}
	var errs []error
	for _, path := range w.paths {
		for _, network := range []string{"unixgram", "unix"} {
			conn, err := net.DialTimeout(network, path, syslogWait)
			if err == nil {
				w.conn, w.network = conn, network
				return nil
			}
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 {
		return errors.New("no place to look for a syslog daemon")
	}
	return errs[0]
}

// missing says, once, that there is no daemon, and what to do.
func (w *syslogWriter) missing(err error) {
	if w.down {
		return
	}
	w.down = true
	w.say(slog.LevelWarn, "enable_syslog is true but no syslog daemon answers: the agent goes on and logs to its other outputs, "+
		"keeps lines for syslog and tries again; start a daemon or set enable_syslog to false", slog.Any(KeyError, err))
}

// write implements sink. It stays with lines until they are written or quit
// closes; the queue behind it drops the oldest meanwhile.
func (w *syslogWriter) write(lines []queued, dropped int, quit <-chan struct{}) {
	if dropped > 0 {
		note := w.format(slog.LevelWarn, "log lines dropped because syslog did not take them", slog.Int("lines", dropped))
		w.writeOne(queued{note, slog.LevelWarn}, quit)
	}
	for _, q := range lines {
		if !w.writeOne(q, quit) {
			return
		}
	}
}

// writeOne reports whether the line was written; it gives up only on quit.
func (w *syslogWriter) writeOne(q queued, quit <-chan struct{}) bool {
	for {
		err := w.connect()
		if err == nil {
			if err = w.send(q); err == nil {
				if w.down {
					w.down = false
					w.say(slog.LevelInfo, "syslog daemon answers")
				}
				return true
			}
			_ = w.conn.Close() // the daemon went away: a new one may be there
			w.conn = nil
			if err = w.connect(); err == nil {
				if err = w.send(q); err == nil {
					return true
				}
			}
		}
		w.missing(err)
		if !pause(syslogRetry, quit) {
			return false
		}
	}
}

// send writes one message as RFC 3164 and local daemons have it.
func (w *syslogWriter) send(q queued) error {
	body := afterLevel(q.line)
	if len(q.line) > 0 && q.line[0] == '{' {
		body = q.line // JSON goes whole
	}
	m := fmt.Appendf(nil, "<%d>%s %s[%d]: %s", w.facility<<3|severity(q.level), time.Now().Format(time.Stamp), syslogTag, os.Getpid(), body)
	if w.network == "unixgram" {
		m = m[:len(m)-1]
	}
	if err := w.conn.SetWriteDeadline(time.Now().Add(syslogWait)); err != nil {
		return err
	}
	_, err := w.conn.Write(m)
	return err
}

// severity maps a level to RFC 5424's numbers.
func severity(l slog.Level) int {
	switch LevelName(l) {
	case "ERROR":
		return 3
	case "WARN":
		return 4
	case "INFO":
		return 6
	default:
		return 7
	}
}

// pause waits for d and reports false if quit closes first.
func pause(d time.Duration, quit <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-quit:
		return false
	}
}

// close implements sink.
func (w *syslogWriter) close() error {
	if w.conn == nil {
		return nil
	}
	return w.conn.Close()
}
