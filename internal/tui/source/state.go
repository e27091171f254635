package source

import (
	"errors"
	"time"
)

// State is all that is known at one moment. It is immutable.
type State struct {
	// Version rises by at least one with every change of anything.
	Version uint64
	// AsOf is the moment of a state of the past, see Feed.Past; zero for now.
	AsOf time.Time
	// Connection says how the agent is reached. It is always there, and always
	// that of now, but for Link.
	Connection Connection

	// What every screen's header shows; watched always.
	Cluster Cluster
	Members Members

	// What is watched while somebody looks; see Interest.
	Services    Services
	Service     ServiceDetail
	Nodes       Nodes
	Node        NodeDetail
	Problems    Problems
	KV          KV
	Key         Key
	Sessions    Sessions
	Log         Log
	Datacenters Datacenters

	// What the source makes of what it sees.
	Recent  Recent
	Traffic Traffic
}

// Phase is how much of a section is there.
type Phase uint8

// The phases. A section without rows that is Ready is empty, which is not the
// same as one that is still Loading.
const (
	// Idle is a section nobody looks at; it may still hold what was last
	// seen.
	Idle Phase = iota
	// Loading has been asked for and has never been answered.
	Loading
	// Ready holds what the cluster has, as of Status.At.
	Ready
	// Failed could not be read: Status.Problem says why. What was read
	// before stays in the section, as old as Status.At says.
	Failed
	// Unsupported is something this agent does not have.
	Unsupported
)

// String returns the word shown to people.
func (p Phase) String() string {
	switch p {
	case Idle:
		return "idle"
	case Loading:
		return "loading"
	case Ready:
		return "ready"
	case Failed:
		return "error"
	case Unsupported:
		return "not supported"
	default:
		return "unknown"
	}
}

// Status is what every section says about itself.
type Status struct {
	Phase Phase
	// Version changes whenever anything in the section does: the key of
	// caches. It is never the same for two different contents.
	Version uint64
	// At is when the content was last known to be true; zero for never.
	// While the connection is up and the section is Ready, that is now.
	At time.Time
	// Stale says that the content may be older than it seems, because no
	// leader confirmed it.
	Stale bool
	// Problem is why the section is Failed, or nil.
	Problem *Problem
}

// Empty reports whether a section with n rows is known to have none.
func (s Status) Empty(n int) bool { return s.Phase == Ready && n == 0 }

// ProblemKind says what kind of thing went wrong, for who decides by it.
type ProblemKind uint8

// The kinds of problems.
const (
	// Other is none of the following; Text is all there is to say.
	Other ProblemKind = iota
	// Unreachable is an agent that does not answer.
	Unreachable
	// NoLeader is a cluster that cannot confirm a read or take a write.
	NoLeader
	// Denied is a token that may not.
	Denied
	// Conflicted is a check-and-set that found something else.
	Conflicted
	// Missing is an object that is not there.
	Missing
	// Refused is a request that makes no sense to the agent, or one that
	// the source refuses because it is read-only.
	Refused
	// Unknown is a write whose outcome nobody knows.
	Unknown
)

// Problem is an error as a pane shows it. It implements error.
type Problem struct {
	Kind ProblemKind
	// Text is the agent's own words, or the operating system's.
	Text string
	// Hint is what to do next, or "".
	Hint string
	// Rule is the missing permission such as `key:write on "app/"`, where
	// the agent named it.
	Rule string
	// Token says where the token came from, for Denied.
	Token string
	// HTTP is the status, 0 where no answer came.
	HTTP int
	At   time.Time

	index uint64 // that of an answer about what is not there
}

// Error implements error.
func (p *Problem) Error() string {
	if p.Hint == "" {
		return p.Text
	}
	return p.Text + ": " + p.Hint
}

// KindOf returns the kind of the Problem in err, Other where there is none.
func KindOf(err error) ProblemKind {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p.Kind
	}
	return Other
}

// Link is the state of the connection to the agent.
type Link uint8

// The states of a connection.
const (
	// Connecting has not reached an agent yet since the start.
	Connecting Link = iota
	// Connected is up.
	Connected
	// Lost was up and is not: what is shown is old.
	Lost
)

