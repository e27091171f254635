package antientropy

import (
	"context"
	"encoding/json"

	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/local"
	"github.com/ctl-sh/ctl/internal/logging"
)

// read asks the catalog what it knows of this node. With stale any server may
// answer, even one that is behind: to tell it again what it is about to learn
// does no harm. Where something is missing that was there, it asks what was
// removed, and that of the newest state, so that nothing that was removed is
// brought back.
func (s *Syncer) read(ctx context.Context, stale bool) (*local.Remote, error) {
	name := url.PathEscape(s.state.Node().Name)
	remote := &local.Remote{}
	var node *struct {
		Node     *local.RemoteNode
		Services map[string]*local.Service
	}
	if err := s.get(ctx, "/v1/catalog/node/"+name, stale, &node); err != nil {
		return nil, fmt.Errorf("read the services of this node: %w", err)
	}
	if node != nil {
		remote.Node = node.Node
		for _, svc := range node.Services {
			remote.Services = append(remote.Services, svc)
		}
		if err := s.get(ctx, "/v1/health/node/"+name, stale, &remote.Checks); err != nil {
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
	err := s.get(ctx, "/v1/ctl/removed/"+url.PathEscape(s.state.Node().Name), false, &rows)
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

func (s *Syncer) get(ctx context.Context, path string, stale bool, into any) error {
	query := url.Values{"dc": {s.state.Node().Datacenter}}
	if stale {
		query.Set("stale", "")
	}
	status, _, answer, err := s.request.Do(ctx, http.MethodGet, path, query, nil)
	if err != nil {
		return err
	}
	if err := refusal(status, answer); err != nil {
		return err
	}
	return json.Unmarshal(answer, into)
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

// writers is how many writes are on their way at once, so that their log entries
// share a flush.
const writers = 16

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
		if err := s.together(ctx, items); err != nil {
			return err
		}
	}
	return nil
}

// together tells items, several at a time, and stops at the first failure.
func (s *Syncer) together(ctx context.Context, items []local.Item) error {
	if len(items) == 1 {
		return s.one(ctx, &items[0])
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan *local.Item)
	var group sync.WaitGroup
	for range min(writers, len(items)) {
		group.Go(func() {
			for item := range next {
				if err := s.one(ctx, item); err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := range items {
		select {
		case next <- &items[i]:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(next)
	group.Wait()
	return context.Cause(ctx)
}

// one tells one item. A refusal counts as told.
func (s *Syncer) one(ctx context.Context, item *local.Item) error {
	path, body, what := s.message(item)
	b, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	query := url.Values{}
	if item.Token != "" {
		query.Set("token", item.Token)
	}
	if path == deregisterPath {
		query.Set("origin", "agent") // it need not be told itself
	}
	status, _, answer, err := s.request.Do(ctx, http.MethodPut, path, query, b)
	if err == nil {
		err = refusal(status, answer)
	}
	switch {
	case err == nil:
		s.log.Debug("told the catalog", "what", what)
	case failure.Is(err, failure.PermissionDenied):
		s.log.Warn("the catalog was not told: blocked by ACLs", "what", what, logging.KeyError, err)
		s.cfg.Blocked(kindOf(item))
	case failure.Is(err, failure.Invalid), failure.Is(err, failure.NotFound):
		s.log.Warn("the catalog refused what it was told", "what", what, logging.KeyError, err)
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
	s.state.Told(item)
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
)

func (s *Syncer) message(item *local.Item) (path string, body any, what string) {
	n := s.state.Node()
	switch {
	case item.GoneID != "":
		return deregisterPath, removal{Datacenter: n.Datacenter, Node: n.Name, ServiceID: item.GoneID}, "deregister service " + item.GoneID
	case item.GoneCheck != "":
		return deregisterPath, removal{Datacenter: n.Datacenter, Node: n.Name, CheckID: item.GoneCheck}, "deregister check " + item.GoneCheck
	}
	r := registration{
		Datacenter: n.Datacenter, ID: n.ID, Node: n.Name, Address: n.Address, TaggedAddresses: n.TaggedAddresses, NodeMeta: n.Meta,
		Service: item.Service, Checks: item.Checks, SkipNodeUpdate: !item.Node,
	}
	switch {
	case item.Node:
		return registerPath, r, "register node " + n.Name
	case item.Service != nil:
		return registerPath, r, "register service " + item.Service.ID
	default:
		return registerPath, r, "register check " + item.Checks[0].CheckID
	}
}
