package clinic

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ctl-sh/ctl/internal/e2e/agentproc"
)

func TestSkewedClock(t *testing.T) {
	if !agentproc.CanShiftClock {
		t.Skip("a program's clock can be shifted only on Linux on amd64")
	}
	t.Parallel()
	w := newWard(t, 2)
	w.start(0, w.server(0, 1))
	c := w.client(1, 1)
	c.Spawn = func(cmd *exec.Cmd) error { return agentproc.StartWithClock(cmd, -90*time.Second) }
	w.start(1, c)
	w.finds(sick{
		found:    "warning clock/c2",
		evidence: []string{"the clock of c2 (" + w.api[1] + ") is 1m", " behind this machine's, give or take "},
		fix:      []string{"time service"},
		text:     []string{"  clock: The clock of c2 differs from this machine's.\n"},
	})
}

func TestVersionSkew(t *testing.T) {
	t.Parallel()
	w := newWard(t, 2)
	w.start(0, w.server(0, 1))
	c := w.client(1, 1)
	c.Binary = program(olderVersion)
	w.start(1, c)
	w.finds(sick{
		found:    "warning version",
		evidence: []string{":ctl1.1.0: c2", ":ctl1.2.0: s1"},
		fix:      []string{"Finish the upgrade"},
		text:     []string{"  version: Members run 2 different versions.\n"},
	})
}

func TestOneWayGossip(t *testing.T) {
	t.Parallel()
	w := newNetwork(t, 3)
	w.servers(3)
	if err := w.fabric.Cut(0, 1, 8301); err != nil {
		t.Fatal(err)
	}
	w.finds(sick{
		found:    "critical gossip/s1",
		evidence: []string{"s1 (" + w.api[0] + ") pinged s2 at " + w.at[1] + ":8301 over UDP: no answer"},
		fix:      []string{"Open the gossip port", "from s1 to s2"},
		text:     []string{"  gossip: Gossip gets through one way only: what s1 sends does not reach s2, but the reverse does.\n"},
	})
	if err := w.fabric.Mend(0); err != nil {
		t.Fatal(err)
	}
	w.healthy()
}

func TestWrongGossipKey(t *testing.T) {
	t.Parallel()
	w := newNetwork(t, 2)
	w.servers(1)
	c := w.client(1, 1)
	c.Extra["encrypt"] = otherKey
	w.start(1, c)
	fix := []string{"serf/local.keyring"}
	w.finds(sick{found: "critical gossip-key/" + w.at[1], evidence: []string{"s1 (" + w.api[0] + ") refused gossip of " + w.at[1]}, fix: fix}, "-http-addr", w.api[0])
	w.finds(sick{found: "critical gossip-key/c2", evidence: []string{"c2 (" + w.api[1] + ") tried"}, fix: fix}, "-http-addr", w.api[1])
	w.finds(sick{found: "critical gossip-key/c2", evidence: []string{"s1 (" + w.api[0] + ") refused gossip of " + w.at[1], "c2 (" + w.api[1] + ") tried"}, fix: fix})
}

func TestOpenScriptChecks(t *testing.T) {
	t.Parallel()
	w := newNetwork(t, 2)
	w.servers(1)
	c := w.client(1, 1)
	c.Extra["enable_script_checks"] = true
	c.Extra["addresses"] = map[string]any{"http": "127.0.0.1 " + w.at[1]}
	w.start(1, c)
	w.finds(sick{
		found:    "critical script-checks/c2, warning http/c2",
		evidence: []string{"c2 (" + w.api[1] + ") has enable_script_checks on, and its API at tcp://" + w.at[1] + ":8500"},
		fix:      []string{"enable_local_script_checks"},
	})
}

func TestHealthyThenFailingServerThenNoQuorum(t *testing.T) {
	t.Parallel()
	w := newWard(t, 4)
	w.start(3, w.client(3, 3))
	w.servers(3)
	conf := filepath.Join(w.procs[2].Spec.Dir, "config")
	warns := sick{found: "note config/bootstrap_expect", text: []string{"Asked s3 (" + w.api[2] + ").\n"}}
	w.finds(warns, "-config-dir", conf) // its ports are in use, by itself
	w.procs[2].Kill()
	w.finds(sick{found: warns.found, text: []string{"  the cluster: Error asking the agent at " + w.api[2]}}, "-config-dir", conf)
	w.finds(sick{
		found:    "critical member/s3",
		evidence: []string{"s1 (" + w.api[0] + ") sees s3 (" + w.at[2] + ") failed", "the servers can lose 0 more", "it is still a raft peer"},
		fix:      []string{"Start the agent on s3 again", "ctl force-leave s3", "ctl operator raft remove-peer -id "},
		text:     []string{"  member: The server s3 has failed.\n"},
	})
	w.procs[1].Kill()
	w.finds(sick{
		found:    "critical quorum, critical member/s2, critical member/s3",
		evidence: []string{"s1 (" + w.api[0] + ") knows no leader", "s2 (" + w.at[1] + ":8300) is failed"},
		fix:      []string{"Start 1 or more of the missing servers again"},
		text:     []string{"  quorum: No quorum: 1 of 3 voting servers alive, 2 needed; nothing can be written.\n"},
	})
	w.start(1, w.server(1, 3))
	w.start(2, w.server(2, 3))
	w.healthy()
}

// TestStaleRaftPeer has two of three servers come back on machines that know
// nothing of the third: their logs were carried over, the files of gossip were
// not.
func TestStaleRaftPeer(t *testing.T) {
	t.Parallel()
	w := newWard(t, 3)
	w.servers(3)
	peers := w.must("operator", "raft", "list-peers", "-http-addr", w.api[0])
	fields := strings.Fields(regexp.MustCompile(`(?m)^s3 .*$`).FindString(peers))
	if len(fields) < 2 {
		t.Fatalf("s3 is no peer:\n%s", peers)
	}
	id := fields[1]
	for _, p := range w.procs {
		p.Kill()
	}
	for i := range 2 {
		if err := os.RemoveAll(filepath.Join(w.procs[i].Spec.Dir, "data", "serf")); err != nil {
			t.Fatal(err)
		}
		s := w.server(i, 3)
		s.Join = w.at[:2]
		w.start(i, s)
	}
	w.finds(sick{
		found:    "warning stale-peer/" + id,
		evidence: []string{"raft has " + id + " at " + w.at[2] + ":8300 (voter: true)", "it is no member for s1"},
		fix:      []string{"`ctl operator raft remove-peer -id " + id + "`"},
		text:     []string{"it counts in the quorum and never votes.\n"},
	})
	w.must("operator", "raft", "remove-peer", "-http-addr", w.api[0], "-id", id)
	w.healthy()
}
