// Package serviceapi is the edge of this agent's own services and checks: the
// routes below /v1/agent/ that register and remove them, report and read their
// state, and take them out of service.
//
// Every route is answered by the agent that was asked, without a server. A
// change is kept on disk and told to the catalog before it is answered; if telling
// fails it is only logged, because the change holds here and anti-entropy tells it
// later. The edge reads and shapes, and asks authz; package local decides.
//
// Source: the public documentation of the agent's service, check and health
// HTTP API.
package serviceapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/checks"
	"github.com/ctl-sh/ctl/internal/expr"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/local"
	"github.com/ctl-sh/ctl/internal/logging"
)

// Pusher tells the catalog what changed here.
type Pusher interface {
	// Push returns when the catalog was told, or why not.
	Push(ctx context.Context) error
}

// API is the edge. State, Push, Authz and Logger are required.
type API struct {
	State  *local.State
	Push   Pusher
	Authz  authz.Resolver
	Logger *slog.Logger
	// NodeName is what permissions for checks of the node are about, and
	// Datacenter where it is.
	NodeName, Datacenter string
	// AllowScripts lets checks that run programs be registered over HTTP
	// (enable_script_checks).
	AllowScripts bool
}

// Routes returns the routes.
func (a *API) Routes() []httpapi.Route {
	routes := []httpapi.Route{
		{Method: http.MethodGet, Pattern: "/v1/agent/services", Handle: a.services},
		{Method: http.MethodGet, Pattern: "/v1/agent/service/{id}", Handle: a.service},
		{Method: http.MethodGet, Pattern: "/v1/agent/checks", Handle: a.checks},
		{Method: http.MethodGet, Pattern: "/v1/agent/health/service/id/{id}", Handle: a.healthByID},
		{Method: http.MethodGet, Pattern: "/v1/agent/health/service/name/{name}", Handle: a.healthByName},
		{Method: http.MethodPut, Pattern: "/v1/agent/service/register", Handle: a.registerService},
		{Method: http.MethodPut, Pattern: "/v1/agent/service/deregister/{id}", Handle: a.deregisterService},
		{Method: http.MethodPut, Pattern: "/v1/agent/service/maintenance/{id}", Handle: a.serviceMaintenance},
		{Method: http.MethodPut, Pattern: "/v1/agent/maintenance", Handle: a.nodeMaintenance},
		{Method: http.MethodPut, Pattern: "/v1/agent/check/register", Handle: a.registerCheck},
		{Method: http.MethodPut, Pattern: "/v1/agent/check/deregister/{id}", Handle: a.deregisterCheck},
		{Method: http.MethodPut, Pattern: "/v1/agent/check/pass/{id}", Handle: a.report(checks.Passing)},
		{Method: http.MethodPut, Pattern: "/v1/agent/check/warn/{id}", Handle: a.report(checks.Warning)},
		{Method: http.MethodPut, Pattern: "/v1/agent/check/fail/{id}", Handle: a.report(checks.Critical)},
		{Method: http.MethodPut, Pattern: "/v1/agent/check/update/{id}", Handle: a.update},
	}
	for i := range routes {
		routes[i].Where = httpapi.Local
	}
	return routes
}

// told tells the catalog of a change that was made. It never fails: the change
// holds, and the catalog is told later if not now.
func (a *API) told(ctx context.Context) {
	if err := a.Push.Push(ctx); err != nil {
		a.Logger.Warn("the catalog was not told yet of a change at this agent", logging.KeyError, err)
		if err := a.State.KeepUntold(); err != nil {
			a.Logger.Warn("the files of registrations cannot be written", logging.KeyError, err)
		}
	}
}

// telling returns told, for while the disk keeps the change.
func (a *API) telling(ctx context.Context) func() { return func() { a.told(ctx) } }

// mayService fails unless the request's token may access the service.
func (a *API) mayService(ctx context.Context, r *httpapi.Request, name string, access authz.Access) error {
	return authz.Require(ctx, a.Authz, r.Options.Token, authz.Service, name, access)
}

// mayCheck fails unless the request's token may change the check: that of a
// service needs the service's right, another the node's.
func (a *API) mayCheck(ctx context.Context, r *httpapi.Request, serviceName string) error {
	if serviceName != "" {
		return a.mayService(ctx, r, serviceName, authz.Write)
	}
	return authz.Require(ctx, a.Authz, r.Options.Token, authz.Node, a.NodeName, authz.Write)
}

const textScripts = "Scripts are disabled on this agent; to enable, configure 'enable_script_checks' to true"

func (a *API) registerService(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	d := &local.ServiceDefinition{}
	if err := decode(r, d); err != nil {
		return nil, err
	}
	if err := d.Validate(); err != nil {
		return nil, err
	}
	if d.Token == "" {
		d.Token = r.Options.Token
	}
	if err := a.mayService(ctx, r, d.Name, authz.Write); err != nil {
		return nil, err
	}
	if old := a.State.Service(d.ID); old != nil && old.Service != d.Name {
		if err := a.mayService(ctx, r, old.Service, authz.Write); err != nil {
			return nil, err
		}
	}
	if d.RunsProgram() && !a.AllowScripts {
		return nil, failure.New(failure.Invalid, textScripts)
	}
	replace, err := flag(r, "replace-existing-checks")
	if err != nil {
		return nil, err
	}
	return nil, a.State.RegisterService(d, local.FromAPI, replace, a.telling(ctx))
}

// decode reads a body whose type reads itself: a name it does not know is an
// error of its own.
func decode(r *httpapi.Request, v any) error { return r.DecodeBody(v, true) }

