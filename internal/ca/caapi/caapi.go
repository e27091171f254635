// Package caapi is the edge of the certificate authority: its HTTP routes, the
// signing of requests at the leader, and the leader's duty to keep a root.
//
// # Signing, for other agents
//
// The route SignPath is for agents only: a client of the HTTP API gets a 404
// there, so it is as protected as the cluster port. Its body is a SignRequest,
// its answer a Signed. It signs for a service and for a client agent, whose
// identity is
//
//	spiffe://<trust domain>/agent/client/dc/<dc>/id/<node id>
//
// An agent that wants a certificate of its own asks for the roots
// (/v1/connect/ca/roots, which has the trust domain), makes a request with
// issue.NewRequest (host names and addresses allowed, see issue.ParseRequest) and
// puts it to SignPath. In process, on a server that leads, API.Sign does the
// same. A certificate is renewed by asking again: there is no state about a leaf.
//
// Rules: the private key is read by the signing alone and stands in no answer,
// error or log line; a serial number is taken in the replicated log before
// anything is signed, for a root that is still the active one then, so a
// server that no longer leads cannot sign.
//
// Source: the public documentation of the HTTP API for the certificate
// authority.
package caapi

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/ca"
	"github.com/ctl-sh/ctl/internal/ca/issue"
	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/query"
	"github.com/ctl-sh/ctl/internal/spiffe"
	"github.com/ctl-sh/ctl/internal/store"
)

// SignPath is the route that signs requests of agents.
const SignPath = "/v1/internal/ctl/ca/sign"

// Reader answers reads.
type Reader interface {
	Read(ctx context.Context, o query.Options, read query.ReadFunc) (query.Meta, error)
}

// Applier proposes a command to the log and returns its value once it is
// applied here.
type Applier interface {
	Apply(ctx context.Context, typ uint8, body codec.Message) (any, error)
}

// State gives the newest state this server has.
type State interface {
	Read() (tx *store.Txn, abandoned <-chan struct{})
}

// API is the edge. On an agent that is no server only Routes is called, and its
// handlers never run: the fields may then be nil. Its methods may be called by
// any number of goroutines.
type API struct {
	Reader     Reader
	Applier    Applier
	State      State
	Authz      authz.Resolver
	Datacenter string
	// Disabled refuses everything; there is then no root.
	Disabled bool
	// Initial is what a cluster without an authority begins with.
	Initial ca.Given
	Logger  *slog.Logger

	// changing serialises changes of root and settings at this server; those
	// of two servers are told apart by the log.
	changing sync.Mutex

	mu     sync.Mutex
	signer *issue.Signer // of the root in it; made anew when that changes
	limit  *rate.Limiter
	atOnce chan struct{}
}

// Routes returns the routes.
func (a *API) Routes() []httpapi.Route {
	const configuration = "/v1/connect/ca/configuration"
	return []httpapi.Route{
		{Method: http.MethodGet, Pattern: "/v1/connect/ca/roots", Where: httpapi.Server, Consistency: true, Handle: a.roots},
		{Method: http.MethodGet, Pattern: configuration, Where: httpapi.Server, Handle: a.configuration},
		{Method: http.MethodPut, Pattern: configuration, Where: httpapi.Leader, Handle: a.changeConfiguration},
		{Method: http.MethodPut, Pattern: SignPath, Where: httpapi.Leader, Internal: true, Handle: a.sign},
	}
}

var (
	errDisabled = failure.New(failure.Invalid, "Connect must be enabled in order to use this endpoint")
	errNoRoot   = failure.New(failure.Unavailable, "the certificate authority has no root yet: a new leader is about to make it")
)

// root is a root as the public API shows it.
type root struct {
	ID                  string
	Name                string
	SerialNumber        uint64
	SigningKeyID        string
	ExternalTrustDomain string
	NotBefore           time.Time
	NotAfter            time.Time
	RootCert            string
	IntermediateCerts   []string
	Active              bool
	PrivateKeyType      string
	PrivateKeyBits      int
	CreateIndex         uint64
	ModifyIndex         uint64
}

type rootList struct {
	ActiveRootID string
	TrustDomain  string
	Roots        []root
}

