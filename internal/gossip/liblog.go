package gossip

import (
	"bytes"
	"io"
	"log"
	"log/slog"
	"sync"
	"time"

	"github.com/ctl-sh/ctl/internal/logging"
)

// noisePause is how long a line that repeats with every packet is held back.
const noisePause = time.Minute

// rewrites are lines of serf and memberlist that say too little, or say it at
// the wrong level. The first whose text is in a line replaces it.
var rewrites = []struct {
	text   string // part of the library's line
	line   string // what is logged instead, before the line's "from=…"
	reason string // why gossip was refused, for Refusals; empty: it was not
	repeat bool   // false: at most once in noisePause for each source
}{
	{"Shutdown without a Leave", "[DEBUG] serf: shutting down without leaving", "", true},
	{"no installed keys could decrypt the message",
		"[ERR] memberlist: gossip refused: it is encrypted with a key this agent does not have " +
			"(compare `encrypt` and the keyring files of both agents)", RefusedOtherKey, false},
	{"remote state is encrypted and encryption is not configured",
		"[ERR] memberlist: gossip refused: it is encrypted, but this agent has no gossip key " +
			"(set `encrypt` to the other agents' key)", RefusedNoKeyHere, false},
	{"encryption is configured but remote state is not encrypted",
		"[ERR] memberlist: gossip refused: it is not encrypted, but this agent has a gossip key " +
			"(the other agent needs `encrypt`)", RefusedNoKeyThere, false},
	{"cannot decrypt empty payload", "[ERR] memberlist: gossip refused: empty message", RefusedUnreadable, false},
	{"msg type (", "[ERR] memberlist: gossip refused: unknown message, perhaps encrypted while this agent " +
		"has no gossip key", RefusedUnreadable, false},
}

// libraryLog passes on what serf and memberlist log, made clear and less noisy,
// and counts what they refuse: their log is the only place that says so.
type libraryLog struct {
	next     io.Writer
	refusals *refusals

	mu   sync.Mutex
	last map[string]time.Time // when a line was last passed on
}

// newLibraryLog returns the logger for serf and memberlist.
func newLibraryLog(l *slog.Logger, r *refusals) *log.Logger {
	return log.New(&libraryLog{next: logging.StdLog(l).Writer(), refusals: r, last: make(map[string]time.Time)}, "", 0)
}

// Write implements io.Writer: one line a call, as log.Logger does.
func (w *libraryLog) Write(line []byte) (int, error) {
	for _, r := range rewrites {
		if !bytes.Contains(line, []byte(r.text)) {
			continue
		}
		out := []byte(r.line)
		if i := bytes.LastIndex(line, []byte(" from=")); i >= 0 {
			source := bytes.TrimRight(line[i:], "\n")
			out = append(out, source...)
			if r.reason != "" {
				w.refusals.count(string(bytes.TrimPrefix(source, []byte(" from="))), r.reason, time.Now())
			}
		}
		if !r.repeat && w.recent(r.text, line) {
			return len(line), nil
		}
		_, err := w.next.Write(append(out, '\n'))
		return len(line), err
	}
	return w.next.Write(line)
}

// recent reports whether such a line came from the same host a moment ago, and
// remembers it if not.
func (w *libraryLog) recent(text string, line []byte) bool {
	source := text
	if i := bytes.LastIndex(line, []byte(" from=")); i >= 0 {
		host := line[i:]
		if j := bytes.LastIndexByte(host, ':'); j > 0 {
			host = host[:j] // every stream has a new port
		}
		source += string(host)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if now.Sub(w.last[source]) < noisePause {
		return true
	}
	if len(w.last) > 1024 {
		clear(w.last) // a bound, whoever is sending
	}
	w.last[source] = now
	return false
}
