package source

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Range names keys to be read: one key, or all that begin with a prefix.
type Range struct {
	Key string
	// Below is true for all keys that begin with Key.
	Below bool
	// Names leaves out everything but the keys' names.
	Names bool
	// Most is how many keys there may be: more are refused before a value is
	// read. Zero is any number.
	Most int
}

// KeyStep is a key to write, a key to delete, or the one and then the other, as a
// move does.
type KeyStep struct {
	// To is written with Value and Flags if it still has ModifyIndex Index, 0
	// standing for a key that must not exist. "" writes nothing.
	To           string
	Value        []byte
	Flags, Index uint64
	// Delete is deleted afterwards if it still has DeleteIndex. "" deletes
	// nothing.
	Delete      string
	DeleteIndex uint64
}

// WriteKeys writes and deletes several keys one after the other, each only if
// nobody changed it meanwhile. It stops at the first that was, with a Conflict
// whose text says how many steps were done.
type WriteKeys struct {
	// What says what is about to be done and Done what was, as Describe and
	// Outcome.Text.
	What, Done string
	// Line is the equivalent command line.
	Line  string
	Steps []KeyStep
}

// Command implements Action.
func (a WriteKeys) Command() string { return a.Line }

// Describe implements Action.
func (a WriteKeys) Describe() string { return a.What }

// Patience is how long an action may take before it is given up: a step of
// WriteKeys waits for the leader once or twice, anything else for as long as an
// agent looks for a leader, and then some.
func Patience(a Action) time.Duration {
	const one, step = 30 * time.Second, 200 * time.Millisecond
	if w, ok := a.(WriteKeys); ok {
		return one + time.Duration(len(w.Steps))*step
	}
	return one
}

// Keys implements Feed.
func (s *Source) Keys(ctx context.Context, r Range) ([]Key, error) {
	s.mu.Lock()
	c, conn := s.acting, s.model.connection
	s.mu.Unlock()
	if c == nil || conn.Link != Connected {
		return nil, &Problem{Kind: Unreachable, Text: "cannot read keys: there is no connection to an agent", At: s.now()}
	}
	return c.keys(ctx, r)
}

func (c *client) keys(ctx context.Context, r Range) ([]Key, error) {
	if r.Below && (r.Names || r.Most > 0) {
		names, err := c.names(ctx, r)
		if err != nil || r.Names {
			return names, err
		}
	}
	q := url.Values{}
	if r.Below {
		q.Set("recurse", "")
	}
	var entries []*jsonEntry
	if _, err := c.get(ctx, keyPath(r.Key), q, &entries); err != nil && KindOf(err) != Missing {
		return nil, err
	}
	out := make([]Key, len(entries))
	for i, e := range entries {
		out[i] = e.key()
	}
	return out, nil
}

// names reads the names alone of the keys below a prefix.
func (c *client) names(ctx context.Context, r Range) ([]Key, error) {
	var names []string
	if _, err := c.get(ctx, keyPath(r.Key), url.Values{"keys": {""}}, &names); err != nil && KindOf(err) != Missing {
		return nil, err
	}
	if n := len(names); r.Most > 0 && n > r.Most {
		return nil, &Problem{Kind: Refused, Text: fmt.Sprintf("%d keys begin with %q, more than the %d that are done at once here", n, r.Key, r.Most),
			Hint: "ctl kv does any number and shows its progress: see cp, mv and export", At: c.now()}
	}
	out := make([]Key, len(names))
	for i, n := range names {
		out[i] = Key{Key: n, Found: true}
	}
	return out, nil
}

// writeKeys does the steps in turn.
func (c *client) writeKeys(ctx context.Context, a WriteKeys) (string, error) {
	for i, s := range a.Steps {
		if err := c.step(ctx, s); err != nil {
			return "", stopped(err, i, len(a.Steps))
		}
	}
	return a.Done, nil
}

func (c *client) step(ctx context.Context, s KeyStep) error {
	if s.To != "" {
		q := cas(false, s.Index)
		if s.Flags != 0 {
			q.Set("flags", strconv.FormatUint(s.Flags, 10))
		}
		if _, err := c.changeKey(ctx, http.MethodPut, s.To, q, s.Value, ""); err != nil {
			return err
		}
	}
	if s.Delete == "" {
		return nil
	}
	_, err := c.changeKey(ctx, http.MethodDelete, s.Delete, cas(false, s.DeleteIndex), nil, "")
	return err
}

// stopped says in an error how far the steps came.
func stopped(err error, done, all int) error {
	how := fmt.Sprintf(" (%d of %d keys were done before it, the rest was not touched; the same again goes on from here)", done, all)
	switch e := err.(type) { //nolint:errorlint // these are changeKey's own, not wrapped
	case *Conflict:
		p := *e.Problem
		p.Text += how
		return &Conflict{Key: e.Key, Problem: &p}
	case *Problem:
		p := *e
		p.Text += how
		return &p
	}
	return fmt.Errorf("%w%s", err, how)
}

// deleteTree deletes all keys below a prefix, if there are still as many as the
// operator was told.
func (c *client) deleteTree(ctx context.Context, a DeleteTree) (string, error) {
	if a.Prefix == "" {
		return "", &Problem{Kind: Refused, Text: "an empty prefix is every key", Hint: "use `ctl kv delete -recurse` if that is meant", At: c.now()}
	}
	if a.Count == 0 {
		return c.changeKey(ctx, http.MethodDelete, a.Prefix, url.Values{"recurse": {""}}, nil, "every key below "+a.Prefix+" is deleted")
	}
	now, err := c.names(ctx, Range{Key: a.Prefix})
	if err != nil {
		return "", err
	}
	if len(now) != a.Count {
		return "", &Problem{Kind: Conflicted, Text: fmt.Sprintf("there was %s below %s and is %s now; nothing was deleted", countKeys(a.Count), a.Prefix, countKeys(len(now))),
			Hint: "ask again to see how many", At: c.now()}
	}
	return c.changeKey(ctx, http.MethodDelete, a.Prefix, url.Values{"recurse": {""}}, nil, fmt.Sprintf("%s below %s deleted", countKeys(a.Count), a.Prefix))
}

func countKeys(n int) string {
	if n == 1 {
		return "1 key"
	}
	return strconv.Itoa(n) + " keys"
}
