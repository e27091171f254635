package telemetry

import (
	"slices"
	"strings"
)

// A Kind says how a metric behaves.
type Kind uint8

// The kinds.
const (
	CounterKind Kind = iota // only rises
	GaugeKind               // a state
	SampleKind              // many observations, summed up
)

// String returns the kind's name.
func (k Kind) String() string {
	switch k {
	case CounterKind:
		return "counter"
	case GaugeKind:
		return "gauge"
	default:
		return "sample"
	}
}

// textType returns the kind's name in Prometheus' text.
func (k Kind) textType() string {
	if k == SampleKind {
		return "summary"
	}
	return k.String()
}

// A Definition is what is known about a metric beforehand.
type Definition struct {
	Name    string // dotted, without the prefix
	Kind    Kind
	Help    string   // one sentence; samples are milliseconds unless it says otherwise
	Labels  []string // their names; empty means one series, there from the start
	Unknown bool     // a gauge that is NaN until set, because zero would be a claim
}

// Definitions returns the table of metrics, sorted by name. The caller may keep
// and change it.
func Definitions() []Definition {
	out := slices.Clone(definitions)
	slices.SortFunc(out, func(a, b Definition) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// declared returns the row of a name.
func declared(name string) (Definition, bool) {
	i := slices.IndexFunc(definitions, func(d Definition) bool { return d.Name == name })
	if i < 0 {
		return Definition{}, false
	}
	return definitions[i], true
}

// definitions is the table. Names are Consul's, as dashboards have them, or
// those the libraries below use; they are never changed (a golden file says
// so). Metrics with labels appear when their first series does.
var definitions = []Definition{
	// The process.
	{Name: "runtime.num_goroutines", Kind: GaugeKind, Help: "Goroutines that exist."},
	{Name: "runtime.alloc_bytes", Kind: GaugeKind, Help: "Bytes of live heap objects."},
	{Name: "runtime.sys_bytes", Kind: GaugeKind, Help: "Bytes obtained from the operating system."},
	{Name: "runtime.malloc_count", Kind: GaugeKind, Help: "Heap objects allocated since the start."},
	{Name: "runtime.free_count", Kind: GaugeKind, Help: "Heap objects freed since the start."},
	{Name: "runtime.heap_objects", Kind: GaugeKind, Help: "Heap objects that exist."},
	{Name: "runtime.total_gc_pause_ns", Kind: GaugeKind, Help: "Nanoseconds stopped for garbage collection since the start."},
	{Name: "runtime.total_gc_runs", Kind: GaugeKind, Help: "Garbage collections since the start."},
	{Name: "runtime.gc_pause_ns", Kind: SampleKind, Help: "Nanoseconds of each stop for garbage collection."},
	{Name: "version", Kind: GaugeKind, Help: "Always 1; the labels say which version runs.", Labels: []string{"version", "pre_release"}},
	{Name: "telemetry.refused", Kind: CounterKind, Help: "Series that were merged or not exported because there are too many."},
	{Name: "server.isLeader", Kind: GaugeKind, Help: "1 on the server that leads, else 0."},

	{Name: "agent.tls.cert.expiry", Kind: GaugeKind, Help: "Seconds until the first of the agent's own TLS certificates expires; NaN without one.", Unknown: true},

	// HTTP and RPC.
	{Name: "api.http", Kind: SampleKind, Help: "Time to answer an HTTP request.", Labels: []string{"method", "path"}},
	{Name: "client.rpc", Kind: CounterKind, Help: "Requests this agent sent to a server."},
	{Name: "client.rpc.failed", Kind: CounterKind, Help: "Requests to a server that failed."},
	{Name: "client.rpc.exceeded", Kind: CounterKind, Help: "Requests refused because of this agent's rate limit."},
	{Name: "rpc.request", Kind: CounterKind, Help: "Requests that reached this server."},
	{Name: "rpc.request_error", Kind: CounterKind, Help: "Requests this server answered with an error."},
	{Name: "rpc.query", Kind: CounterKind, Help: "Reads that reached this server."},
	{Name: "rpc.queries_blocking", Kind: GaugeKind, Help: "Blocking queries that wait now."},
	{Name: "rpc.consistentRead", Kind: SampleKind, Help: "Time to confirm a read index."},
	{Name: "rpc.accept_conn", Kind: CounterKind, Help: "Connections this server accepted."},
	{Name: "rpc.raft_handoff", Kind: CounterKind, Help: "Connections handed to Raft."},

	// Nouns.
	{Name: "catalog.register", Kind: SampleKind, Help: "Time to apply a registration."},
	{Name: "catalog.deregister", Kind: SampleKind, Help: "Time to apply a deregistration."},
	{Name: "autopilot.apply", Kind: SampleKind, Help: "Time to apply a change of autopilot's settings."},
	{Name: "kvs.apply", Kind: SampleKind, Help: "Time to apply a key/value write."},
	{Name: "dns.domain_query", Kind: SampleKind, Help: "Time to answer a DNS query of our domain."},
	{Name: "dns.ptr_query", Kind: SampleKind, Help: "Time to answer a reverse DNS query."},
	{Name: "dns.query", Kind: CounterKind, Help: "DNS queries by type.", Labels: []string{"type"}},

	// Cluster life.
	{Name: "leader.reconcile", Kind: SampleKind, Help: "Time to reconcile the catalog with all members."},
	{Name: "leader.reapTombstones", Kind: SampleKind, Help: "Time to reap tombstones."},
	{Name: "autopilot.healthy", Kind: GaugeKind, Help: "1 if all servers are healthy, 0 if not; NaN where it is not known.", Unknown: true},
	{Name: "autopilot.failure_tolerance", Kind: GaugeKind, Help: "Servers that may fail before the quorum is lost; NaN where it is not known.", Unknown: true},
	{Name: "members.servers", Kind: GaugeKind, Help: "Servers that are alive, as gossip sees it.", Labels: []string{"datacenter"}},
	{Name: "members.clients", Kind: GaugeKind, Help: "Clients that are alive, as gossip sees it.", Labels: []string{"datacenter"}},
	{Name: "state.nodes", Kind: GaugeKind, Help: "Nodes in the catalog.", Labels: []string{"datacenter"}},
	{Name: "state.service_instances", Kind: GaugeKind, Help: "Service instances in the catalog.", Labels: []string{"datacenter"}},
	{Name: "state.kv_entries", Kind: GaugeKind, Help: "Keys in the key/value store.", Labels: []string{"datacenter"}},

	// Certificates.
	{Name: "mesh.active-root-ca.expiry", Kind: GaugeKind, Help: "Seconds the active root certificate still holds, on the leader; NaN elsewhere.", Unknown: true},
	{Name: "mesh.active-signing-ca.expiry", Kind: GaugeKind, Help: "Seconds the certificate that signs leaves still holds, on the leader; NaN elsewhere.", Unknown: true},
	{Name: "mesh.leaf.expiry", Kind: GaugeKind, Help: "Seconds until the first of the service certificates this agent keeps ends; NaN if it keeps none.", Unknown: true},

	// Raft, as github.com/hashicorp/raft names it.
	{Name: "raft.apply", Kind: CounterKind, Help: "Writes handed to Raft on this leader."},
	{Name: "raft.barrier", Kind: CounterKind, Help: "Barriers asked of this leader."},
	{Name: "raft.verify_leader", Kind: CounterKind, Help: "Verifications asked of this leader."},
	{Name: "raft.restore", Kind: CounterKind, Help: "Snapshots restored by an operator."},
	{Name: "raft.commitTime", Kind: SampleKind, Help: "Time from a write's arrival until a quorum has it."},
	{Name: "raft.commitNumLogs", Kind: GaugeKind, Help: "Entries of the last commit."},
	{Name: "raft.applied_index", Kind: GaugeKind, Help: "Index of the last log entry applied here."},
	{Name: "raft.last_index", Kind: GaugeKind, Help: "Index of the last log entry stored here."},
	{Name: "raft.peers", Kind: GaugeKind, Help: "Servers in the Raft configuration, as this leader sees it."},
	{Name: "raft.leader.lastContact", Kind: SampleKind, Help: "Time since a follower last answered this leader."},
	{Name: "raft.leader.dispatchLog", Kind: SampleKind, Help: "Time this leader takes to write its own log."},
	{Name: "raft.leader.dispatchNumLogs", Kind: GaugeKind, Help: "Entries of this leader's last write to its log."},
	{Name: "raft.leader.oldestLogAge", Kind: GaugeKind, Help: "Milliseconds since the oldest log entry kept here was written."},
	{Name: "raft.state.leader", Kind: CounterKind, Help: "Times this server became leader."},
	{Name: "raft.state.candidate", Kind: CounterKind, Help: "Times this server stood for election."},
	{Name: "raft.state.follower", Kind: CounterKind, Help: "Times this server became follower."},
	{Name: "raft.transition.heartbeat_timeout", Kind: CounterKind, Help: "Times this server missed its leader's heartbeats."},
	{Name: "raft.transition.leader_lease_timeout", Kind: CounterKind, Help: "Times this leader lost contact with the quorum."},
	{Name: "raft.candidate.electSelf", Kind: SampleKind, Help: "Time to ask for votes."},
	{Name: "raft.candidate.preElectSelf", Kind: SampleKind, Help: "Time to ask for pre-votes."},
	{Name: "raft.rpc.appendEntries", Kind: SampleKind, Help: "Time a follower takes for a leader's entries."},
	{Name: "raft.rpc.appendEntries.storeLogs", Kind: SampleKind, Help: "Time a follower takes to write entries to its log."},
	{Name: "raft.rpc.appendEntries.processLogs", Kind: SampleKind, Help: "Time a follower takes to pass on committed entries."},
	{Name: "raft.rpc.processHeartbeat", Kind: SampleKind, Help: "Time to answer a heartbeat."},
	{Name: "raft.rpc.requestVote", Kind: SampleKind, Help: "Time to answer a request for a vote."},
	{Name: "raft.rpc.requestPreVote", Kind: SampleKind, Help: "Time to answer a request for a pre-vote."},
	{Name: "raft.rpc.installSnapshot", Kind: SampleKind, Help: "Time to take a leader's snapshot."},
	{Name: "raft.replication.appendEntries.rpc", Kind: SampleKind, Help: "Time a follower takes to answer this leader.", Labels: []string{"peer_id"}},
	{Name: "raft.replication.appendEntries.logs", Kind: CounterKind, Help: "Entries sent to a follower.", Labels: []string{"peer_id"}},
	{Name: "raft.replication.heartbeat", Kind: SampleKind, Help: "Time a follower takes to answer a heartbeat.", Labels: []string{"peer_id"}},
	{Name: "raft.replication.installSnapshot", Kind: SampleKind, Help: "Time a follower takes for a snapshot.", Labels: []string{"peer_id"}},
	{Name: "raft.fsm.apply", Kind: SampleKind, Help: "Time to apply one entry."},
	{Name: "raft.fsm.applyBatch", Kind: SampleKind, Help: "Time to apply a batch of entries."},
	{Name: "raft.fsm.applyBatchNum", Kind: SampleKind, Help: "Entries of a batch that was applied."},
	{Name: "raft.fsm.enqueue", Kind: SampleKind, Help: "Time to queue a batch for application."},
	{Name: "raft.fsm.store_config", Kind: SampleKind, Help: "Time to note a change of the Raft configuration."},
	{Name: "raft.fsm.snapshot", Kind: SampleKind, Help: "Time to take a view of the state for a snapshot."},
	{Name: "raft.fsm.restore", Kind: SampleKind, Help: "Time to restore the state from a snapshot."},
	{Name: "raft.fsm.lastRestoreDuration", Kind: GaugeKind, Help: "Milliseconds the last restore from a snapshot took."},
	{Name: "raft.snapshot.create", Kind: SampleKind, Help: "Time to create a snapshot file."},
	{Name: "raft.snapshot.persist", Kind: SampleKind, Help: "Time to write the state into a snapshot file."},
	{Name: "raft.snapshot.takeSnapshot", Kind: SampleKind, Help: "Time of a whole snapshot."},
	{Name: "raft.compactLogs", Kind: SampleKind, Help: "Time to drop log entries that a snapshot covers."},
	{Name: "raft.restoreUserSnapshot", Kind: SampleKind, Help: "Time to restore an operator's snapshot."},
	{Name: "raft.thread.main.saturation", Kind: SampleKind, Help: "Share of time, 0 to 1, that Raft's main loop is busy."},
	{Name: "raft.thread.fsm.saturation", Kind: SampleKind, Help: "Share of time, 0 to 1, that Raft's apply loop is busy."},

	// Gossip, as serf and memberlist name it; with labels if the pool sets any.
	{Name: "serf.member.join", Kind: CounterKind, Help: "Members that joined."},
	{Name: "serf.member.left", Kind: CounterKind, Help: "Members that left."},
	{Name: "serf.member.failed", Kind: CounterKind, Help: "Members that failed."},
	{Name: "serf.member.update", Kind: CounterKind, Help: "Members that changed their tags."},
	{Name: "serf.member.flap", Kind: CounterKind, Help: "Members that failed and came back within a minute."},
	{Name: "serf.events", Kind: CounterKind, Help: "User events received."},
	{Name: "serf.queries", Kind: CounterKind, Help: "Serf queries received."},
	{Name: "serf.msgs.received", Kind: SampleKind, Help: "Bytes of each Serf message received."},
	{Name: "serf.msgs.sent", Kind: SampleKind, Help: "Bytes of each Serf message sent."},
	{Name: "serf.queue.Intent", Kind: SampleKind, Help: "Join and leave messages waiting to be sent."},
	{Name: "serf.queue.Event", Kind: SampleKind, Help: "User events waiting to be sent."},
	{Name: "serf.queue.Query", Kind: SampleKind, Help: "Serf queries waiting to be sent."},
	{Name: "serf.coordinate.adjustment-ms", Kind: SampleKind, Help: "Milliseconds by which a probe moved this node's coordinate."},
	{Name: "serf.coordinate.rejected", Kind: CounterKind, Help: "Coordinates that were refused."},
	{Name: "serf.snapshot.appendLine", Kind: SampleKind, Help: "Time to note a member in Serf's snapshot file."},
	{Name: "serf.snapshot.compact", Kind: SampleKind, Help: "Time to compact Serf's snapshot file."},
	{Name: "memberlist.gossip", Kind: SampleKind, Help: "Time of a round of gossip."},
	{Name: "memberlist.probeNode", Kind: SampleKind, Help: "Time to probe a member."},
	{Name: "memberlist.pushPullNode", Kind: SampleKind, Help: "Time to exchange the whole state with a member."},
	{Name: "memberlist.udp.sent", Kind: CounterKind, Help: "Bytes sent by UDP."},
	{Name: "memberlist.udp.received", Kind: CounterKind, Help: "Bytes received by UDP."},
	{Name: "memberlist.tcp.accept", Kind: CounterKind, Help: "Gossip connections accepted."},
	{Name: "memberlist.tcp.connect", Kind: CounterKind, Help: "Gossip connections opened."},
	{Name: "memberlist.tcp.sent", Kind: CounterKind, Help: "Bytes sent by TCP."},
	{Name: "memberlist.msg.alive", Kind: CounterKind, Help: "News that a member is alive."},
	{Name: "memberlist.msg.suspect", Kind: CounterKind, Help: "News that a member is suspected."},
	{Name: "memberlist.msg.dead", Kind: CounterKind, Help: "News that a member is dead."},
	{Name: "memberlist.degraded.probe", Kind: CounterKind, Help: "Probes made more patient because this node is slow itself."},
	{Name: "memberlist.degraded.timeout", Kind: CounterKind, Help: "Suspicions drawn out because few members confirmed them."},
	{Name: "memberlist.health.score", Kind: GaugeKind, Help: "How slow this node believes to be itself; 0 is healthy."},
	{Name: "memberlist.queue.broadcasts", Kind: SampleKind, Help: "Gossip messages waiting to be sent."},
	{Name: "memberlist.size.local", Kind: GaugeKind, Help: "Bytes of this node's state in a full exchange."},
	{Name: "memberlist.size.remote", Kind: SampleKind, Help: "Bytes of a member's state in a full exchange."},
	{Name: "memberlist.node.instances", Kind: GaugeKind, Help: "Members by state.", Labels: []string{"node_state"}},
}
