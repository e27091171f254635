package antientropy

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/local"
	"github.com/ctl-sh/ctl/internal/logging"
)

// answers is what the catalog knows of this node, as it said so.
type answers struct {
	services, checks []byte
}

// ask asks the catalog what it knows of this node. With stale any server may
// answer, even one that is behind: to tell it again what it is about to learn
// does no harm.
func (s *Syncer) ask(ctx context.Context, stale bool) (a answers, err error) {
	name := url.PathEscape(s.state.Node().Name)
	if a.services, err = s.get(ctx, "/v1/catalog/node/"+name, stale); err != nil {
		return a, fmt.Errorf("read the services of this node: %w", err)
	}
	if a.checks, err = s.get(ctx, "/v1/health/node/"+name, stale); err != nil {
		return a, fmt.Errorf("read the checks of this node: %w", err)
	}
	return a, nil
}

// comparison is what a full sync was about that found nothing to tell: the same
// answers while the same is known here make the same comparison.
type comparison struct {
	services, checks uint64 // sums of the answers
	changed          uint64
}

var seed = maphash.MakeSeed()

func (s *Syncer) comparison(a answers) comparison {
	return comparison{maphash.Bytes(seed, a.services), maphash.Bytes(seed, a.checks), s.state.Changed().Get()}
}

// read takes answers apart. Where something is missing that was there, it asks what was
// removed, and that of the newest state, so that nothing that was removed is
// brought back.
func (s *Syncer) read(ctx context.Context, a answers) (*local.Remote, error) {
	remote := &local.Remote{}
	var node *struct {
		Node     *local.RemoteNode
		Services map[string]*local.Service
	}
	if err := json.Unmarshal(a.services, &node); err != nil {
		return nil, fmt.Errorf("read the services of this node: %w", err)
	}
	if node != nil {
		remote.Node = node.Node
		for _, svc := range node.Services {
			remote.Services = append(remote.Services, svc)
		}
		if err := json.Unmarshal(a.checks, &remote.Checks); err != nil {
			return nil, fmt.Errorf("read the checks of this node: %w", err)
		}
	}
	if !s.state.Lacks(remote) {
		return remote, nil
	}
	var err error
	remote.Removed, err = s.removed(ctx)
	return remote, err
}

// removed asks what others removed of this node and nobody registered again. It
// is none at servers that do not know.
func (s *Syncer) removed(ctx context.Context) (local.Removed, error) {
	var rows []struct{ ServiceID, CheckID string }
	answer, err := s.get(ctx, "/v1/ctl/removed/"+url.PathEscape(s.state.Node().Name), false)
	if err == nil {
		err = json.Unmarshal(answer, &rows)
	}
	switch {
	case failure.Is(err, failure.NotFound):
		return local.Removed{}, nil
	case err != nil:
		return local.Removed{}, fmt.Errorf("read what was removed of this node: %w", err)
	}
	r := local.Removed{Services: map[string]bool{}, Checks: map[string]bool{}}
	for _, row := range rows {
		if row.ServiceID != "" {
			r.Services[row.ServiceID] = true
		} else {
			r.Checks[row.CheckID] = true
		}
	}
	return r, nil
}

func (s *Syncer) get(ctx context.Context, path string, stale bool) ([]byte, error) {
	query := url.Values{"dc": {s.state.Node().Datacenter}}
	if stale {
		query.Set("stale", "")
	}
	status, _, answer, err := s.request.Do(ctx, http.MethodGet, path, query, nil)
	if err == nil {
		err = refusal(status, answer)
	}
	return answer, err
}

// refusal is the error an answer is, nil for success: PermissionDenied, Invalid
// for what the catalog will never take, Unavailable where it could not be asked.
func refusal(status int, answer []byte) error {
	kind := failure.Unavailable
	switch {
	case status < http.StatusMultipleChoices:
		return nil
	case status == http.StatusForbidden:
		kind = failure.PermissionDenied
	case status == http.StatusNotFound:
		kind = failure.NotFound
	case status < http.StatusInternalServerError && status != http.StatusTooManyRequests, status == http.StatusInternalServerError && !away(string(answer)):
		kind = failure.Invalid
	}
	return failure.Newf(kind, "%d: %s", status, answer)
}

// away reports whether the text of an answer says that no server could be asked.
func away(text string) bool {
	return slices.ContainsFunc([]string{failure.TextNoLeader, failure.TextNoServers, failure.TextNoPath, failure.TextNotReady, "Remote DC has no server currently reachable"},
		func(known string) bool { return strings.Contains(text, known) })
}

