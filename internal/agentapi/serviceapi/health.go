package serviceapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/checks"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/local"
)

// agentService is a service as the agent's routes show it.
type agentService struct {
	*local.Service
	ContentHash string `json:",omitempty"`
	Datacenter  string
}

func (a *API) shown(s *local.Service) *agentService {
	return &agentService{Service: s, Datacenter: a.Datacenter}
}

// contentHash is an opaque text that changes when the service does.
func contentHash(s *local.Service) (string, error) {
	b, err := json.Marshal(s)
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8]), err
}

const (
	defaultWait = 5 * time.Minute
	maxWait     = 10 * time.Minute
)

// service answers about one service; with ?hash it waits until that is no
// longer its content.
func (a *API) service(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	known := r.Query.Get("hash")
	wait := defaultWait
	if r.Options.MaxWait > 0 {
		wait = min(r.Options.MaxWait, maxWait)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		_, changed := a.State.Changed().Watch()
		resp, hash, err := a.serviceNow(ctx, r)
		if err != nil || known == "" || hash != known {
			return resp, err
		}
		select {
		case <-changed:
		case <-timer.C:
			return resp, nil
		case <-ctx.Done():
			return resp, nil
		}
	}
}

func (a *API) serviceNow(ctx context.Context, r *httpapi.Request) (*httpapi.Response, string, error) {
	id := r.PathValue("id")
	s := a.State.Service(id)
	if s == nil {
		return nil, "", failure.Newf(failure.NotFound, "unknown service ID: %s", id)
	}
	if err := a.mayService(ctx, r, s.Service, authz.Read); err != nil {
		return nil, "", err
	}
	hash, err := contentHash(s)
	if err != nil {
		return nil, "", err
	}
	body := a.shown(s)
	body.ContentHash = hash
	return &httpapi.Response{Body: body, Header: http.Header{"X-Consul-Contenthash": {hash}}}, hash, nil
}

// instanceHealth is an instance with what its checks say together.
type instanceHealth struct {
	AggregatedStatus string
	Service          *agentService
	Checks           []*local.Check
}

// maintenance is the worst state there is.
const maintenance = "maintenance"

var severity = []string{checks.Passing, checks.Warning, checks.Critical, maintenance}

func worse(a, b string) string {
	return severity[max(slices.Index(severity, a), slices.Index(severity, b), 0)]
}

// aggregated is the worst of what checks say; passing where there are none.
func aggregated(list []*local.Check) string {
	status := checks.Passing
	for _, c := range list {
		s := c.Status
		if c.CheckID == local.NodeMaintenance || c.Type == maintenance {
			s = maintenance
		}
		status = worse(status, s)
	}
	return status
}

func (a *API) health(s *local.Service) instanceHealth {
	list := a.State.ChecksOf(s.ID)
	return instanceHealth{AggregatedStatus: aggregated(list), Service: a.shown(s), Checks: list}
}

// codes are the statuses that load balancers look at.
func code(status string) int {
	switch status {
	case checks.Passing:
		return http.StatusOK
	case checks.Warning:
		return http.StatusTooManyRequests
	default:
		return http.StatusServiceUnavailable
	}
}

func wantsText(r *httpapi.Request) bool {
	return r.Query.Get("format") == "text" || strings.HasPrefix(r.Header.Get("Accept"), "text/plain")
}

// verdict answers with a status code that says what reason says.
func verdict(r *httpapi.Request, status int, reason string, body any) *httpapi.Response {
	resp := &httpapi.Response{Status: status, Header: http.Header{"X-Consul-Reason": {reason}}, Body: body}
	if wantsText(r) {
		resp.Body, resp.Raw, resp.ContentType = nil, []byte(reason), "text/plain; charset=utf-8"
	}
	return resp
}

func (a *API) healthByID(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	id := r.PathValue("id")
	if id == "" {
		return nil, failure.New(failure.Invalid, "Missing serviceID")
	}
	s := a.State.Service(id)
	if s == nil {
		return verdict(r, http.StatusNotFound, "ServiceId "+id+" not found", instanceHealth{AggregatedStatus: checks.Critical}), nil
	}
	if err := a.mayService(ctx, r, s.Service, authz.Read); err != nil {
		return nil, err
	}
	h := a.health(s)
	return verdict(r, code(h.AggregatedStatus), h.AggregatedStatus, h), nil
}

func (a *API) healthByName(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	name := r.PathValue("name")
	if name == "" {
		return nil, errMissingName
	}
	if err := a.mayService(ctx, r, name, authz.Read); err != nil {
		return nil, err
	}
	list, status := []instanceHealth{}, checks.Passing
	for _, s := range a.State.Services() {
		if s.Service == name {
			h := a.health(s)
			list, status = append(list, h), worse(status, h.AggregatedStatus)
		}
	}
	if len(list) == 0 {
		return verdict(r, http.StatusNotFound, "ServiceName "+name+" Not Found", list), nil
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Service.ID < list[j].Service.ID })
	return verdict(r, code(status), status, list), nil
}
