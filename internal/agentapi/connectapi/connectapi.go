// Package connectapi is the edge of certificates at the agent: the roots, and
// the leaf of a service with its key, under /v1/agent/connect/ca/.
//
// They are answered from what this agent keeps current (package leafcert), in
// every consistency mode. The key of a leaf is in the answer and nowhere else.
//
// Not here yet: authorization of connections.
//
// Source: the public documentation of the agent HTTP API.
package connectapi

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/leafcert"
	"github.com/ctl-sh/ctl/internal/query"
)

// Certificates are what the agent keeps.
type Certificates interface {
	// Roots returns the roots, once their index is above index or the wait
	// is over.
	Roots(ctx context.Context, index uint64, wait time.Duration) (*leafcert.Roots, leafcert.Freshness, error)
	// Leaf does the same with the leaf of a service.
	Leaf(ctx context.Context, token, service string, index uint64, wait time.Duration) (*leafcert.Leaf, leafcert.Freshness, error)
}

// API is the edge.
type API struct {
	Certificates Certificates
	Authz        authz.Resolver
	Datacenter   string
	// DefaultWait is how long a blocking read waits that names no time;
	// MaxWait is the longest it may name.
	DefaultWait, MaxWait time.Duration
}

// Routes returns the routes.
func (a *API) Routes() []httpapi.Route {
	return []httpapi.Route{
		{Method: http.MethodGet, Pattern: "/v1/agent/connect/ca/roots", Where: httpapi.Local, Handle: a.roots},
		{Method: http.MethodGet, Pattern: "/v1/agent/connect/ca/leaf/{service}", Where: httpapi.Local, Handle: a.leaf},
	}
}

// wait returns how long a read that asked for d blocks, with up to a sixteenth
// added at random.
func (a *API) wait(d time.Duration) time.Duration {
	if d <= 0 {
		d = a.DefaultWait
	}
	d = min(d, a.MaxWait)
	return d + rand.N(d/16+1)
}

// here fails unless the request is for this agent's datacenter.
func (a *API) here(r *httpapi.Request) error {
	if dc := r.Options.Datacenter; dc != "" && !strings.EqualFold(dc, a.Datacenter) {
		return failure.New(failure.NoPath, failure.TextNoPath)
	}
	return nil
}

func (a *API) roots(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	if err := a.here(r); err != nil {
		return nil, err
	}
	roots, fresh, err := a.Certificates.Roots(ctx, r.Options.MinIndex, a.wait(r.Options.MaxWait))
	if err != nil {
		return nil, err
	}
	resp := answer(roots.Index, fresh)
	resp.Raw = roots.JSON
	return resp, nil
}

// leaf is a leaf certificate as the public API shows it.
type leaf struct {
	SerialNumber  string
	CertPEM       string
	PrivateKeyPEM string
	Service       string
	ServiceURI    string
	ValidAfter    time.Time
	ValidBefore   time.Time
	CreateIndex   uint64
	ModifyIndex   uint64
}

func (a *API) leaf(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	service := r.PathValue("service")
	if service == "" {
		return nil, failure.New(failure.BadRequest, failure.TextMissingService)
	}
	if err := a.here(r); err != nil {
		return nil, err
	}
	if err := authz.Require(ctx, a.Authz, r.Options.Token, authz.Service, service, authz.Write); err != nil {
		return nil, err
	}
	l, fresh, err := a.Certificates.Leaf(ctx, r.Options.Token, service, r.Options.MinIndex, a.wait(r.Options.MaxWait))
	if err != nil {
		return nil, err
	}
	resp := answer(l.ModifyIndex, fresh)
	resp.Body = leaf{
		SerialNumber: l.SerialNumber, CertPEM: l.CertPEM, PrivateKeyPEM: l.PrivateKeyPEM, Service: l.Service, ServiceURI: l.URI,
		ValidAfter: l.ValidAfter, ValidBefore: l.ValidBefore, CreateIndex: l.CreateIndex, ModifyIndex: l.ModifyIndex,
	}
	return resp, nil
}

// answer is one with the headers of the agent's cache.
func answer(index uint64, fresh leafcert.Freshness) *httpapi.Response {
	h := http.Header{"X-Cache": {"MISS"}}
	if fresh.Hit {
		h = http.Header{"X-Cache": {"HIT"}, "Age": {strconv.Itoa(int(fresh.Age.Seconds()))}}
	}
	return &httpapi.Response{Header: h, Meta: &query.Meta{Index: index, KnownLeader: fresh.Age == 0, LastContact: fresh.Age}}
}
