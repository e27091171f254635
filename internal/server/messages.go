package server

import (
	"time"

	"github.com/ctl-sh/ctl/internal/rpc"
)

//go:generate go tool -modfile=../../tools/go.mod msgp -file messages.go -unexported -o messages_gen.go -io=false -tests=false

// none is the body of a call without arguments.
type none struct{}

// bootstrapAsk asks a server to take part in a first configuration.
type bootstrapAsk struct {
	Proposer string   `msg:"p"` // node id
	Servers  []string `msg:"s"` // node ids of the configuration, sorted
}

// bootstrapAnswer is the promise, or why there is none.
type bootstrapAnswer struct {
	Promised bool   `msg:"ok"`
	HasState bool   `msg:"st"` // the server already belongs to a cluster
	Reason   string `msg:"r,omitempty"`
}

// progress is how far a server's log is.
type progress struct {
	LastContact time.Duration `msg:"lc"` // since the leader was heard; negative if never
	LastTerm    uint64        `msg:"lt"`
	LastIndex   uint64        `msg:"li"`
}

// The calls servers make to each other, but for those of consensus and httpapi.
var (
	methodBootstrap = rpc.Method[bootstrapAsk, bootstrapAnswer]{Name: "server.bootstrap", ServersOnly: true}
	methodProgress  = rpc.Method[none, progress]{Name: "server.progress", ServersOnly: true}
)
