package consensus

import (
	"net"
	"strings"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
)

// parting is raft's logger. Once the node has closed its connections, calls that
// were under way fail, and raft takes that for a fault of its peers; an orderly
// stop is none, so those messages are for debugging only. Safe for concurrent
// use.
type parting struct {
	hclog.Logger
	closed atomic.Bool
}

// Error implements hclog.Logger.
func (p *parting) Error(msg string, args ...any) {
	if p.ours(args) {
		p.Debug(msg, args...)
		return
	}
	p.Logger.Error(msg, args...)
}

// ours reports whether the node itself caused the error in args. The transport
// loses the error's type.
func (p *parting) ours(args []any) bool {
	if !p.closed.Load() {
		return false
	}
	for _, a := range args {
		if err, ok := a.(error); ok && strings.Contains(err.Error(), net.ErrClosed.Error()) {
			return true
		}
	}
	return false
}