func newRootList(roots []*ca.Root, authority *ca.Authority) *rootList {
	list := &rootList{Roots: make([]root, 0, len(roots))}
	clusterID := ""
	if authority != nil {
		clusterID = authority.ClusterID
		list.TrustDomain = spiffe.DomainOf(clusterID)
	}
	for _, r := range roots {
		if r.Active {
			list.ActiveRootID = r.ID
		}
		list.Roots = append(list.Roots, root{
			ID: r.ID, Name: r.Name, SerialNumber: r.Serial, SigningKeyID: r.SigningKeyID, ExternalTrustDomain: clusterID,
			NotBefore: time.Unix(r.NotBefore, 0).UTC(), NotAfter: time.Unix(r.NotAfter, 0).UTC(),
			RootCert: r.Cert, IntermediateCerts: r.Intermediates, Active: r.Active,
			PrivateKeyType: r.KeyType, PrivateKeyBits: r.KeyBits, CreateIndex: r.CreateIndex, ModifyIndex: r.ModifyIndex,
		})
	}
	return list
}

func (a *API) roots(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	asPEM := false
	if v := r.Query.Get("pem"); v != "" {
		var err error
		if asPEM, err = strconv.ParseBool(v); err != nil {
			return nil, failure.Newf(failure.BadRequest, "invalid value %q for pem: it must be true or false", v)
		}
	}
	if a.Disabled {
		return nil, errDisabled
	}
	var roots []*ca.Root
	var authority *ca.Authority
	meta, err := a.Reader.Read(ctx, r.Options, func(ws store.WatchSet, tx *store.Txn) (res query.Result, err error) {
		if authority, _, err = ca.Get(nil, tx); err != nil {
			return res, err
		}
		roots, res, err = ca.Roots(ws, tx)
		return res, err
	})
	resp := &httpapi.Response{Meta: &meta}
	if err != nil {
		return resp, err
	}
	if !asPEM {
		resp.Body = newRootList(roots, authority)
		return resp, nil
	}
	var chain strings.Builder
	for _, r := range roots {
		chain.WriteString(r.Cert)
	}
	resp.ContentType, resp.Raw = "application/pem-certificate-chain", []byte(chain.String())
	return resp, nil
}

// requireOperator fails unless the request's token may access the operator's
// things.
func (a *API) requireOperator(ctx context.Context, r *httpapi.Request, access authz.Access) error {
	if a.Disabled {
		return errDisabled
	}
	return authz.Require(ctx, a.Authz, r.Options.Token, authz.Operator, "", access)
}

// configuration is the authority's settings as the public API shows them.
type configuration struct {
	Provider                 string
	Config                   map[string]any
	State                    map[string]string // other providers keep some here
	ForceWithoutCrossSigning bool
	CreateIndex              uint64
	ModifyIndex              uint64
}

func (a *API) configuration(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	if err := a.requireOperator(ctx, r, authz.Write); err != nil {
		return nil, err
	}
	var authority *ca.Authority
	o := r.Options
	o.MinIndex = 0 // nobody blocks for settings
	_, err := a.Reader.Read(ctx, o, func(ws store.WatchSet, tx *store.Txn) (res query.Result, err error) {
		authority, res, err = ca.Get(ws, tx)
		return res, err
	})
	if err != nil {
		return nil, err
	}
	if authority == nil {
		return nil, errNoRoot
	}
	return &httpapi.Response{Body: configuration{
		Provider: ca.Provider, Config: authority.Settings.Config(), ForceWithoutCrossSigning: authority.Settings.ForceWithoutCrossSigning,
		CreateIndex: authority.CreateIndex, ModifyIndex: authority.ModifyIndex,
	}}, nil
}

func (a *API) changeConfiguration(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	if err := a.requireOperator(ctx, r, authz.Write); err != nil {
		return nil, err
	}
	var body struct {
		Provider                 string
		Config                   map[string]any
		State                    map[string]string
		ForceWithoutCrossSigning bool
		// Rotate asks for a new root though the settings need none. It is
		// ctl's own.
		Rotate bool
		// Another spelling, and what an answer has that is sent back.
		Snake                    bool `json:"force_without_cross_signing"`
		CreateIndex, ModifyIndex uint64
	}
	if err := r.DecodeBody(&body, false); err != nil {
		return nil, err
	}
	if err := ca.CheckProvider(body.Provider); err != nil {
		return nil, err
	}
	if len(body.State) > 0 {
		return nil, failure.New(failure.BadRequest, "State must not be changed: the provider keeps none")
	}
	given, err := ca.ParseConfig(body.Config)
	if err != nil {
		return nil, err
	}
	given.Settings.ForceWithoutCrossSigning = body.ForceWithoutCrossSigning || body.Snake
	return &httpapi.Response{}, a.change(ctx, given, body.Rotate)
}
