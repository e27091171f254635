package caapi

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/ca"
	"github.com/ctl-sh/ctl/internal/ca/issue"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/leader"
	"github.com/ctl-sh/ctl/internal/spiffe"
)

// lookEvery is how often the leader looks whether a root can go, or is about to
// end.
const lookEvery = time.Hour

// Duty returns the leader's duty: to make the first root, to drop roots that
// nobody needs any more, and to say in time that the active one ends.
func (a *API) Duty() leader.Duty {
	return leader.Duty{Name: "certificate authority", Run: a.keep}
}

func (a *API) keep(ctx context.Context) error {
	if a.Disabled {
		return nil
	}
	if err := a.begin(ctx); err != nil {
		return err
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if err := a.look(ctx, time.Now()); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// begin makes the first root of a cluster that has none.
func (a *API) begin(ctx context.Context) error {
	a.changing.Lock()
	defer a.changing.Unlock()
	if _, _, err := a.current(); !failure.Is(err, failure.Unavailable) {
		return err
	}
	clusterID := newUUID()
	if cert := a.Initial.Settings.RootCert; cert != "" {
		// A root that names a trust domain decides what this cluster is.
		if parsed, err := ca.ParseCertificate(cert); err == nil {
			if domain, err := issue.DomainOf(parsed); err == nil && domain != "" {
				clusterID = strings.TrimSuffix(domain, ".consul")
			}
		}
	}
	root, err := a.install(ctx, nil, nil, clusterID, a.Initial)
	if err != nil {
		return fmt.Errorf("make the first root certificate: %w", err)
	}
	a.Logger.Info("the certificate authority has its first root", "root", root.ID, "trust_domain", spiffe.DomainOf(clusterID))
	return nil
}

// newUUID makes a random UUID. Source: RFC 9562, version 4.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, since Go 1.24
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// install makes or takes a root with its key and makes it the active one, in
// the place of old, which is nil for the first. by, unless it is nil, signs for
// it with old's key. The lock changing is held.
func (a *API) install(ctx context.Context, old *ca.Root, by *issue.Signer, clusterID string, given ca.Given) (*ca.Root, error) {
	root, key, err := a.newRoot(ctx, clusterID, given)
	if err != nil {
		return nil, err
	}
	c := &ca.Install{Key: key, Settings: given.Settings, ClusterID: clusterID, At: time.Now().Unix()}
	if old != nil {
		c.Replaces = old.ID
		if old.ID == root.ID {
			return nil, failure.New(failure.Invalid, "RootCert is the active root already")
		}
	}
	if by != nil {
		if err := a.vouch(ctx, by, root); err != nil {
			return nil, err
		}
	}
	c.Root = *root
	_, err = a.Applier.Apply(ctx, ca.TypeInstall, c)
	return root, err
}

// maxVouched bounds the certificates sent behind every leaf: with more, a root
// that was rotated very often would make handshakes too large.
const maxVouched = 16

// vouch has the old root sign the new one's certificate, and hands on what
// vouched for the old one.
func (a *API) vouch(ctx context.Context, old *issue.Signer, root *ca.Root) error {
	now := time.Now()
	if now.Unix() >= old.Root.NotAfter {
		return failure.New(failure.Invalid, "the active root has expired and cannot sign for the new one: set ForceWithoutCrossSigning")
	}
	taken, err := a.take(ctx, "")
	if err != nil {
		return err
	}
	cross, err := old.Vouch(root, taken.Serial, now)
	if err != nil {
		return err
	}
	earlier := old.Root.Intermediates
	root.Intermediates = append([]string{cross}, earlier[:min(len(earlier), maxVouched-1)]...)
	return nil
}

// newRoot makes a root as the settings say, or takes the operator's.
func (a *API) newRoot(ctx context.Context, clusterID string, given ca.Given) (*ca.Root, string, error) {
	now, s := time.Now(), given.Settings
	if s.RootCert != "" {
		root, err := issue.TakeRoot(s.RootCert, given.PrivateKey, spiffe.DomainOf(clusterID), now)
		return root, given.PrivateKey, err
	}
	taken, err := a.take(ctx, "")
	if err != nil {
		return nil, "", err
	}
	key, text, err := issue.NewKey(s.KeyType, s.KeyBits)
	if err != nil {
		return nil, "", err
	}
	root, err := issue.NewRoot(clusterID, key, taken.Serial, now, s.RootTTL)
	return root, text, err
}

// change stores settings, with a new root where they need one or rotate asks for
// it.
func (a *API) change(ctx context.Context, given ca.Given, rotate bool) error {
	a.changing.Lock()
	defer a.changing.Unlock()
	tx, _ := a.State.Read()
	authority, _, err := ca.Get(nil, tx)
	if err != nil {
		return err
	}
	old, err := ca.Active(nil, tx)
	if err != nil {
		return err
	}
	if authority == nil || old == nil {
		return errNoRoot
	}
	s := given.Settings
	switch {
	case !rotate && !ca.Rotates(authority.Settings, s):
		_, err := a.Applier.Apply(ctx, ca.TypeChange, &ca.Change{Settings: s, Root: old.ID})
		return err
	case s.RootCert != "" && s.RootCert == authority.Settings.RootCert:
		return failure.New(failure.Invalid, "Rotate has no meaning with the RootCert that is active: give another, or none")
	case s.RootCert != "" && given.PrivateKey == "":
		return failure.New(failure.Invalid, "RootCert is given without PrivateKey, which it cannot sign without")
	}
	var by *issue.Signer
	if !s.ForceWithoutCrossSigning {
		if by, err = a.signerOf(tx, old); err != nil {
			return err
		}
	}
	root, err := a.install(ctx, old, by, authority.ClusterID, given)
	if err != nil {
		return fmt.Errorf("rotate the root certificate: %w", err)
	}
	a.Logger.Info("the root certificate was rotated", "root", root.ID, "before", old.ID, "cross_signed", by != nil)
	return nil
}

// look drops roots that nobody needs and warns of the active one's end.
func (a *API) look(ctx context.Context, now time.Time) error {
	tx, _ := a.State.Read()
	roots, _, err := ca.Roots(nil, tx)
	if err != nil {
		return err
	}
	if ids := ca.Doomed(roots, now.Unix()); len(ids) > 0 {
		if _, err := a.Applier.Apply(ctx, ca.TypePrune, &ca.Prune{IDs: ids}); err != nil {
			return err
		}
		a.Logger.Info("root certificates that nobody needs any more were dropped", "roots", ids)
	}
	for _, r := range roots {
		if r.Active {
			a.warn(r, now)
		}
	}
	return nil
}

// warnFraction is the part of a root's life in which its end is near.
const warnFraction = 10

func (a *API) warn(r *ca.Root, now time.Time) {
	left := time.Unix(r.NotAfter, 0).Sub(now)
	const do = "rotate it: ctl connect ca rotate"
	switch {
	case left <= 0:
		a.Logger.Error("the root certificate has expired and nothing can be signed", "root", r.ID, "expired", time.Unix(r.NotAfter, 0).UTC(), "do", do+" -force-without-cross-signing")
	case left < time.Duration(r.NotAfter-r.NotBefore)*time.Second/warnFraction:
		a.Logger.Warn("the root certificate expires soon", "root", r.ID, "expires", time.Unix(r.NotAfter, 0).UTC(), "do", do)
	}
}

// Expiry returns how long the active root still holds; false before there is
// one.
func (a *API) Expiry(now time.Time) (time.Duration, bool) {
	tx, _ := a.State.Read()
	root, err := ca.Active(nil, tx)
	if err != nil || root == nil {
		return 0, false
	}
	return time.Unix(root.NotAfter, 0).Sub(now), true
}
