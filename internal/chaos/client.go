package chaos

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// requestTimeout bounds every request that is not a blocking query.
const requestTimeout = 5 * time.Second

// client does operations at one server and turns answers into Ops. It is
// sequential: one goroutine uses it.
type client struct {
	cluster *Cluster
	id      int
	server  int
	clock   func() time.Duration
}

func (c *client) begin(kind Kind, mode Mode, key string) Op {
	return Op{
		Kind: kind, Mode: mode, Key: key, Client: c.id, Server: c.server,
		Run: c.cluster.Run(c.server), Call: c.clock(),
	}
}

func (m Mode) query() string {
	if m == Default {
		return ""
	}
	return string(m)
}

// get reads a key. ok is false when there was no answer to learn from.
func (c *client) get(ctx context.Context, key string, mode Mode) (op Op, ok bool) {
	op = c.begin(Get, mode, key)
	listed, index, err := c.read(ctx, key, mode.query())
	op.Return = c.clock()
	if err != nil {
		return op, false
	}
	op.Got, op.Index = listed[key], index
	// The process may have been replaced while the request was under way.
	return op, op.Run == c.cluster.Run(c.server)
}

// list reads all keys below prefix.
func (c *client) list(ctx context.Context, prefix string, mode Mode) (op Op, ok bool) {
	op = c.begin(List, mode, prefix)
	listed, index, err := c.read(ctx, prefix, strings.Trim("recurse&"+mode.query(), "&"))
	op.Return = c.clock()
	op.Listed, op.Index = listed, index
	return op, err == nil && op.Run == c.cluster.Run(c.server)
}

func (c *client) read(ctx context.Context, key, query string) (map[string]Entry, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	a, err := c.cluster.ask(ctx, c.server, http.MethodGet, kvPath(key, query), "")
	if err != nil {
		return nil, 0, err
	}
	return entriesOf(a)
}

func kvPath(key, query string) string {
	p := "/v1/kv/" + (&url.URL{Path: key}).EscapedPath()
	if query != "" {
		p += "?" + query
	}
	return p
}

// entriesOf decodes the answer to a KV read; 404 is an empty map. Any other
// status is an error: it says nothing about the keys.
func entriesOf(a answer) (map[string]Entry, uint64, error) {
	if a.status != http.StatusOK && a.status != http.StatusNotFound {
		return nil, 0, fmt.Errorf("status %d: %s", a.status, a.body)
	}
	index, err := strconv.ParseUint(a.header.Get("X-Consul-Index"), 10, 64)
	if err != nil {
		return nil, 0, fmt.Errorf("X-Consul-Index: %w", err)
	}
	out := map[string]Entry{}
	if a.status == http.StatusNotFound {
		return out, index, nil
	}
	var rows []struct {
		Key         string
		Value       string
		ModifyIndex uint64
	}
	if err := json.Unmarshal(a.body, &rows); err != nil {
		return nil, 0, fmt.Errorf("decode entries: %w", err)
	}
	for _, row := range rows {
		value, err := base64.StdEncoding.DecodeString(row.Value)
		if err != nil {
			return nil, 0, fmt.Errorf("decode value of %s: %w", row.Key, err)
		}
		out[row.Key] = Entry{Value: string(value), Modify: row.ModifyIndex}
	}
	return out, index, nil
}

// put writes a key.
func (c *client) put(ctx context.Context, key, value string) Op {
	op := c.begin(Put, "", key)
	op.Value = value
	return c.write(ctx, op, http.MethodPut, kvPath(key, ""), value)
}

// cas writes a key if it still has the entry that was read.
func (c *client) cas(ctx context.Context, key, value string, was Entry) Op {
	op := c.begin(CAS, "", key)
	op.Value, op.Expect = value, was.Value
	return c.write(ctx, op, http.MethodPut, kvPath(key, "cas="+strconv.FormatUint(was.Modify, 10)), value)
}

// del deletes a key.
func (c *client) del(ctx context.Context, key string) Op {
	op := c.begin(Delete, "", key)
	return c.write(ctx, op, http.MethodDelete, kvPath(key, ""), "")
}

func (c *client) write(ctx context.Context, op Op, method, path, body string) Op {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	a, err := c.cluster.ask(ctx, c.server, method, path, body)
	op.Return = c.clock()
	op.Outcome, op.Swapped = outcomeOf(a, err)
	return op
}

// outcomeOf says what an answer to a write means, by the documented contract of
// the HTTP API, and whether the answer was true.
func outcomeOf(a answer, err error) (Outcome, bool) {
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			return Refused, false // never sent
		}
		return Unknown, false
	}
	text := strings.TrimSpace(string(a.body))
	switch {
	case a.status == http.StatusOK:
		return Done, text == "true"
	case a.header.Get("X-Ctl-Outcome") != "":
		return Unknown, false
	case a.status == http.StatusServiceUnavailable, a.status == http.StatusTooManyRequests:
		return Refused, false
	case a.status == http.StatusInternalServerError &&
		(strings.Contains(text, "No cluster leader") || strings.Contains(text, "No known Consul servers")):
		return Refused, false
	default:
		return Unknown, false
	}
}
