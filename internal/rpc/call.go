package rpc

import (
	"context"

	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/failure"
	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"
)

// callInfo is what an error of a call is judged and described by.
type callInfo struct {
	name, addr string
	write      bool
}

// Call asks the server at addr (host:port) to run m and returns its answer.
//
// It blocks until the answer, ctx's end, or the loss of the connection; with
// no connection yet, until one is made or the attempt fails. It never retries.
// Errors carry a kind: the handler's own; failure.Unavailable when the call
// was certainly not run (or is a read); failure.OutcomeUnknown when m.Write
// and the request may have left without an answer coming back, a cancelled or
// timed-out context included; failure.Timeout for a read that ran out of time;
// failure.TooLarge, failure.Unsupported for a server that does not know m. req
// must not be changed before Call returns.
func Call[Req, Resp any, PReq interface {
	*Req
	codec.Message
}, PResp interface {
	*Resp
	codec.Message
}](ctx context.Context, p *Pool, addr string, m Method[Req, Resp], req *Req) (*Resp, error) {
	if size := PReq(req).Msgsize(); size > p.cfg.MaxRequestBytes {
		return nil, failure.Newf(failure.TooLarge, "%s: a request of %d bytes is above the limit of %d", m.Name, size, p.cfg.MaxRequestBytes)
	}
	resp := new(Resp)
	if err := p.invoke(ctx, callInfo{name: m.Name, addr: addr, write: m.Write}, PReq(req), PResp(resp)); err != nil {
		return nil, err
	}
	return resp, nil
}

func (p *Pool) invoke(ctx context.Context, c callInfo, req, resp any) error {
	p.cfg.Metrics.Calls.Inc()
	cc, err := p.conn(c.addr)
	if err != nil {
		p.cfg.Metrics.Failed.Inc()
		return err
	}
	// gRPC fills in the peer when the last attempt got as far as a stream on
	// a connection, that is, when its header was queued for the wire. A
	// stream the server refused unseen is attempted again by gRPC itself.
	var to peer.Peer
	if err := cc.Invoke(ctx, "/"+serviceName+"/"+c.name, req, resp, grpc.Peer(&to)); err != nil {
		p.cfg.Metrics.Failed.Inc()
		return fromStatus(ctx, c, err, to.Addr != nil)
	}
	return nil
}
