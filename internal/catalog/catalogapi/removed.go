package catalogapi

import (
	"context"
	"time"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/catalog"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/leader"
	"github.com/ctl-sh/ctl/internal/query"
	"github.com/ctl-sh/ctl/internal/store"
)

// How long it is remembered that something was removed from the catalog: an agent
// that is away for less does not bring it back. It is as long as gossip knows a
// failed member.
const (
	rememberFor = 72 * time.Hour
	forgetEvery = 10 * time.Minute
)

// originAgent is what an agent says as ?origin= where it removes what is its own.
const originAgent = "agent"

// removed is a row of what was removed.
type removed struct {
	ServiceID string `json:",omitempty"`
	CheckID   string `json:",omitempty"`
	Removed   time.Time
}

// removedOf answers an agent that looks what of its node somebody else removed
// from the catalog.
func (a *API) removedOf(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	name := r.PathValue("node")
	if name == "" {
		return nil, errMissingNode
	}
	if err := authz.Require(ctx, a.Authz, r.Options.Token, authz.Node, name, authz.Read); err != nil {
		return nil, err
	}
	var rows []*catalog.Removed
	meta, err := a.Reader.Read(ctx, r.Options, func(ws store.WatchSet, tx *store.Txn) (res query.Result, err error) {
		rows, res, err = catalog.RemovedOf(ws, tx, name)
		return res, err
	})
	body := make([]removed, 0, len(rows))
	for _, row := range rows {
		body = append(body, removed{row.ServiceID, row.CheckID, time.Unix(row.At, 0).UTC()})
	}
	return &httpapi.Response{Meta: &meta, Body: body}, err
}

// critical is a check that is critical, and since when.
type critical struct {
	Node        string
	CheckID     string
	Name        string
	ServiceID   string
	ServiceName string
	Since       time.Time
	Seconds     int64 // how long it is so
}

// criticalChecks answers with the checks that have been critical for some time,
// as far as it is known since when.
func (a *API) criticalChecks(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	var least time.Duration
	if text := r.Query.Get("for"); text != "" {
		var err error
		if least, err = time.ParseDuration(text); err != nil || least < 0 {
			return nil, failure.Newf(failure.BadRequest, "Invalid value %q for ?for: it is a duration such as 1h", text)
		}
	}
	auth, err := a.Authz.Resolve(ctx, r.Options.Token)
	if err != nil {
		return nil, err
	}
	var checks []*catalog.Check
	meta, err := a.Reader.Read(ctx, r.Options, func(ws store.WatchSet, tx *store.Txn) (res query.Result, err error) {
		checks, res, err = catalog.ChecksInState(ws, tx, catalog.Critical)
		return res, err
	})
	now := time.Now()
	body := []critical{}
	for _, c := range checks {
		since := time.Unix(c.Since, 0).UTC()
		if c.Since == 0 || now.Sub(since) < least || !auth.Allow(authz.Node, c.Node, authz.Read) ||
			c.ServiceName != "" && !auth.Allow(authz.Service, c.ServiceName, authz.Read) {
			continue
		}
		body = append(body, critical{c.Node, c.CheckID, c.Name, c.ServiceID, c.ServiceName, since, int64(now.Sub(since) / time.Second)})
	}
	return &httpapi.Response{Meta: &meta, Body: body}, err
}

// Forgetter returns the leader's duty to forget what was removed long ago.
func (a *API) Forgetter(db *store.DB) leader.Duty {
	return leader.Duty{Name: "removed services", Run: func(ctx context.Context) error {
		tick := time.NewTicker(forgetEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return nil
			}
			before := time.Now().Add(-rememberFor).Unix()
			tx, _ := db.Read()
			old, err := catalog.RemovedBefore(tx, before)
			if err != nil {
				return err
			}
			if !old {
				continue
			}
			if _, err := a.Applier.Apply(ctx, catalog.TypeForget, &catalog.Forgetting{Before: before}); err != nil {
				return err
			}
		}
	}}
}