// Bounds of what is told in one request. Its writes go through the servers' log
// together and share a flush.
const (
	changesAtOnce = 64
	// bytesAtOnce is far below what a server reads of a request, so that the last
	// change that goes in may be large.
	bytesAtOnce = 256 << 10
	// writers is how many requests are on their way at once: while one waits for
	// disks another is taken apart.
	writers = 3
)

// write tells everything that has to be told: first what is gone and the node,
// then services with their checks, then checks alone.
func (s *Syncer) write(ctx context.Context) error {
	if renewed := s.state.Renewed(); renewed != nil {
		gone, err := s.removed(ctx)
		if err != nil {
			return err
		}
		s.state.Confirm(renewed, gone)
	}
	var phases [3][]local.Item
	for _, item := range s.state.Drift() {
		phase := 2
		switch {
		case item.Node, item.GoneID != "", item.GoneCheck != "":
			phase = 0
		case item.Service != nil:
			phase = 1
		}
		phases[phase] = append(phases[phase], item)
	}
	for _, items := range phases {
		batches, err := s.batches(items)
		if err != nil {
			return err
		}
		if err := s.together(ctx, batches); err != nil {
			return err
		}
	}
	return nil
}

// message is an item as it is told.
type message struct {
	item   *local.Item
	change json.RawMessage // the body of the route for one
	remove bool
	what   string
}

// batch is what goes into one request: nothing in it depends on something else of
// it, and all of it is told with the same token.
type batch struct {
	token    string
	messages []message
	size     int
}

// batches puts items into as few requests as may be.
func (s *Syncer) batches(items []local.Item) ([]*batch, error) {
	var full []*batch
	open := map[string]*batch{}
	for i := range items {
		m, err := s.message(&items[i])
		if err != nil {
			return nil, err
		}
		b := open[items[i].Token]
		if b == nil {
			b = &batch{token: items[i].Token}
			open[b.token] = b
			full = append(full, b)
		}
		b.messages, b.size = append(b.messages, m), b.size+len(m.change)
		if len(b.messages) == changesAtOnce || b.size >= bytesAtOnce {
			delete(open, b.token)
		}
	}
	return full, nil
}

