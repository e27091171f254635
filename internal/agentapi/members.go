package agentapi

import (
	"context"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/expr"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/gossip"
	"github.com/ctl-sh/ctl/internal/httpapi"
)

// allSegments is the name of all network segments together.
const allSegments = "_all"

func (a *API) members(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	wan, segment := r.Query.Get("wan") != "", r.Query.Get("segment")
	if wan && segment != "" && segment != allSegments {
		return nil, failure.New(failure.BadRequest, "Cannot provide a segment with wan=true")
	}
	filter, err := expr.Compile[gossip.Member](r.Query.Get("filter"))
	if err != nil {
		return nil, failure.Wrap(failure.Invalid, err)
	}
	auth, err := a.Authz.Resolve(ctx, r.Options.Token)
	if err != nil {
		return nil, err
	}
	all := a.Agent.Members(wan)
	members := make([]gossip.Member, 0, len(all))
	for i := range all {
		m := &all[i]
		if segment != "" && segment != allSegments && m.Tags["segment"] != segment {
			continue
		}
		if auth.Allow(authz.Node, m.Name, authz.Read) && filter.Match(m) {
			members = append(members, *m)
		}
	}
	return &httpapi.Response{Body: members}, nil
}

func (a *API) join(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	address := r.PathValue("address")
	if address == "" {
		return nil, failure.New(failure.BadRequest, "Missing address to join")
	}
	if err := a.require(ctx, r, authz.Write); err != nil {
		return nil, err
	}
	_, err := a.Agent.Join(ctx, []string{address}, r.Query.Get("wan") != "")
	return nil, refused(err)
}

func (a *API) forceLeave(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	node := r.PathValue("node")
	if node == "" {
		return nil, failure.New(failure.BadRequest, failure.TextMissingNode)
	}
	if err := authz.Require(ctx, a.Authz, r.Options.Token, authz.Operator, "", authz.Write); err != nil {
		return nil, err
	}
	return nil, refused(a.Agent.ForceLeave(ctx, node, r.Has("prune"), r.Has("wan")))
}

func (a *API) leave(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	if err := a.require(ctx, r, authz.Write); err != nil {
		return nil, err
	}
	// Who asks an agent to leave need not stay to see it.
	return nil, refused(a.Agent.Leave(context.WithoutCancel(ctx)))
}

func (a *API) reload(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	if err := a.require(ctx, r, authz.Write); err != nil {
		return nil, err
	}
	return nil, refused(a.Agent.Reload(ctx))
}
