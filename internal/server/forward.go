package server

import (
	"context"
	"strings"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/rpc"
)

// Forward hands a whole HTTP request to the server at addr and returns its
// answer. A lost answer of a request that writes is failure.OutcomeUnknown.
func Forward(ctx context.Context, pool *rpc.Pool, addr string, req *httpapi.WireRequest) (*httpapi.WireResponse, error) {
	m := methodForward
	m.Write = req.Write()
	return rpc.Call(ctx, pool, addr, m, req)
}

// methodForward is served by every server. Whether it writes depends on the
// request: see Forward.
var methodForward = rpc.Method[httpapi.WireRequest, httpapi.WireResponse]{Name: "http.forward"}

// Certificate asks the server at addr for a certificate, as an agent that may
// have none: req is one of the requests that [Config.Sign] answers.
func Certificate(ctx context.Context, pool *rpc.Pool, addr string, req *httpapi.WireRequest) (*httpapi.WireResponse, error) {
	return rpc.Call(ctx, pool, addr, methodCertificate, req)
}

// methodCertificate is the only one served to agents without a certificate.
var methodCertificate = rpc.Method[httpapi.WireRequest, httpapi.WireResponse]{Name: "agent.certificate"}

// dispatcher says where requests run, as a server sees it. It implements
// httpapi.Dispatcher.
type dispatcher struct {
	dc     string
	id     string
	leader func() (id, addr string, ready bool)
	pool   *rpc.Pool
}

// Here implements httpapi.Dispatcher.
func (d *dispatcher) Here(w httpapi.Where, dc string) bool {
	if w == httpapi.Local {
		return true
	}
	if !d.ours(dc) {
		return false
	}
	if w == httpapi.Server {
		return true
	}
	id, _, ready := d.leader()
	return ready && id == d.id
}

func (d *dispatcher) ours(dc string) bool { return dc == "" || strings.EqualFold(dc, d.dc) }

// Forward implements httpapi.Dispatcher: it hands the request to the leader.
func (d *dispatcher) Forward(ctx context.Context, _ httpapi.Where, dc string, req *httpapi.WireRequest) (*httpapi.WireResponse, error) {
	if !d.ours(dc) {
		return nil, failure.New(failure.NoPath, failure.TextNoPath)
	}
	id, addr, _ := d.leader()
	if addr == "" || id == d.id {
		return nil, failure.New(failure.NoLeader, failure.TextNoLeader)
	}
	return Forward(ctx, d.pool, addr, req)
}
