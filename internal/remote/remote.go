// Package remote is the client role: an agent without state that hands every
// request on to a server.
//
// It keeps a router fed by gossip and sends a request, whole, to one server of
// the asked datacenter. It never retries by itself: the HTTP engine does, as
// long as the failure says that nothing was applied.
package remote

import (
	"context"
	"log/slog"
	"strings"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/gossip"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/lifecycle"
	"github.com/ctl-sh/ctl/internal/routing"
	"github.com/ctl-sh/ctl/internal/rpc"
)

// Client is the client role. All methods may be called by any number of
// goroutines.
type Client struct {
	dc     string
	router *routing.Router
	pool   *rpc.Pool
	call   func(ctx context.Context, addr string, req *httpapi.WireRequest) (*httpapi.WireResponse, error)
}

// New returns a client of the servers that lan tells of. forward hands a request
// to the server at an address.
func New(datacenter string, lan routing.Source, pool *rpc.Pool, log *slog.Logger,
	forward func(ctx context.Context, pool *rpc.Pool, addr string, req *httpapi.WireRequest) (*httpapi.WireResponse, error)) *Client {
	c := &Client{
		dc: datacenter, pool: pool,
		router: routing.New(routing.Config{Datacenter: datacenter, Sources: []routing.Source{lan}, Logger: log}),
	}
	c.call = func(ctx context.Context, addr string, req *httpapi.WireRequest) (*httpapi.WireResponse, error) {
		return forward(ctx, pool, addr, req)
	}
	return c
}

// Part is what runs: the router, and the closing of connections to servers that
// are gone.
func (c *Client) Part() lifecycle.Part { return lifecycle.Part{Name: "servers", Run: c.run} }

func (c *Client) run(ctx context.Context, ready func()) error {
	routed := make(chan error, 1)
	go func() { routed <- c.router.Run(ctx, ready) }()
	for {
		_, changed := c.router.Changes().Watch()
		var known []string
		for _, s := range c.router.Servers("") {
			known = append(known, s.Addr)
		}
		c.pool.Retain(known)
		select {
		case <-changed:
		case err := <-routed:
			return err
		}
	}
}

// Here implements httpapi.Dispatcher: only what is about this agent runs here.
func (c *Client) Here(w httpapi.Where, _ string) bool { return w == httpapi.Local }

// Forward implements httpapi.Dispatcher. Any server will do; it knows the
// leader.
func (c *Client) Forward(ctx context.Context, _ httpapi.Where, dc string, req *httpapi.WireRequest) (*httpapi.WireResponse, error) {
	server, err := c.router.Pick(strings.ToLower(dc), routing.AnyServer)
	if err != nil {
		if failure.Is(err, failure.NoPath) && (dc == "" || strings.EqualFold(dc, c.dc)) {
			// This agent has just started, or lost sight of all servers: worth
			// waiting for, unlike a datacenter nobody knows.
			return nil, failure.New(failure.NoLeader, failure.TextNoServers)
		}
		return nil, err
	}
	resp, err := c.call(ctx, server.Addr, req)
	if failure.Is(err, failure.Unavailable) || failure.Is(err, failure.OutcomeUnknown) {
		c.router.NotifyFailed(server.Addr)
	}
	return resp, err
}

// Stream runs open with the address of a server and returns what it does. A
// failure of the connection makes the next one go to another server.
func (c *Client) Stream(ctx context.Context, open func(ctx context.Context, addr string) error) error {
	server, err := c.router.Pick("", routing.AnyServer)
	if err != nil {
		if failure.Is(err, failure.NoPath) {
			return failure.New(failure.NoLeader, failure.TextNoServers)
		}
		return err
	}
	err = open(ctx, server.Addr)
	if failure.Is(err, failure.Unavailable) {
		c.router.NotifyFailed(server.Addr)
	}
	return err
}

// Servers returns the known servers of this datacenter.
func (c *Client) Servers() []gossip.Server { return c.router.Servers("") }