// together tells batches, some at a time, and stops at the first failure.
func (s *Syncer) together(ctx context.Context, batches []*batch) error {
	if len(batches) == 1 {
		return s.tell(ctx, batches[0])
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan *batch)
	var group sync.WaitGroup
	for range min(writers, len(batches)) {
		group.Go(func() {
			for b := range next {
				if err := s.tell(ctx, b); err != nil {
					cancel(err)
				}
			}
		})
	}
	for _, b := range batches {
		select {
		case next <- b:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(next)
	group.Wait()
	return context.Cause(ctx)
}

// tell tells a batch in one request; one after the other to servers that cannot
// take several.
func (s *Syncer) tell(ctx context.Context, b *batch) error {
	if len(b.messages) > 1 {
		err := s.several(ctx, b)
		if !failure.Is(err, failure.NotFound) {
			return err
		}
	}
	for i := range b.messages {
		if err := s.one(ctx, b.token, &b.messages[i]); err != nil {
			return err
		}
	}
	return nil
}

// body is the batch as one request. Its changes are encoded already, and nothing
// reads them once more.
func (b *batch) body() []byte {
	body := append(make([]byte, 0, b.size+len(b.messages)*len(`{"Deregister":},`)+len("[]")), '[')
	for i, m := range b.messages {
		if i > 0 {
			body = append(body, ',')
		}
		if m.remove {
			body = append(body, `{"Deregister":`...)
		} else {
			body = append(body, `{"Register":`...)
		}
		body = append(append(body, m.change...), '}')
	}
	return append(body, ']')
}

// several tells a batch of some in one request. It fails with NotFound where the
// servers do not know how.
func (s *Syncer) several(ctx context.Context, b *batch) error {
	what := fmt.Sprintf("%s and %d more", b.messages[0].what, len(b.messages)-1)
	answer, err := s.put(ctx, severalPath, b.token, b.body())
	switch {
	case failure.Is(err, failure.NotFound):
		return err
	case failure.Is(err, failure.PermissionDenied), failure.Is(err, failure.Invalid):
		// Of the request, not of one of its changes: each may be told alone.
		return failure.Wrap(failure.NotFound, err)
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	}
	var results []*struct {
		Status int
		Text   string
	}
	if err := json.Unmarshal(answer, &results); err != nil || len(results) != len(b.messages) {
		return failure.Newf(failure.Unavailable, "%s: the answer is not about %d changes: %.200s", what, len(b.messages), answer)
	}
	for i, r := range results {
		var err error
		if r != nil {
			err = refusal(r.Status, []byte(r.Text))
		}
		if err := s.done(&b.messages[i], err); err != nil {
			return err
		}
	}
	return nil
}

// one tells one item.
func (s *Syncer) one(ctx context.Context, token string, m *message) error {
	path := registerPath
	if m.remove {
		path = deregisterPath
	}
	_, err := s.put(ctx, path, token, m.change)
	return s.done(m, err)
}

// put makes a write. An answer that refuses it is an error.
func (s *Syncer) put(ctx context.Context, path, token string, body []byte) ([]byte, error) {
	query := url.Values{}
	if token != "" {
		query.Set("token", token)
	}
	if path != registerPath {
		query.Set("origin", "agent") // it need not be told itself
	}
	status, _, answer, err := s.request.Do(ctx, http.MethodPut, path, query, body)
	if err == nil {
		err = refusal(status, answer)
	}
	return answer, err
}

// done takes note of what came of telling an item. A refusal counts as told.
func (s *Syncer) done(m *message, err error) error {
	switch {
	case err == nil:
		s.log.Debug("told the catalog", "what", m.what)
	case failure.Is(err, failure.PermissionDenied):
		s.log.Warn("the catalog was not told: blocked by ACLs", "what", m.what, logging.KeyError, err)
		s.cfg.Blocked(kindOf(m.item))
	case failure.Is(err, failure.Invalid), failure.Is(err, failure.NotFound):
		s.log.Warn("the catalog refused what it was told", "what", m.what, logging.KeyError, err)
	default:
		return fmt.Errorf("%s: %w", m.what, err)
	}
	s.state.Told(m.item)
	return nil
}

func kindOf(item *local.Item) string {
	switch {
	case item.GoneID != "":
		return "service.deregistration"
	case item.GoneCheck != "":
		return "check.deregistration"
	case item.Node:
		return "node.registration"
	case item.Service != nil:
		return "service.registration"
	default:
		return "check.registration"
	}
}

// registration and removal are the bodies of the public catalog routes.
type registration struct {
	Datacenter      string
	ID              string
	Node            string
	Address         string
	TaggedAddresses map[string]string `json:",omitempty"`
	NodeMeta        map[string]string `json:",omitempty"`
	Service         *local.Service    `json:",omitempty"`
	Checks          []*local.Check    `json:",omitempty"`
	SkipNodeUpdate  bool              `json:",omitempty"`
}

type removal struct {
	Datacenter string
	Node       string
	ServiceID  string `json:",omitempty"`
	CheckID    string `json:",omitempty"`
}

const (
	registerPath   = "/v1/catalog/register"
	deregisterPath = "/v1/catalog/deregister"
	severalPath    = "/v1/ctl/catalog"
)

func (s *Syncer) message(item *local.Item) (m message, err error) {
	body, what := s.body(item)
	m = message{item: item, what: what, remove: item.GoneID != "" || item.GoneCheck != ""}
	if m.change, err = json.Marshal(body); err != nil {
		return m, fmt.Errorf("%s: %w", what, err)
	}
	return m, nil
}

func (s *Syncer) body(item *local.Item) (body any, what string) {
	n := s.state.Node()
	switch {
	case item.GoneID != "":
		return removal{Datacenter: n.Datacenter, Node: n.Name, ServiceID: item.GoneID}, "deregister service " + item.GoneID
	case item.GoneCheck != "":
		return removal{Datacenter: n.Datacenter, Node: n.Name, CheckID: item.GoneCheck}, "deregister check " + item.GoneCheck
	}
	r := registration{
		Datacenter: n.Datacenter, ID: n.ID, Node: n.Name, Address: n.Address, TaggedAddresses: n.TaggedAddresses, NodeMeta: n.Meta,
		Service: item.Service, Checks: item.Checks, SkipNodeUpdate: !item.Node,
	}
	switch {
	case item.Node:
		return r, "register node " + n.Name
	case item.Service != nil:
		return r, "register service " + item.Service.ID
	default:
		return r, "register check " + item.Checks[0].CheckID
	}
}
