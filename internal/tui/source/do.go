package source

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// Do implements Feed.
func (s *Source) Do(ctx context.Context, a Action) (Outcome, error) {
	s.mu.Lock()
	c, conn := s.acting, s.model.connection
	s.mu.Unlock()
	switch {
	case conn.ReadOnly:
		return Outcome{Action: a}, &Problem{Kind: Refused, Text: "cannot " + a.Describe() + ": read-only", Hint: conn.ReadOnlyReason, At: s.now()}
	case c == nil || conn.Link != Connected:
		return Outcome{Action: a}, &Problem{Kind: Unreachable, Text: "cannot " + a.Describe() + ": there is no connection to an agent", At: s.now()}
	}
	if d, ok := a.(DeregisterService); ok {
		d.Local = d.Node == conn.Agent.Node
		a = d
	}
	began := s.now()
	text, err := do(ctx, c, conn.Agent, a)
	out := Outcome{Action: a, Text: text, Took: s.now().Sub(began)}
	s.update(func(m *model) {
		if err != nil {
			m.event(EventSource, Warn, "could not "+a.Describe(), asProblem(err, m.now()).Text)
		} else {
			m.event(EventSource, Info, "ctl", text)
		}
	})
	if err != nil && ctx.Err() != nil {
		return out, ctx.Err()
	}
	return out, err
}

// do makes the requests of an action and says what happened.
func do(ctx context.Context, c *client, agent Agent, a Action) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*Patience(a))
	defer cancel()
	switch a := a.(type) {
	case MaintainNode:
		if err := c.own(agent, a.Node, a); err != nil {
			return "", err
		}
		return put(ctx, c, "/v1/agent/maintenance", maintain(a.Enable, a.Reason), "node "+a.Node+" is "+inOut(a.Enable))
	case MaintainService:
		if err := c.own(agent, a.Node, a); err != nil {
			return "", err
		}
		return put(ctx, c, "/v1/agent/service/maintenance/"+url.PathEscape(a.ID), maintain(a.Enable, a.Reason), "service "+a.ID+" is "+inOut(a.Enable))
	case DeregisterService:
		if a.Local {
			return put(ctx, c, "/v1/agent/service/deregister/"+url.PathEscape(a.ID), nil, "service "+a.ID+" is deregistered")
		}
		return deregister(ctx, c, map[string]string{"Node": a.Node, "ServiceID": a.ID}, "service "+a.ID+" of "+a.Node+" is deregistered")
	case DeregisterNode:
		return deregister(ctx, c, map[string]string{"Node": a.Node}, "node "+a.Node+" is deregistered")
	case PutKey:
		q := cas(a.Unconditional, a.Index)
		if a.Flags != 0 {
			q.Set("flags", strconv.FormatUint(a.Flags, 10))
		}
		return c.changeKey(ctx, http.MethodPut, a.Key, q, a.Value, "key "+a.Key+" is written")
	case DeleteKey:
		return c.changeKey(ctx, http.MethodDelete, a.Key, cas(a.Unconditional, a.Index), nil, "key "+a.Key+" is deleted")
	case DeleteTree:
		return c.deleteTree(ctx, a)
	case WriteKeys:
		return c.writeKeys(ctx, a)
	case ForceLeave:
		q := url.Values{}
		if a.Prune {
			q.Set("prune", "1")
		}
		return put(ctx, c, "/v1/agent/force-leave/"+url.PathEscape(a.Member), q, "member "+a.Member+" is declared gone")
	case Join:
		q := url.Values{}
		if a.WAN {
			q.Set("wan", "1")
		}
		return put(ctx, c, "/v1/agent/join/"+url.PathEscape(a.Address), q, "joined "+a.Address)
	case TransferLeader:
		q := url.Values{}
		if a.ID != "" {
			q.Set("id", a.ID)
		}
		_, err := c.write(ctx, http.MethodPost, "/v1/operator/raft/transfer-leader", q, nil)
		return "leadership is handed to " + cmp.Or(a.Name, a.ID, "another server"), err
	case RemovePeer:
		_, err := c.write(ctx, http.MethodDelete, "/v1/operator/raft/peer", url.Values{"id": {a.ID}}, nil)
		return "server " + named(a.Name, a.ID) + " is removed from Raft", err
	case DestroySession:
		return put(ctx, c, "/v1/session/destroy/"+url.PathEscape(a.ID), nil, "session "+a.ID+" is destroyed")
	default:
		return "", &Problem{Kind: Refused, Text: fmt.Sprintf("a %T is no action this source knows", a), At: c.now()}
	}
}

// own fails where node is not the agent's own: only a node's agent can put it
// and its services into maintenance.
func (c *client) own(agent Agent, node string, a Action) error {
	if agent.Node == "" || agent.Node == node {
		return nil
	}
	return &Problem{
		Kind: Refused, At: c.now(),
		Text: fmt.Sprintf("cannot %s: the connection is to the agent of %s, and only the agent of %s can", a.Describe(), agent.Node, node),
		Hint: "run `" + a.Command() + "` with -http-addr=<that agent>, or open the dashboard there",
	}
}

func maintain(enable bool, reason string) url.Values {
	q := url.Values{"enable": {strconv.FormatBool(enable)}}
	if enable && reason != "" {
		q.Set("reason", reason)
	}
	return q
}

func inOut(in bool) string {
	if in {
		return "in maintenance"
	}
	return "out of maintenance"
}

func cas(unconditional bool, index uint64) url.Values {
	if unconditional {
		return url.Values{}
	}
	return url.Values{"cas": {strconv.FormatUint(index, 10)}}
}

func put(ctx context.Context, c *client, path string, q url.Values, done string) (string, error) {
	_, err := c.write(ctx, http.MethodPut, path, q, nil)
	return done, err
}

func deregister(ctx context.Context, c *client, what map[string]string, done string) (string, error) {
	if c.dc != "" {
		what["Datacenter"] = c.dc
	}
	body, err := json.Marshal(what)
	if err != nil {
		return "", err
	}
	_, err = c.write(ctx, http.MethodPut, "/v1/catalog/deregister", nil, body)
	return done, err
}

func keyPath(key string) string { return "/v1/kv/" + (&url.URL{Path: key}).EscapedPath() }

// changeKey writes or deletes. An answer of false is a condition that did not
// hold.
func (c *client) changeKey(ctx context.Context, method, key string, q url.Values, value []byte, done string) (string, error) {
	text, err := c.write(ctx, method, keyPath(key), q, value)
	if err != nil {
		return "", err
	}
	if text != "false" {
		return done, nil
	}
	conflict := &Conflict{Key: Key{Key: key}, Problem: &Problem{
		Kind: Conflicted, Text: fmt.Sprintf("key %s has changed since it was read", key),
		Hint: "look at what is there now, and decide", At: c.now(),
	}}
	var now []*jsonEntry
	if _, err := c.get(ctx, keyPath(key), nil, &now); err != nil && KindOf(err) != Missing {
		return "", err
	}
	if len(now) > 0 {
		conflict.Key = now[0].key()
	}
	return "", conflict
}
