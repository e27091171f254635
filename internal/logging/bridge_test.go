package logging

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
)

// afterTime returns the lines of out without their time stamps.
func afterTime(out string) []string {
	var lines []string
	for line := range strings.Lines(out) {
		_, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		lines = append(lines, rest)
	}
	return lines
}

func TestStdLog(t *testing.T) {
	var out screen
	l := StdLog(open(t, Config{Level: "TRACE", Console: &out}).Logger().With(KeyComponent, "agent.server.memberlist.lan"))
	l.Printf("[WARN] memberlist: Was able to connect to %s", "n2")
	l.Print("[ERR] serf: failed\n")
	l.Print("[ERROR] serf: failed")
	l.Print("[DEBUG]   memberlist: x")
	l.Print("[TRACE] y")
	l.Print("[INFO] serf: EventMemberJoin: n1 10.0.0.1")
	l.Print("http: TLS handshake error")
	l.Print("[fe80::1]:8301 is not a level")
	l.Print("[unclosed")
	want := []string{
		"[WARN]  agent.server.memberlist.lan: memberlist: Was able to connect to n2",
		"[ERROR] agent.server.memberlist.lan: serf: failed",
		"[ERROR] agent.server.memberlist.lan: serf: failed",
		"[DEBUG] agent.server.memberlist.lan: memberlist: x",
		"[TRACE] agent.server.memberlist.lan: y",
		"[INFO]  agent.server.memberlist.lan: serf: EventMemberJoin: n1 10.0.0.1",
		"[INFO]  agent.server.memberlist.lan: http: TLS handshake error",
		"[INFO]  agent.server.memberlist.lan: [fe80::1]:8301 is not a level",
		"[INFO]  agent.server.memberlist.lan: [unclosed",
	}
	if d := cmp.Diff(want, afterTime(out.String())); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

type peerID string

func TestHCLog(t *testing.T) {
	var out screen
	h := HCLog(open(t, Config{Level: "TRACE", Console: &out}).Logger().With(KeyComponent, "agent.server"))
	raft := h.Named("raft").With("peer", "n2")
	var calls counter
	raft.Info("entering follower state", "follower", &calls, "took", time.Second)
	raft.Error("append", "error", errors.New("no disk"), "extra")
	raft.Warn("forms", "a", hclog.Fmt("%d/%d", 1, 2), "b", hclog.Quote("x\ny"), "c", hclog.Hex(255), "d", hclog.Octal(8), "e", hclog.Binary(5), 7, []string{"x"})
	id := peerID("n3")
	raft.Debug("starting leadership transfer", "id", &id)
	raft.Trace("t")
	raft.Debug("d")
	raft.Log(hclog.NoLevel, "n")
	raft.Log(hclog.Off, "never")
	raft.ResetNamed("wal").Log(hclog.Warn, "w")
	raft.StandardLogger(nil).Print("[WARN] std")
	raft.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Error}).Print("[WARN] forced")
	want := []string{
		"[INFO]  agent.server.raft: entering follower state: peer=n2 follower=counter took=1s",
		`[ERROR] agent.server.raft: append: peer=n2 error="no disk" EXTRA_VALUE_AT_END=extra`,
		`[WARN]  agent.server.raft: forms: peer=n2 a=1/2 b="x\ny" c=0xff d=010 e=0b101 7=[x]`,
		"[DEBUG] agent.server.raft: starting leadership transfer: peer=n2 id=n3",
		"[TRACE] agent.server.raft: t: peer=n2",
		"[DEBUG] agent.server.raft: d: peer=n2",
		"[INFO]  agent.server.raft: n: peer=n2",
		"[WARN]  wal: w: peer=n2",
		"[WARN]  agent.server.raft: std: peer=n2",
		"[ERROR] agent.server.raft: forced: peer=n2",
	}
	if d := cmp.Diff(want, afterTime(out.String())); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if calls != 1 {
		t.Errorf("String was called %d times, want once, during the call", calls)
	}
	if raft.Name() != "agent.server.raft" || len(raft.ImpliedArgs()) != 2 {
		t.Errorf("name %q, implied %v", raft.Name(), raft.ImpliedArgs())
	}
}

func TestHCLogLevels(t *testing.T) {
	for _, c := range []struct {
		level string
		want  hclog.Level
		on    []bool // trace to error
	}{
		{"TRACE", hclog.Trace, []bool{true, true, true, true, true}},
		{"DEBUG", hclog.Debug, []bool{false, true, true, true, true}},
		{"INFO", hclog.Info, []bool{false, false, true, true, true}},
		{"WARN", hclog.Warn, []bool{false, false, false, true, true}},
		{"ERROR", hclog.Error, []bool{false, false, false, false, true}},
	} {
		t.Run(c.level, func(t *testing.T) {
			h := HCLog(open(t, Config{Level: c.level}).Logger())
			h.SetLevel(hclog.Trace)
			if got := h.GetLevel(); got != c.want {
				t.Errorf("level %v, want %v", got, c.want)
			}
			got := []bool{h.IsTrace(), h.IsDebug(), h.IsInfo(), h.IsWarn(), h.IsError()}
			if d := cmp.Diff(c.on, got); d != "" {
				t.Errorf("enabled (-want +got):\n%s", d)
			}
		})
	}
}

func TestHCLogBelowTheLevelIsNotRendered(t *testing.T) {
	h := HCLog(open(t, Config{Level: "INFO"}).Logger())
	var calls counter
	h.Debug("m", "x", &calls)
	if calls != 0 {
		t.Error("String was called for a line nobody wants")
	}
}

func TestHCLogOverAForeignHandler(t *testing.T) {
	if got := HCLog(slog.New(slog.DiscardHandler)).Named("raft").Name(); got != "raft" {
		t.Errorf("name %q, want raft", got)
	}
}
