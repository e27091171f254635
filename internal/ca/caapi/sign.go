package caapi

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"golang.org/x/time/rate"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/ca"
	"github.com/ctl-sh/ctl/internal/ca/issue"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/spiffe"
	"github.com/ctl-sh/ctl/internal/store"
)

// SignRequest asks for a certificate.
type SignRequest struct {
	// CSR is the certificate signing request as PEM.
	CSR string
	// Node is the name of the asking node, for an agent's own certificate.
	Node string
}

// Signed is a certificate that was made.
type Signed struct {
	// CertPEM is the leaf certificate with those behind it that lead to
	// earlier roots.
	CertPEM string
	// SerialNumber is in hexadecimal with colons.
	SerialNumber string
	// URI is the identity in it.
	URI string
	// RootID is the root that signed it.
	RootID      string
	ValidAfter  time.Time
	ValidBefore time.Time
	// CreateIndex and ModifyIndex are the log index of the signing; a later
	// certificate has higher ones.
	CreateIndex uint64
	ModifyIndex uint64
}

// errTooMany is what clients match when too many certificates are asked for.
var errTooMany = failure.New(failure.RateLimited, "Rate limit reached, try again later")

// atOnceWait is how long a request waits for others that are being signed,
// where their number is limited.
const atOnceWait = 500 * time.Millisecond

func (a *API) sign(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	var body SignRequest
	if err := json.Unmarshal(r.Body, &body); err != nil {
		return nil, failure.Newf(failure.BadRequest, "Request decode failed: %w", err)
	}
	signed, err := a.Sign(ctx, r.Options.Token, &body)
	if err != nil {
		return nil, err
	}
	return &httpapi.Response{Body: signed}, nil
}

// Sign makes a certificate for a service or a client agent of this datacenter.
// The token needs service:write on the service, or node:write on the node. It
// must be called where this server leads, and fails with NoLeader elsewhere,
// with RateLimited above the limits, with BadRequest for a request that is not
// in order and with Unavailable before there is a root.
func (a *API) Sign(ctx context.Context, token string, req *SignRequest) (*Signed, error) {
	if a.Disabled {
		return nil, errDisabled
	}
	authority, _, err := a.current()
	if err != nil {
		return nil, err
	}
	done, err := a.admit(ctx, authority.Settings)
	if err != nil {
		return nil, err
	}
	defer done()
	csr, err := issue.ParseRequest([]byte(req.CSR))
	if err != nil {
		return nil, err
	}
	switch id, domain := csr.Identity, spiffe.DomainOf(authority.ClusterID); {
	case id.TrustDomain != domain:
		return nil, failure.Newf(failure.BadRequest, "certificate signing request: its trust domain %q is not this cluster's, %q", id.TrustDomain, domain)
	case id.Datacenter != a.Datacenter:
		return nil, failure.Newf(failure.BadRequest, "certificate signing request: its datacenter %q is not this one, %q", id.Datacenter, a.Datacenter)
	}
	resource, name := authz.Node, req.Node
	if csr.Identity.Kind == spiffe.Service {
		resource, name = authz.Service, csr.Identity.Name
	}
	if err := authz.Require(ctx, a.Authz, token, resource, name, authz.Write); err != nil {
		return nil, err
	}
	for tries := 0; ; tries++ {
		signed, err := a.signOnce(ctx, csr)
		if tries < 3 && failure.Is(err, failure.Conflict) {
			continue // the root was rotated in between
		}
		return signed, err
	}
}

// signOnce takes a serial number for the active root and signs with it.
func (a *API) signOnce(ctx context.Context, req *issue.Request) (*Signed, error) {
	authority, signer, err := a.current()
	if err != nil {
		return nil, err
	}
	taken, err := a.take(ctx, signer.Root.ID)
	if err != nil {
		return nil, err
	}
	leaf, err := signer.Leaf(req, taken.Serial, time.Now(), authority.Settings.LeafTTL)
	if err != nil {
		return nil, err
	}
	a.Logger.Debug("certificate signed", "identity", req.Identity.String(), "serial", leaf.Serial, "until", leaf.NotAfter)
	return &Signed{
		CertPEM: leaf.PEM, SerialNumber: leaf.Serial, URI: req.Identity.String(), RootID: signer.Root.ID,
		ValidAfter: leaf.NotBefore, ValidBefore: leaf.NotAfter, CreateIndex: taken.Index, ModifyIndex: taken.Index,
	}, nil
}

// take takes the next serial number, for a certificate signed by root, or with
// "" for a root.
func (a *API) take(ctx context.Context, root string) (ca.Taken, error) {
	v, err := a.Applier.Apply(ctx, ca.TypeTake, &ca.Take{Root: root})
	if err != nil {
		return ca.Taken{}, err
	}
	taken, ok := v.(ca.Taken)
	if !ok {
		return ca.Taken{}, failure.Newf(failure.Internal, "taking a serial number gave a %T", v)
	}
	return taken, nil
}

// current returns the authority and what signs for it. It fails with
// Unavailable before there is a root.
func (a *API) current() (*ca.Authority, *issue.Signer, error) {
	tx, _ := a.State.Read()
	authority, _, err := ca.Get(nil, tx)
	if err != nil {
		return nil, nil, err
	}
	root, err := ca.Active(nil, tx)
	if err != nil {
		return nil, nil, err
	}
	if authority == nil || root == nil {
		return nil, nil, errNoRoot
	}
	signer, err := a.signerOf(tx, root)
	return authority, signer, err
}

// signerOf returns what signs with root, which is the active one in tx. It is
// kept for as long as the root's row stays the same.
func (a *API) signerOf(tx *store.Txn, root *ca.Root) (*issue.Signer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.signer != nil && a.signer.Root == root {
		return a.signer, nil
	}
	key, err := ca.SigningKey(tx)
	if err != nil {
		return nil, err
	}
	if key == nil || key.RootID != root.ID {
		return nil, failure.Newf(failure.Internal, "the state holds no private key of the active root %s: rotate it (ctl connect ca rotate -force-without-cross-signing)", root.ID)
	}
	signer, err := issue.NewSigner(root, key.PEM)
	if err != nil {
		return nil, fmt.Errorf("take up the signing key: %w", err)
	}
	a.signer = signer
	return signer, nil
}

// admit waits for its turn within the limits; done gives it back.
func (a *API) admit(ctx context.Context, s ca.Settings) (done func(), err error) {
	limit, slots := a.limits(s)
	if limit != nil && !limit.Allow() {
		return nil, errTooMany
	}
	if slots == nil {
		return func() {}, nil
	}
	t := time.NewTimer(atOnceWait)
	defer t.Stop()
	select {
	case slots <- struct{}{}:
		return func() { <-slots }, nil
	case <-t.C:
		return nil, errTooMany
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// limits returns the limits of the settings: the same ones until the settings
// change.
func (a *API) limits(s ca.Settings) (*rate.Limiter, chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case s.RequestsPerSecond == 0:
		a.limit = nil
	case a.limit == nil || a.limit.Limit() != rate.Limit(s.RequestsPerSecond):
		a.limit = rate.NewLimiter(rate.Limit(s.RequestsPerSecond), int(max(1, math.Ceil(s.RequestsPerSecond))))
	}
	if cap(a.atOnce) != s.RequestsAtOnce {
		a.atOnce = nil
		if s.RequestsAtOnce > 0 {
			a.atOnce = make(chan struct{}, s.RequestsAtOnce)
		}
	}
	return a.limit, a.atOnce
}
