package catalog

//go:generate go tool -modfile=../../tools/go.mod msgp -file rows.go -o rows_gen.go -io=false -tests=false

// Node is a machine of the datacenter. Names are compared without case.
// Members and order of the JSON are those of the public API.
type Node struct {
	ID              string `msg:"id,omitempty"`
	Node            string `msg:"n"`
	Address         string `msg:"a"`
	Datacenter      string `msg:"dc,omitempty"`
	TaggedAddresses Labels `msg:"ta"`
	Meta            Labels `msg:"me"`
	CreateIndex     uint64 `msg:"c"`
	ModifyIndex     uint64 `msg:"m"`
}

// Weights are an instance's shares in DNS answers, by its health.
type Weights struct {
	Passing int `msg:"p"`
	Warning int `msg:"w"`
}

// Service is an instance of a service on a node.
type Service struct {
	Node    string `msg:"n"`
	ID      string `msg:"id"`
	Service string `msg:"s"`
	// Kind is "" for a usual service, or that of a proxy or gateway.
	Kind              string    `msg:"ki,omitempty"`
	Tags              []string  `msg:"t,omitempty"`
	Address           string    `msg:"a,omitempty"`
	TaggedAddresses   Addresses `msg:"ta"`
	Meta              Labels    `msg:"me"`
	Port              int       `msg:"p,omitempty"`
	SocketPath        string    `msg:"so,omitempty"`
	Weights           Weights   `msg:"w"`
	EnableTagOverride bool      `msg:"o,omitempty"`
	// ConnectNative is true for an instance that speaks the mesh's protocol
	// itself.
	ConnectNative bool `msg:"cn,omitempty"`
	// Proxy is the configuration of a proxy as JSON, opaque here; empty for
	// none. Destination is the service that a connect proxy stands for.
	Proxy       []byte `msg:"px,omitempty"`
	Destination string `msg:"d,omitempty"`
	CreateIndex uint64 `msg:"c"`
	ModifyIndex uint64 `msg:"m"`
}

// KindConnectProxy is the Kind of a proxy that stands for one service.
const KindConnectProxy = "connect-proxy"

// Represents returns the name of the service that mesh clients reach through
// the instance: its own for a native one, a connect proxy's destination, "" for
// all others.
func (s *Service) Represents() string {
	switch {
	case s.Kind == KindConnectProxy:
		return s.Destination
	case s.ConnectNative:
		return s.Service
	default:
		return ""
	}
}

// Health states of a check.
const (
	Passing  = "passing"
	Warning  = "warning"
	Critical = "critical"
)

// SerfHealth is the check that the leader keeps for every member of the
// gossip pool.
const SerfHealth = "serfHealth"

// Check is a health check of a node or, where ServiceID is set, of a service.
type Check struct {
	Node        string   `msg:"n"`
	CheckID     string   `msg:"id"`
	Name        string   `msg:"na"`
	Status      string   `msg:"st"`
	Notes       string   `msg:"no,omitempty"`
	Output      string   `msg:"ou,omitempty"`
	ServiceID   string   `msg:"si,omitempty"`
	ServiceName string   `msg:"sn,omitempty"`
	ServiceTags []string `msg:"sg,omitempty"`
	Type        string   `msg:"ty,omitempty"`
	Interval    string   `msg:"iv,omitempty"`
	Timeout     string   `msg:"to,omitempty"`
	ExposedPort int      `msg:"ep,omitempty"`
	// Definition is how the check is made, as JSON, opaque here; empty for
	// a check whose definition nobody gave.
	Definition []byte `msg:"df,omitempty"`
	// Since is when Status became what it is, in seconds of Unix time by the
	// leader's clock; 0 where that is not known.
	Since       int64  `msg:"sc,omitempty"`
	CreateIndex uint64 `msg:"c"`
	ModifyIndex uint64 `msg:"m"`
}

// Registration is the body of the log entry that registers a node and, with
// it in one step, a service and checks.
type Registration struct {
	// Node's indexes are ignored.
	Node Node `msg:"n"`
	// SkipNodeUpdate leaves an existing node as it is.
	SkipNodeUpdate bool     `msg:"k,omitempty"`
	Service        *Service `msg:"s"`
	Checks         []*Check `msg:"c"`
	// At is when it was proposed, in seconds of Unix time; 0 is not known.
	At int64 `msg:"at,omitempty"`
}

// Removal is the body of the log entry that deregisters a service, a check or,
// where both ids are empty, a node with everything on it.
type Removal struct {
	Node      string `msg:"n"`
	ServiceID string `msg:"s,omitempty"`
	CheckID   string `msg:"c,omitempty"`
	// Remember leaves a Removed for the agent of the node, At being when that
	// was proposed, in seconds of Unix time.
	Remember bool  `msg:"r,omitempty"`
	At       int64 `msg:"at,omitempty"`
	// Member says that the agent of the node is known to gossip. It may have
	// registered services before the leader has written that it is there.
	Member bool `msg:"m,omitempty"`
}

// Removed says that a service, or else a check, was removed from the catalog by
// somebody else than the agent of its node, so that the agent does not bring it
// back but lets go of it, too. It is gone when the same is registered again.
type Removed struct {
	Node      string `msg:"n"`
	ServiceID string `msg:"s,omitempty"`
	CheckID   string `msg:"c,omitempty"`
	At        int64  `msg:"at"`
}

// Forgetting is the body of the log entry that forgets what was removed before a
// time, in seconds of Unix time.
type Forgetting struct {
	Before int64 `msg:"b"`
}

// Head is the index at which something that is watched for itself last changed:
// a service, a node, the checks of a node. It goes when the thing goes. Equal
// pointers mean that nothing about the thing has changed.
type Head struct {
	Key   string `msg:"k"`
	Index uint64 `msg:"i"`
}