// String returns the word shown to people.
func (l Link) String() string {
	switch l {
	case Connected:
		return "connected"
	case Lost:
		return "disconnected"
	default:
		return "connecting"
	}
}

// Transport is how changes come.
type Transport uint8

// The transports.
const (
	// TransportNone is not known yet.
	TransportNone Transport = iota
	// Stream is the agent's change stream.
	Stream
	// LongPoll is blocking queries.
	LongPoll
)

// String returns the word shown to people.
func (t Transport) String() string {
	switch t {
	case Stream:
		return "stream"
	case LongPoll:
		return "long poll"
	default:
		return ""
	}
}

// Connection says how the agent is reached.
type Connection struct {
	Version uint64
	Link    Link
	// Since is when Link became what it is. While Lost, what is shown is as
	// old as that.
	Since time.Time
	// Address is the one in use, or tried last; Others are the context's
	// other addresses.
	Address string
	Others  []string
	// Context is the name of the operator's context, or "".
	Context   string
	Transport Transport
	// RTT is how long the last small request took; zero for unknown.
	RTT time.Duration
	// Skew is how far the agent's clock is ahead of ours; only exact to a
	// second.
	Skew time.Duration
	// Attempt counts the tries since the connection was lost, RetryAt is
	// when the next begins; zero while one runs.
	Attempt int
	RetryAt time.Time
	// Problem is why the last try failed, or nil.
	Problem *Problem
	// Agent is who answers; its zero value is nobody yet.
	Agent Agent
	// ReadOnly says that writes are refused, and why.
	ReadOnly       bool
	ReadOnlyReason string
	// Away is what changed while the connection was lost. It is set at the
	// return and stays until [Source.Seen] or the next return.
	Away *Away
}

// Agent is the agent that answers.
type Agent struct {
	Node, ID, Datacenter string
	Server               bool
	// Version is the one the agent answers to clients, Build the name and
	// version of the program itself where it says so.
	Version, Build string
	// DNS is where it answers DNS, host:port, or "".
	DNS string
}

// Away is what changed between losing the agent and reaching one again.
type Away struct {
	From, To time.Time
	// Leader is the new leader's name where it is another one, or "".
	Leader string
	// ServicesCritical are the services that have critical instances and had
	// none.
	ServicesCritical []string
	// ServicesRecovered are the services that have none any more.
	ServicesRecovered []string
	ServicesGone      int
	ServicesNew       int
	MembersChanged    int
	// Writes is how many entries the log grew by.
	Writes uint64
}

// Empty reports whether nothing changed.
func (a *Away) Empty() bool {
	return a == nil || a.Leader == "" && len(a.ServicesCritical) == 0 && len(a.ServicesRecovered) == 0 &&
		a.ServicesGone == 0 && a.ServicesNew == 0 && a.MembersChanged == 0 && a.Writes == 0
}

// blink is an absence so short that it is no news that the log grew meanwhile,
// as it always does.
const blink = 2 * time.Second

// News reports whether something changed that is worth a line on the screen.
func (a *Away) News() bool {
	if a.Empty() {
		return false
	}
	rest := *a
	rest.Writes = 0
	return !rest.Empty() || a.To.Sub(a.From) >= blink
}

// Cluster is Raft, autopilot and how much can be lost.
type Cluster struct {
	Status
	// Leader is its id, LeaderName its node, LeaderAddr host:port; "" for
	// none, or what the agent does not tell.
	Leader, LeaderName, LeaderAddr string
	// LeaderSince is when this source first saw that leader.
	LeaderSince time.Time
	Term        uint64
	// Commit, Applied and LastLog are log indexes at the server that answers;
	// 0 for not known.
	Commit, Applied, LastLog uint64
	Peers                    []*Peer // the leader first, then by name
	// Voters and Quorum are counts, CanLose how many more voters may fail.
	// CanLose is negative while there is no quorum.
	Voters, Quorum, CanLose int
	// Healthy is autopilot's word, Judged whether it has one: the leader
	// asks the servers only now and then.
	Healthy, Judged bool
	// Elections counts the changes of leader since start.
	Elections int
	// Snapshot is the index of the answering server's newest snapshot.
	Snapshot uint64
}