// flag reads a parameter that is on when it is there without a value.
func flag(r *httpapi.Request, name string) (bool, error) {
	if !r.Has(name) {
		return false, nil
	}
	v := r.Query.Get(name)
	if v == "" {
		return true, nil
	}
	on, err := strconv.ParseBool(v)
	if err != nil {
		return false, failure.Newf(failure.BadRequest, "Invalid value for ?%s", name)
	}
	return on, nil
}

func (a *API) deregisterService(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	id := r.PathValue("id")
	if s := a.State.Service(id); s != nil {
		if err := a.mayService(ctx, r, s.Service, authz.Write); err != nil {
			return nil, err
		}
	}
	return nil, a.State.DeregisterService(id, a.telling(ctx))
}

func (a *API) registerCheck(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	d := &checks.Definition{}
	if err := decode(r, d); err != nil {
		return nil, err
	}
	if err := local.ValidateCheck(d); err != nil {
		return nil, err
	}
	if d.Token == "" {
		d.Token = r.Options.Token
	}
	name := ""
	if s := a.State.Service(d.ServiceID); s != nil {
		name = s.Service
	}
	if err := a.mayCheck(ctx, r, name); err != nil {
		return nil, err
	}
	if d.ServiceID != "" && name == "" {
		return nil, failure.Newf(failure.NotFound, "ServiceID %q does not exist", d.ServiceID)
	}
	if d.Runs() && !a.AllowScripts {
		return nil, failure.New(failure.Invalid, textScripts)
	}
	return nil, a.State.RegisterCheck(d, local.FromAPI, a.telling(ctx))
}

func (a *API) deregisterCheck(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	id := r.PathValue("id")
	if err := a.mayKnownCheck(ctx, r, id); err != nil {
		return nil, err
	}
	return nil, a.State.DeregisterCheck(id, a.telling(ctx))
}

// mayKnownCheck is mayCheck for a check that may be here.
func (a *API) mayKnownCheck(ctx context.Context, r *httpapi.Request, id string) error {
	c := a.State.Check(id)
	if c == nil {
		return nil // it is the State's to say so
	}
	return a.mayCheck(ctx, r, c.ServiceName)
}

// report returns the handler that reports a state with a note.
func (a *API) report(status string) httpapi.Handler {
	return func(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
		return a.reported(ctx, r, status, r.Query.Get("note"))
	}
}

func (a *API) update(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	var body struct{ Status, Output string }
	if err := r.DecodeBody(&body, false); err != nil {
		return nil, err
	}
	if !checks.ValidStatus(body.Status) {
		return nil, failure.Newf(failure.BadRequest, "Invalid check status: '%s'", body.Status)
	}
	return a.reported(ctx, r, body.Status, body.Output)
}

func (a *API) reported(ctx context.Context, r *httpapi.Request, status, output string) (*httpapi.Response, error) {
	id := r.PathValue("id")
	if err := a.mayKnownCheck(ctx, r, id); err != nil {
		return nil, err
	}
	if err := a.State.UpdateTTL(id, status, output); err != nil {
		return nil, err
	}
	a.told(ctx)
	return nil, nil
}

var errMissingEnable = failure.New(failure.BadRequest, "Missing value for enable")

// enable reads whether maintenance is switched on or off.
func enable(r *httpapi.Request) (bool, error) {
	if !r.Has("enable") {
		return false, errMissingEnable
	}
	v := r.Query.Get("enable")
	on, err := strconv.ParseBool(v)
	if err != nil {
		return false, failure.Newf(failure.BadRequest, "Invalid value for enable: %q", v)
	}
	return on, nil
}

func (a *API) serviceMaintenance(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	id := r.PathValue("id")
	if id == "" {
		return nil, failure.New(failure.BadRequest, "Missing service ID")
	}
	on, err := enable(r)
	if err != nil {
		return nil, err
	}
	if s := a.State.Service(id); s != nil {
		if err := a.mayService(ctx, r, s.Service, authz.Write); err != nil {
			return nil, err
		}
	}
	return nil, a.State.SetServiceMaintenance(id, on, r.Query.Get("reason"), a.telling(ctx))
}

func (a *API) nodeMaintenance(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	on, err := enable(r)
	if err != nil {
		return nil, err
	}
	if err := a.mayCheck(ctx, r, ""); err != nil {
		return nil, err
	}
	return nil, a.State.SetNodeMaintenance(on, r.Query.Get("reason"), a.telling(ctx))
}

// selecting compiles the request's filter and resolves its token.
func selecting[Row any](ctx context.Context, a *API, r *httpapi.Request) (*expr.Filter[Row], authz.Authorizer, error) {
	f, err := expr.Compile[Row](r.Query.Get("filter"))
	if err != nil {
		return nil, nil, failure.Wrap(failure.Invalid, err)
	}
	auth, err := a.Authz.Resolve(ctx, r.Options.Token)
	return f, auth, err
}

func (a *API) services(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	filter, auth, err := selecting[local.Service](ctx, a, r)
	if err != nil {
		return nil, err
	}
	body := map[string]*agentService{}
	for id, s := range a.State.Services() {
		if auth.Allow(authz.Service, s.Service, authz.Read) && filter.Match(s) {
			body[id] = a.shown(s)
		}
	}
	return &httpapi.Response{Body: body}, nil
}

func (a *API) checks(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	filter, auth, err := selecting[local.Check](ctx, a, r)
	if err != nil {
		return nil, err
	}
	body := a.State.Checks()
	for id, c := range body {
		may := auth.Allow(authz.Node, a.NodeName, authz.Read)
		if c.ServiceName != "" {
			may = auth.Allow(authz.Service, c.ServiceName, authz.Read)
		}
		if !may || !filter.Match(c) {
			delete(body, id)
		}
	}
	return &httpapi.Response{Body: body}, nil
}

var errMissingName = failure.Wrap(failure.Invalid, errors.New("Missing service Name")) //nolint:staticcheck // Consul's text
