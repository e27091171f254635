package catalogapi

import (
	"context"

	"github.com/ctl-sh/ctl/internal/catalog"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/query"
	"github.com/ctl-sh/ctl/internal/store"
)

// summary is a service with its instances counted by the worst of their checks
// and their node's.
type summary struct {
	Name        string
	Kind        string
	Tags        []string
	Instances   int
	Passing     int
	Warning     int
	Critical    int
	Maintenance int // of the critical ones
}

// summaries answers with all services and how their instances are, which Consul
// answers one service at a time.
func (a *API) summaries(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	sel, err := selecting[summary](ctx, a, r)
	if err != nil {
		return nil, err
	}
	var body []*summary
	meta, err := a.Reader.Read(ctx, r.Options, func(ws store.WatchSet, tx *store.Txn) (query.Result, error) {
		body = []*summary{} // anew after every wait
		mayRead := func(s *catalog.Service) bool { return sel.mayReadService(s.Service) && sel.mayReadNode(s.Node) }
		err := catalog.Summaries(ws, tx, mayRead, func(s *catalog.ServiceSummary) error {
			row := &summary{s.Name, s.Kind, listed(s.Tags), s.Instances, s.Passing, s.Warning, s.Critical, s.Maintenance}
			if sel.filter.Match(row) {
				body = append(body, row)
			}
			return nil
		})
		return query.Result{Index: store.MaxIndex(tx, catalog.TableServices, catalog.TableChecks), Found: true}, err
	})
	return &httpapi.Response{Meta: &meta, Body: body}, err
}