// Peer is a server of the Raft configuration.
type Peer struct {
	ID, Name, Address string
	Voter, Leader     bool
	// Serf is gossip's word: alive, failed, left, or "".
	Serf    string
	Version string
	// Known says that the leader told of it, and the rest means something.
	Known       bool
	Healthy     bool
	LastContact time.Duration
	LastTerm    uint64
	// Match is the peer's last log index and Gap how far that is behind the
	// leader's.
	Match, Gap  uint64
	StableSince time.Time
}

// Members are gossip's.
type Members struct {
	Status
	LAN []*Member // by name
	// WAN is nil where the agent is not in that pool.
	WAN []*Member
	// Alive, Failed and Left count the LAN.
	Alive, Failed, Left int
}

// Member is a member of a gossip pool.
type Member struct {
	Name, ID, Address string
	Port              int
	// State is alive, leaving, left, failed or none.
	State string
	// Server says that it is one.
	Server bool
	// Build and Protocol are as its tags say.
	Build, Protocol, Datacenter string
	Tags                        map[string]string
	// RTT is the estimated round trip from the agent, where coordinates are
	// known; otherwise negative.
	RTT time.Duration
	// Since is when this source first saw State; zero if it was so from the
	// beginning.
	Since time.Time
}

// Services are the service names of the catalog.
type Services struct {
	Status
	Rows []*Service // by name
	// Passing, Warning and Critical count services by their worst instance.
	Passing, Warning, Critical int
}

// Service is a service name with its instances by health.
type Service struct {
	Name string
	// Kind is "" or that of a proxy or gateway.
	Kind      string
	Tags      []string // of all instances, sorted
	Instances int
	// Passing, Warning and Critical count instances by their worst check.
	// Counted is false where the agent gives no such summary without reading
	// every service: then these are zero and mean nothing.
	Passing, Warning, Critical int
	Counted                    bool
	// Index is where the service last changed, 0 for not known.
	Index uint64
}

// Health returns the worst state of the instances.
func (s *Service) Health() string { return worst(s.Warning, s.Critical, s.Counted) }

func worst(warning, critical int, counted bool) string {
	switch {
	case !counted:
		return ""
	case critical > 0:
		return Critical
	case warning > 0:
		return Warning
	default:
		return Passing
	}
}

// States of a check or instance. MaintenanceState is an instance's alone: one
// whose own or node's maintenance check is critical.
const (
	Passing          = "passing"
	Warning          = "warning"
	Critical         = "critical"
	MaintenanceState = "maintenance"
)

// ServiceDetail is one service with its instances: that of Interest.Service.
type ServiceDetail struct {
	Status
	Name string
	Rows []*Instance // by node, then id
}

// Instance is an instance of a service.
type Instance struct {
	Node, NodeAddress string
	ID, Service       string
	Address           string // its own, or the node's
	Port              int
	Tags              []string
	Meta              map[string]string
	// Health is the worst of Checks, or MaintenanceState.
	Health string
	// Checks are the node's and its own, worst first.
	Checks []*Check
	Index  uint64
}

// Check is a health check.
type Check struct {
	Node, ID, Name         string
	Status                 string
	Output, Notes          string
	ServiceID, ServiceName string
	Type, Interval         string
	Index                  uint64
	// History is what this source has seen of it; never nil in a section.
	History *History
}

// History is the course of a check since the source began to see it.
type History struct {
	// Entries are the oldest first; a state or output that stayed the same
	// is one entry. There are at most MaxHistory.
	Entries []HistoryEntry
	// Flaps counts the changes of state, forgotten ones included.
	Flaps int
}

// MaxHistory bounds History.Entries.
const MaxHistory = 64

// HistoryEntry is a state and output of a check, from At on.
type HistoryEntry struct {
	At     time.Time
	Status string
	Output string
}

// Nodes are the nodes of the catalog.
type Nodes struct {
	Status
	Rows []*Node // by name
}

// Node is a node with its checks by state.
type Node struct {
	Name, ID, Address, Datacenter string
	Meta                          map[string]string
	// Services counts instances on it.
	Services int
	// Passing, Warning and Critical count its checks, those of its services
	// included. Counted and Index are as in Service.
	Passing, Warning, Critical int
	Counted                    bool
	Index                      uint64
	// Maintenance says that the node is in maintenance, and why.
	Maintenance       bool
	MaintenanceReason string
}

