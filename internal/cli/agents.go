package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// dialTime bounds reaching one agent where another can be tried instead.
const dialTime = 2 * time.Second

// agents are the agents of one run: requests go to the one that answered last,
// and to the next ones if it cannot be reached. They are safe for concurrent
// use.
type agents struct {
	list []agent // never empty, not changed

	mu  sync.Mutex
	now int // the one asked last
}

// agent is one agent's address and how it is reached.
type agent struct {
	address   string // as people write it
	base      *url.URL
	transport http.RoundTripper
}

// findAgents makes the agents of the settings. It connects to none.
func (c *Conn) findAgents() (*agents, error) { return c.agentsAt(c.addresses()) }

// agentsAt makes the agents at addresses. It connects to none.
func (c *Conn) agentsAt(addresses []string) (*agents, error) {
	a := &agents{}
	plain, err := c.httpTransport()
	if err != nil {
		return nil, err
	}
	switch {
	case c.f.Dial != nil:
		plain.DialContext = c.f.Dial
	case len(addresses) > 1:
		plain.DialContext = (&net.Dialer{Timeout: dialTime, KeepAlive: 30 * time.Second}).DialContext
	}
	for _, address := range addresses {
		scheme, rest, err := c.splitAddress(address)
		if err != nil {
			return nil, err
		}
		one := agent{address: scheme + "://" + rest, transport: plain}
		target := one.address
		if scheme == "unix" {
			socket := plain.Clone()
			socket.Proxy = nil
			socket.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", rest)
			}
			one.transport, target = socket, "http://localhost"
		}
		if one.base, err = url.Parse(target); err != nil {
			return nil, fmt.Errorf("address %q from %s: %w", address, c.values.source("http-addr"), err)
		}
		a.list = append(a.list, one)
	}
	return a, nil
}

// base is the URL requests are made for; send turns them to the agent asked.
func (a *agents) base() string { return a.list[0].base.String() }

// current returns the address of the agent asked last.
func (a *agents) current() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.list[a.now].address
}

// all returns the addresses of all agents.
func (a *agents) all() []string {
	list := make([]string, len(a.list))
	for i, one := range a.list {
		list[i] = one.address
	}
	return list
}

// send sends req to the agent asked last, and while that cannot be reached to
// the next ones, each once. A request that may have arrived is not sent again
// unless it only reads.
func (a *agents) send(req *http.Request) (*http.Response, error) {
	a.mu.Lock()
	first := a.now
	a.mu.Unlock()
	var failures []error
	for i := range a.list {
		at := (first + i) % len(a.list)
		a.mu.Lock()
		a.now = at
		a.mu.Unlock()
		try, err := a.list[at].turn(req, a.list[0].base, i > 0)
		if err != nil {
			return nil, err
		}
		resp, err := a.list[at].send(try)
		if err == nil {
			return resp, nil
		}
		var unreach *unreachable
		if !errors.As(err, &unreach) || req.Context().Err() != nil || (req.Body != nil && req.GetBody == nil) {
			return nil, err
		}
		failures = append(failures, err)
	}
	if len(failures) == 1 {
		return nil, failures[0]
	}
	texts := make([]string, len(failures))
	for i, err := range failures {
		texts[i] = a.list[(first+i)%len(a.list)].address + ": " + err.Error()
	}
	return nil, &unreachable{fmt.Errorf("none of %d addresses answers: %s", len(failures), strings.Join(texts, "; "))}
}

// turn returns req as it is sent to this agent. A body is read anew if it was
// sent before.
func (a *agent) turn(req *http.Request, base *url.URL, again bool) (*http.Request, error) {
	req = req.Clone(req.Context())
	req.URL.Scheme, req.URL.Host, req.Host = a.base.Scheme, a.base.Host, ""
	req.URL.Path = strings.TrimSuffix(a.base.Path, "/") + strings.TrimPrefix(req.URL.Path, strings.TrimSuffix(base.Path, "/"))
	if req.URL.RawPath != "" {
		req.URL.RawPath = strings.TrimSuffix(a.base.EscapedPath(), "/") + strings.TrimPrefix(req.URL.RawPath, strings.TrimSuffix(base.EscapedPath(), "/"))
	}
	if again && req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		req.Body = body
	}
	return req, nil
}

func (a *agent) send(req *http.Request) (*http.Response, error) {
	var sent atomic.Bool
	trace := &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }}
	resp, err := a.transport.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	if err == nil {
		return resp, nil
	}
	if sent.Load() && req.Method != http.MethodGet {
		return nil, &unknownOutcome{fmt.Errorf("the request was sent but no answer came: %w", err)}
	}
	return nil, &unreachable{err}
}
