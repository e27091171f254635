package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/lazyregexp"
)

// client makes requests to one address.
type client struct {
	ep          Endpoint
	dc          string
	tokenSource string
	now         func() time.Time
}

func (s *Source) client(ep Endpoint) *client {
	if ep.HTTP == nil {
		ep.HTTP = http.DefaultClient
	}
	return &client{ep: ep, dc: s.cfg.Datacenter, tokenSource: s.cfg.TokenSource, now: s.now}
}

// meta is what the headers of an answer say.
type meta struct {
	index uint64
	took  time.Duration // until the headers came
	cost  time.Duration // what reading the rest took
	date  time.Time
}

// maxErrorText bounds what is read of an error's text.
const maxErrorText = 64 << 10

// request makes a request and returns its answer, whose body the caller closes.
// Every status but 200 is a *Problem, and so is no answer.
func (c *client) request(ctx context.Context, method, path string, query url.Values, body []byte) (*http.Response, error) {
	if c.dc != "" {
		if query == nil {
			query = url.Values{}
		}
		query.Set("dc", c.dc)
	}
	target := c.ep.URL + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	var sent atomic.Bool
	if method != http.MethodGet {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }})
	}
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return nil, &Problem{Kind: Refused, Text: err.Error(), At: c.now()}
	}
	if ip := net.ParseIP(hostOf(c.ep.URL)); path == streamPath && ip != nil && ip.IsLoopback() {
		req.Header.Set("Accept-Encoding", "identity") // no wire worth saving
	}
	resp, err := c.ep.HTTP.Do(req)
	if err != nil {
		return nil, c.noAnswer(err, sent.Load())
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorText)) // what came is what is shown
		return nil, c.problem(resp, strings.TrimSpace(string(text)))
	}
	return resp, nil
}

func (c *client) noAnswer(err error, sent bool) *Problem {
	p := &Problem{Kind: Unreachable, At: c.now(), Hint: "is the agent up? `ctl doctor` looks for the reason"}
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err // without the method and URL, which is no news
	}
	p.Text = fmt.Sprintf("the agent at %s does not answer: %v", c.ep.Name, err)
	if sent {
		p.Kind = Unknown
		p.Text = "the request was sent but no answer came: " + err.Error()
		p.Hint = "look whether it took place before doing it again"
	}
	return p
}

// lacks finds the permission that a refusal names.
var lacks = lazyregexp.New(`lacks permission '([^']+)'(?: on ("[^"]*"|\S+))?`)

func (c *client) problem(resp *http.Response, text string) *Problem {
	p := &Problem{Kind: Refused, Text: text, HTTP: resp.StatusCode, At: c.now()}
	if text == "" {
		p.Text = resp.Status
	}
	switch code := resp.StatusCode; {
	case resp.Header.Get("X-Ctl-Outcome") == "unknown":
		p.Kind, p.Hint = Unknown, "look whether it took place before doing it again"
	case code == http.StatusForbidden:
		p = c.denied(p.Text)
		p.HTTP = code
	case code == http.StatusNotFound:
		p.Kind = Missing
		p.index, _ = strconv.ParseUint(resp.Header.Get("X-Consul-Index"), 10, 64) // 0 where there is none
	case strings.Contains(text, failure.TextNoLeader) || strings.Contains(text, failure.TextNoServers):
		p.Kind, p.Hint = NoLeader, "`ctl operator raft list-peers -stale` shows the servers"
	case code == http.StatusTooManyRequests || code >= 500:
		p.Kind = Other
	}
	return p
}

// denied is the Problem of a refusal with a text.
func (c *client) denied(text string) *Problem {
	p := &Problem{Kind: Denied, Text: text, Token: c.tokenSource, At: c.now()}
	if m := lacks().FindStringSubmatch(text); m != nil {
		p.Rule = m[1]
		if m[2] != "" {
			p.Rule += " on " + m[2]
		}
	}
	return p
}

// requestTimeout bounds requests that do not block.
const requestTimeout = 15 * time.Second

// get reads JSON, without waiting for a change.
func (c *client) get(ctx context.Context, path string, query url.Values, into any) (meta, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return c.read(ctx, path, query, into)
}

func (c *client) read(ctx context.Context, path string, query url.Values, into any) (meta, error) {
	began := c.now()
	resp, err := c.request(ctx, http.MethodGet, path, query, nil)
	if err != nil {
		return meta{}, err
	}
	defer resp.Body.Close()
	answered := c.now()
	m := meta{took: answered.Sub(began)}
	m.index, _ = strconv.ParseUint(resp.Header.Get("X-Consul-Index"), 10, 64) // 0 where there is none
	m.date, _ = http.ParseTime(resp.Header.Get("Date"))
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return m, c.noAnswer(err, false)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return m, &Problem{Kind: Other, Text: fmt.Sprintf("GET %s: the answer is not what was expected: %v", path, err), At: c.now()}
	}
	m.cost = c.now().Sub(answered)
	return m, nil
}

// write makes a request that changes something and returns the answer's body.
func (c *client) write(ctx context.Context, method, path string, query url.Values, body []byte) (string, error) {
	resp, err := c.request(ctx, method, path, query, body)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorText))
	if err != nil {
		return "", c.noAnswer(err, true)
	}
	return strings.TrimSpace(string(text)), nil
}