// Health returns the worst state of the checks.
func (n *Node) Health() string {
	if n.Maintenance {
		return MaintenanceState
	}
	return worst(n.Warning, n.Critical, n.Counted)
}

// NodeDetail is one node: that of Interest.Node.
type NodeDetail struct {
	Status
	Name string
	// Node is nil while it is not known, or not there.
	Node     *Node
	Services []*Instance // by id
	Checks   []*Check    // worst first
}

// Problems are the checks that do not pass.
type Problems struct {
	Status
	Rows []*Check // critical first, then the newest change
}

// KV is the opened part of the key tree.
type KV struct {
	Status
	// Levels are the prefixes of Interest.Prefixes, "" being the root.
	Levels map[string]*Level
}

// Level is what is directly below a prefix.
type Level struct {
	Status
	Prefix string
	// Children are in byte order.
	Children []Child
}

// Child is a key, or a prefix with keys below it.
type Child struct {
	// Key is the whole key; that of a prefix ends in a slash.
	Key string
	Dir bool
}

// Name returns the part of the key below its level.
func (c Child) Name(level string) string { return c.Key[len(level):] }

// Key is one key: that of Interest.Key.
type Key struct {
	Status
	Key string
	// Found is false for a key that is not there.
	Found                               bool
	Value                               []byte
	Flags                               uint64
	CreateIndex, ModifyIndex, LockIndex uint64
	// Session is the lock's holder, or "".
	Session string
}

// Sessions are all sessions.
type Sessions struct {
	Status
	Rows []*Session // by node, then id
}

// Session is a session.
type Session struct {
	ID, Name, Node string
	TTL, LockDelay time.Duration
	Behavior       string
	Checks         []string
	Index          uint64
}

// Log is the agent's log from when Interest asked for it.
type Log struct {
	Status
	Level string
	// Lines are the oldest first.
	Lines []LogLine
	// Dropped counts lines lost because they came too fast.
	Dropped uint64
}

// LogLine is one line of the log.
type LogLine struct {
	// Seq rises by one from line to line.
	Seq uint64
	At  time.Time
	// Level is one of TRACE, DEBUG, INFO, WARN, ERROR, or "".
	Level string
	Text  string
}

// Datacenters are the known ones.
type Datacenters struct {
	Status
	Names []string
}

// EventKind is what an event is about.
type EventKind uint8

// The kinds of events.
const (
	EventHealth  EventKind = iota // a check or service changed state
	EventService                  // a service came or went
	EventNode                     // a node came or went
	EventMember                   // a member changed state
	EventRaft                     // leader, term or peers
	EventKV                       // a watched key
	EventSource                   // the connection, or an act of ours
)

// String returns the word shown to people.
func (k EventKind) String() string {
	return [...]string{"health", "service", "node", "member", "raft", "kv", "ctl"}[min(k, EventSource)]
}

// Severity orders events.
type Severity uint8

// The severities.
const (
	Info Severity = iota
	Good
	Warn
	Bad
)

// Event is a change that was seen.
type Event struct {
	// Seq rises by one from event to event.
	Seq      uint64
	At       time.Time
	Kind     EventKind
	Severity Severity
	// Object is what changed: a service, node, member or key.
	Object string
	// Text is the change, one line, Object not repeated.
	Text string
}

// Recent is the time line of changes: of the last 15 minutes, the newest 10,000
// at most.
type Recent struct {
	Status
	Events []Event // the oldest first
}

// KeepEvents and MaxEvents bound Recent.
const (
	KeepEvents = 15 * time.Minute
	MaxEvents  = 10_000
)

// Traffic are rates over time for sparklines: one sample a second, the newest
// last, MaxSamples at most.
type Traffic struct {
	Status
	// Writes are log entries a second, Requests what the agent counts as
	// calls a second, where it says so.
	Writes, Requests []float64
	// Elections are changes of leader in each sample.
	Elections []float64
}

// MaxSamples bounds the samples of Traffic.
const MaxSamples = 300
