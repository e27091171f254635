package caapi_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/ca"
	"github.com/ctl-sh/ctl/internal/ca/caapi"
	"github.com/ctl-sh/ctl/internal/ca/issue"
	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/query"
	"github.com/ctl-sh/ctl/internal/spiffe"
	"github.com/ctl-sh/ctl/internal/store"
	"github.com/ctl-sh/ctl/internal/store/storetest"
)

// single is a cluster of one without a log: what is proposed is applied.
type single struct {
	t     testing.TB
	db    *store.DB
	api   *caapi.API
	mux   *httpapi.Mux
	log   locked
	mu    sync.Mutex
	index uint64
}

func (s *single) ReadBarrier(context.Context) error { return nil }
func (s *single) Contact() (bool, time.Duration)    { return true, 0 }
func (s *single) Here(httpapi.Where, string) bool   { return true }
func (s *single) Forward(context.Context, httpapi.Where, string, *httpapi.WireRequest) (*httpapi.WireResponse, error) {
	return nil, failure.New(failure.NoLeader, failure.TextNoLeader)
}

func (s *single) Apply(_ context.Context, typ uint8, body codec.Message) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index++
	return storetest.TryApply(s.t, s.db, s.index, typ, body)
}

// only lets a token do what its name says, such as "service web"; "" may read
// nothing and write nothing.
type only struct{ allowed string }

func (only) Resolve(_ context.Context, token string) (authz.Authorizer, error) {
	return only{token}, nil
}
func (o only) Allow(r authz.Resource, name string, a authz.Access) bool {
	return a == authz.Write && o.allowed == strings.TrimSpace(string(r)+" "+name)
}
func (o only) AllowPrefix(authz.Resource, string, authz.Access) bool { return false }

// cluster returns a cluster whose leader does its duty until the test ends.
func cluster(t testing.TB, change func(*caapi.API)) *single {
	t.Helper()
	s := prepare(t, change)
	ctx, cancel := context.WithCancel(t.Context())
	var duty sync.WaitGroup
	duty.Go(func() {
		if err := s.api.Duty().Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); duty.Wait() })
	if s.api.Disabled {
		return s
	}
	for {
		tx, _ := s.db.Read()
		ws := store.WatchSet{}
		if root, err := ca.Active(ws, tx); err != nil || root != nil {
			return s
		}
		if err := ws.WatchCtx(t.Context()); err != nil {
			t.Fatal("no root is made")
		}
	}
}

func prepare(t testing.TB, change func(*caapi.API)) *single {
	t.Helper()
	s := &single{t: t, db: storetest.Open(t, ca.Module()), index: 10}
	s.api = &caapi.API{
		Reader: query.New(query.Config{DB: s.db, Freshness: s}), Applier: s, State: s.db, Authz: authz.Open{}, Datacenter: "dc1",
		Initial: ca.Given{Settings: ca.DefaultSettings()}, Logger: slog.New(slog.NewTextHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(s.api)
	}
	var err error
	if s.mux, err = httpapi.NewMux(httpapi.Config{Routes: s.api.Routes(), Dispatcher: s}); err != nil {
		t.Fatal(err)
	}
	return s
}

// locked is a log that goroutines share.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (s *single) do(method, path, body, token string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("X-Consul-Token", token)
	w := httptest.NewRecorder()
	s.mux.ServeHTTP(w, r)
	return w
}

// rootList is what tests look at of the public form.
type rootList struct {
	ActiveRootID, TrustDomain string
	Roots                     []struct {
		ID                string
		SerialNumber      uint64
		RootCert          string
		IntermediateCerts []string
		Active            bool
		PrivateKeyBits    int
	}
}

func (s *single) roots() rootList {
	s.t.Helper()
	var list rootList
	w := s.do("GET", "/v1/connect/ca/roots", "", "")
	if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || w.Code != http.StatusOK {
		s.t.Fatalf("roots: %d %s", w.Code, w.Body)
	}
	return list
}

// put changes the settings and fails the test unless that works.
func (s *single) put(body string) {
	s.t.Helper()
	if w := s.do("PUT", "/v1/connect/ca/configuration", body, ""); w.Code != http.StatusOK || w.Body.Len() > 0 {
		s.t.Fatalf("%s is answered %d %s", body, w.Code, w.Body)
	}
}

func (s *single) service(name string) spiffe.ID {
	return spiffe.ID{Kind: spiffe.Service, TrustDomain: s.roots().TrustDomain, Datacenter: "dc1", Name: name}
}

func request(t testing.TB, id spiffe.ID) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text, err := issue.NewRequest(issue.Request{Identity: id}, key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (s *single) sign(id spiffe.ID) *caapi.Signed {
	s.t.Helper()
	signed, err := s.api.Sign(s.t.Context(), "", &caapi.SignRequest{CSR: request(s.t, id)})
	if err != nil {
		s.t.Fatal(err)
	}
	return signed
}

// verify checks a signed certificate as who trusts root alone does.
func verify(t testing.TB, signed *caapi.Signed, root string) error {
	t.Helper()
	first, rest, _ := strings.Cut(signed.CertPEM, "-----END CERTIFICATE-----\n")
	leaf, err := ca.ParseCertificate(first + "-----END CERTIFICATE-----\n")
	if err != nil {
		t.Fatal(err)
	}
	o := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	o.Roots.AppendCertsFromPEM([]byte(root))
	o.Intermediates.AppendCertsFromPEM([]byte(rest))
	_, err = leaf.Verify(o)
	return err
}

func TestFirstRoot(t *testing.T) {
	s := cluster(t, nil)
	list := s.roots()
	if len(list.Roots) != 1 || list.Roots[0].ID != list.ActiveRootID || !list.Roots[0].Active || len(list.TrustDomain) != 36+len(".consul") {
		t.Fatalf("roots %+v", list)
	}
	body := s.do("GET", "/v1/connect/ca/roots", "", "").Body.String()
	for _, want := range []string{`"Name":"Consul CA Primary Cert"`, `"SerialNumber":1`, `"IntermediateCerts":null`, `"PrivateKeyType":"ec","PrivateKeyBits":256`, `"ExternalTrustDomain":"` + strings.TrimSuffix(list.TrustDomain, ".consul") + `"`} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is missing in %s", want, body)
		}
	}
	again := s.index
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.api.Duty().Run(ctx); err != nil || s.index != again {
		t.Errorf("the next leader writes %d entries, %v", s.index-again, err)
	}
}

func TestRoots(t *testing.T) {
	s := cluster(t, nil)
	root := s.roots().Roots[0].RootCert
	for _, c := range []struct {
		query  string
		status int
		want   string
		kind   string
	}{
		{"", 200, `{"ActiveRootID":"`, "application/json"},
		{"?pem=true", 200, root, "application/pem-certificate-chain"},
		{"?pem=false", 200, `{"ActiveRootID":"`, "application/json"},
		{"?pem=maybe", 400, `invalid value "maybe" for pem`, ""},
		{"?index=1", 200, `{"ActiveRootID":"`, "application/json"},
	} {
		w := s.do("GET", "/v1/connect/ca/roots"+c.query, "", "")
		if w.Code != c.status || !strings.HasPrefix(w.Body.String(), c.want) || c.kind != "" && w.Header().Get("Content-Type") != c.kind {
			t.Errorf("%s: %d %s %q", c.query, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
		if c.status == 200 && w.Header().Get("X-Consul-Index") != "12" {
			t.Errorf("%s: index %s", c.query, w.Header().Get("X-Consul-Index"))
		}
	}
}

func TestConfiguration(t *testing.T) {
	s := cluster(t, nil)
	w := s.do("GET", "/v1/connect/ca/configuration", "", "")
	const want = `{"Provider":"consul","Config":{"CSRMaxConcurrent":0,"CSRMaxPerSecond":50,"IntermediateCertTTL":"8760h","LeafCertTTL":"72h",` +
		`"PrivateKeyBits":256,"PrivateKeyType":"ec","RootCertTTL":"87600h"},"State":null,"ForceWithoutCrossSigning":false,"CreateIndex":12,"ModifyIndex":12}`
	if w.Code != 200 || w.Body.String() != want {
		t.Errorf("got %d %s, want %s", w.Code, w.Body, want)
	}
	for _, c := range []struct {
		name, body string
		status     int
		want       string
	}{
		{"an unknown provider", `{"Provider":"x"}`, 500, `could not initialize provider: unknown CA provider "x"`},
		{"a provider of others", `{"Provider":"vault"}`, 500, `the CA provider "vault" is not supported`},
		{"a life too short", `{"Provider":"consul","Config":{"LeafCertTTL":"1m"}}`, 500, "leaf cert TTL must be greater or equal than 1h"},
		{"a state", `{"Provider":"consul","State":{"a":"b"}}`, 400, "State must not be changed"},
		{"no JSON", `x`, 400, "Request decode failed"},
		{"an unknown member", `{"Provider":"consul","Confg":{}}`, 400, `Request decode failed: json: unknown field "Confg"`},
		{"no body", ``, 400, "Request decode failed"},
		{"a misspelt setting", `{"Provider":"consul","Config":{"LeafTTL":"72h"}}`, 500, "LeafTTL: unknown"},
		{"a root without a key", `{"Provider":"consul","Config":{"RootCert":"x"}}`, 500, "RootCert is given without PrivateKey"},
		{"a root that is none", `{"Provider":"consul","Config":{"RootCert":"x","PrivateKey":"y"}}`, 500, "RootCert: no PEM block"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := s.index
			w := s.do("PUT", "/v1/connect/ca/configuration", c.body, "")
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
				t.Errorf("answered %d %q, want %d %q", w.Code, w.Body, c.status, c.want)
			}
			if s.index != before {
				t.Error("something was written")
			}
		})
	}
	active := s.roots().ActiveRootID
	s.put(want) // what was read can be sent back
	s.put(`{"Provider":"consul","Config":{"LeafCertTTL":"2h"}}`)
	if s.roots().ActiveRootID != active {
		t.Error("a change of lives made a new root")
	}
	signed := s.sign(s.service("web"))
	if d := time.Until(signed.ValidBefore); d > 2*time.Hour || d < 2*time.Hour-time.Minute {
		t.Errorf("a leaf holds for %v", d)
	}
}

func TestRightsOfTheSettings(t *testing.T) {
	s := cluster(t, func(a *caapi.API) { a.Authz = only{} })
	const path = "/v1/connect/ca/configuration"
	for _, c := range []struct {
		method, token string
		status        int
	}{{"GET", "", 403}, {"GET", "operator", 200}, {"PUT", "", 403}, {"PUT", "operator", 200}} {
		if w := s.do(c.method, path, `{"Provider":"consul"}`, c.token); w.Code != c.status {
			t.Errorf("%s with %q: %d %s, want %d", c.method, c.token, w.Code, w.Body, c.status)
		}
	}
}

func TestRotation(t *testing.T) {
	s := cluster(t, nil)
	first := s.roots().Roots[0]
	old := s.sign(s.service("web"))
	s.put(`{"Provider":"consul","Config":{"PrivateKeyBits":384}}`)
	s.put(`{"Provider":"consul","Config":{"PrivateKeyBits":384},"Rotate":true}`)
	list := s.roots()
	if len(list.Roots) != 3 || list.ActiveRootID == first.ID || list.Roots[0].ID != list.ActiveRootID || len(list.Roots[0].IntermediateCerts) != 2 {
		t.Fatalf("roots %+v", list)
	}
	fresh := s.sign(s.service("web"))
	if fresh.RootID != list.ActiveRootID || old.RootID != first.ID || fresh.ModifyIndex <= old.ModifyIndex {
		t.Errorf("signed by %s at %d, before by %s at %d", fresh.RootID, fresh.ModifyIndex, old.RootID, old.ModifyIndex)
	}
	for _, r := range list.Roots {
		if err := verify(t, fresh, r.RootCert); err != nil {
			t.Errorf("who trusts %s alone: %v", r.ID, err)
		}
	}
	if err := verify(t, old, list.Roots[0].RootCert); err == nil {
		t.Error("who trusts the new root alone takes a leaf of the first")
	}
}

func TestManyRotationsDoNotMakeLeavesLarge(t *testing.T) {
	s := cluster(t, nil)
	for range 20 {
		s.put(`{"Provider":"consul","Rotate":true}`)
	}
	list := s.roots()
	signed := s.sign(s.service("web"))
	if n := strings.Count(signed.CertPEM, "BEGIN CERTIFICATE"); n != 17 {
		t.Errorf("%d certificates are sent", n)
	}
	for i, want := range map[int]bool{0: true, 16: true, 17: false} {
		if got := verify(t, signed, list.Roots[i].RootCert) == nil; got != want {
			t.Errorf("who trusts the root before %d rotations alone verifies: %v", i, got)
		}
	}
}

func TestRotationByForce(t *testing.T) {
	s := cluster(t, nil)
	before := s.roots().Roots[0].RootCert
	s.put(`{"Provider":"consul","ForceWithoutCrossSigning":true,"Rotate":true}`)
	list := s.roots()
	if len(list.Roots) != 2 || len(list.Roots[0].IntermediateCerts) != 0 {
		t.Fatalf("roots %+v", list)
	}
	if err := verify(t, s.sign(s.service("web")), before); err == nil {
		t.Error("who trusts the old root alone takes the new one")
	}
}

func TestRootOfAnOperator(t *testing.T) {
	s := cluster(t, nil)
	domain := s.roots().TrustDomain
	key, keyText, err := issue.NewKey(ca.KeyEC, 384)
	if err != nil {
		t.Fatal(err)
	}
	root, err := issue.NewRoot(strings.TrimSuffix(domain, ".consul"), key, 77, time.Now(), 90000*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	body := func(c map[string]any, extra string) string {
		b, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		return `{"Provider":"consul","Config":` + string(b) + extra + `}`
	}
	s.put(body(map[string]any{"RootCert": root.Cert, "PrivateKey": keyText}, ""))
	list := s.roots()
	if list.ActiveRootID != root.ID || list.TrustDomain != domain || list.Roots[0].SerialNumber != 77 || list.Roots[0].PrivateKeyBits != 384 {
		t.Fatalf("roots %+v", list)
	}
	if err := verify(t, s.sign(s.service("web")), root.Cert); err != nil {
		t.Error(err)
	}
	shown := s.do("GET", "/v1/connect/ca/configuration", "", "").Body.String()
	if !strings.Contains(shown, `"RootCert":"-----BEGIN`) || strings.Contains(shown, "PrivateKey\"") {
		t.Errorf("the settings show %s", shown)
	}
	// What is shown can be put back, without the key.
	s.put(body(map[string]any{"RootCert": root.Cert, "LeafCertTTL": "5h"}, ""))
	if got := s.roots().ActiveRootID; got != root.ID {
		t.Errorf("putting back what is shown made the root %s", got)
	}
	if w := s.do("PUT", "/v1/connect/ca/configuration", body(map[string]any{"RootCert": root.Cert}, `,"Rotate":true`), ""); w.Code != 500 || !strings.Contains(w.Body.String(), "Rotate has no meaning") {
		t.Errorf("rotating to the same root is answered %d %s", w.Code, w.Body)
	}
	s.put(`{"Provider":"consul"}`)
	if list := s.roots(); list.ActiveRootID == root.ID || list.Roots[0].PrivateKeyBits != 256 {
		t.Errorf("without the operator's root the roots are %+v", list)
	}
}

func TestFirstRootOfAnOperatorNamesTheCluster(t *testing.T) {
	const id = "99999999-2222-3333-4444-555555555555"
	key, text, err := issue.NewKey(ca.KeyEC, 256)
	if err != nil {
		t.Fatal(err)
	}
	root, err := issue.NewRoot(id, key, 5, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	s := cluster(t, func(a *caapi.API) { a.Initial.Settings.RootCert, a.Initial.PrivateKey = root.Cert, text })
	if list := s.roots(); list.TrustDomain != id+".consul" || list.ActiveRootID != root.ID {
		t.Errorf("roots %+v", list)
	}
}

func TestSigning(t *testing.T) {
	s := cluster(t, func(a *caapi.API) { a.Authz = only{} })
	web := s.service("web")
	node := spiffe.ID{Kind: spiffe.Agent, TrustDomain: web.TrustDomain, Datacenter: "dc1", Name: "d2b8d4bb-0f7c-4a6e-8f0e-3a3e8a0c1234"}
	elsewhere, foreign := web, web
	elsewhere.Datacenter, foreign.TrustDomain = "dc2", "x.consul"
	for _, c := range []struct {
		name, token string
		id          spiffe.ID
		kind        failure.Kind
		want        string
	}{
		{"a service, with its right", "service web", web, 0, ""},
		{"a service, with the right of another", "service db", web, failure.PermissionDenied, "service:write"},
		{"a service, with the right of a node", "node n1", web, failure.PermissionDenied, "service:write"},
		{"an agent, with its right", "node n1", node, 0, ""},
		{"an agent, with the right of another", "node n2", node, failure.PermissionDenied, "node:write"},
		{"another datacenter", "service web", elsewhere, failure.BadRequest, `its datacenter "dc2" is not this one`},
		{"another cluster", "service web", foreign, failure.BadRequest, `its trust domain "x.consul" is not`},
	} {
		t.Run(c.name, func(t *testing.T) {
			signed, err := s.api.Sign(t.Context(), c.token, &caapi.SignRequest{CSR: request(t, c.id), Node: "n1"})
			if c.want != "" {
				if !failure.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("error %v, want %q", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := verify(t, signed, s.roots().Roots[0].RootCert); err != nil || signed.URI != c.id.String() || signed.ModifyIndex != s.index {
				t.Errorf("signed %+v, %v", signed, err)
			}
		})
	}
}

func TestSigningIsForAgents(t *testing.T) {
	s := cluster(t, nil)
	b, err := json.Marshal(caapi.SignRequest{CSR: request(t, s.service("web"))})
	if err != nil {
		t.Fatal(err)
	}
	if w := s.do("PUT", caapi.SignPath, string(b), ""); w.Code != http.StatusNotFound {
		t.Errorf("a client of the HTTP API is answered %d %s", w.Code, w.Body)
	}
	resp := s.mux.ServeWire(t.Context(), &httpapi.WireRequest{Method: "PUT", Path: caapi.SignPath, Body: b, Hops: 1})
	var signed caapi.Signed
	if err := json.Unmarshal(resp.Body, &signed); err != nil || resp.Status != 200 || verify(t, &signed, s.roots().Roots[0].RootCert) != nil {
		t.Errorf("an agent is answered %d %s", resp.Status, resp.Body)
	}
	for body, status := range map[string]int{"x": 400, `{"CSR":"x"}`: 400} {
		if resp := s.mux.ServeWire(t.Context(), &httpapi.WireRequest{Method: "PUT", Path: caapi.SignPath, Body: []byte(body), Hops: 1}); resp.Status != status {
			t.Errorf("%s is answered %d %s", body, resp.Status, resp.Body)
		}
	}
}

func TestSigningIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.api.Duty().Run(ctx) }()
		synctest.Wait()
		defer func() { cancel(); <-done }()
		s.put(`{"Provider":"consul","Config":{"CSRMaxPerSecond":2}}`)
		csr := request(t, s.service("web"))
		count := func() (ok int) {
			for range 5 {
				_, err := s.api.Sign(t.Context(), "", &caapi.SignRequest{CSR: csr})
				switch {
				case err == nil:
					ok++
				case !failure.Is(err, failure.RateLimited) || err.Error() != "Rate limit reached, try again later":
					t.Error(err)
				}
			}
			return ok
		}
		if got := count(); got != 2 {
			t.Errorf("%d were signed at once, want 2", got)
		}
		time.Sleep(time.Second)
		if got := count(); got != 2 {
			t.Errorf("%d were signed a second later, want 2", got)
		}
		s.put(`{"Provider":"consul","Config":{"CSRMaxPerSecond":0}}`)
		if got := count(); got != 5 {
			t.Errorf("%d were signed without a limit, want 5", got)
		}
	})
}

func TestOldRootsGoAndTheEndIsAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.api.Duty().Run(ctx) }()
		synctest.Wait()
		defer func() { cancel(); <-done }()
		first := s.roots().ActiveRootID
		s.put(`{"Provider":"consul","Config":{"LeafCertTTL":"1h","IntermediateCertTTL":"1000h","RootCertTTL":"1000h"},"Rotate":true}`)
		time.Sleep(144 * time.Hour) // twice 72 h, which leaves of the first root hold
		synctest.Wait()
		if list := s.roots(); len(list.Roots) != 2 || list.Roots[1].ID != first || len(list.Roots[0].IntermediateCerts) != 1 {
			t.Errorf("roots %+v", list)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if list := s.roots(); len(list.Roots) != 1 || len(list.Roots[0].IntermediateCerts) != 0 {
			t.Errorf("roots %+v", list)
		}
		if left, ok := s.api.Expiry(time.Now()); !ok || left < 853*time.Hour || left > 855*time.Hour {
			t.Errorf("the root holds for %v", left)
		}
		if strings.Contains(s.log.String(), "expires soon") {
			t.Error("the end is announced too early")
		}
		time.Sleep(760 * time.Hour)
		synctest.Wait()
		if !strings.Contains(s.log.String(), "the root certificate expires soon") {
			t.Error("the end is not announced")
		}
		time.Sleep(100 * time.Hour)
		synctest.Wait()
		if !strings.Contains(s.log.String(), "has expired and nothing can be signed") {
			t.Error("the end is not told")
		}
		if w := s.do("PUT", "/v1/connect/ca/configuration", `{"Provider":"consul","Rotate":true}`, ""); w.Code != 500 || !strings.Contains(w.Body.String(), "set ForceWithoutCrossSigning") {
			t.Errorf("an expired root signs: %d %s", w.Code, w.Body)
		}
		s.put(`{"Provider":"consul","Rotate":true,"ForceWithoutCrossSigning":true}`)
		s.sign(s.service("web"))
	})
}

func TestDisabled(t *testing.T) {
	s := cluster(t, func(a *caapi.API) { a.Disabled = true })
	for method, path := range map[string]string{"GET": "roots", "PUT": "configuration"} {
		if w := s.do(method, "/v1/connect/ca/"+path, `{}`, ""); w.Code != 500 || w.Body.String() != "Connect must be enabled in order to use this endpoint" {
			t.Errorf("%s is answered %d %q", path, w.Code, w.Body)
		}
	}
	if s.index != 10 {
		t.Error("a disabled authority writes")
	}
}

func TestBeforeThereIsARoot(t *testing.T) {
	s := prepare(t, nil)
	if list := s.roots(); len(list.Roots) != 0 || list.ActiveRootID != "" || list.TrustDomain != "" {
		t.Errorf("roots %+v", list)
	}
	for method, status := range map[string]int{"GET": 500, "PUT": 503} {
		if w := s.do(method, "/v1/connect/ca/configuration", `{}`, ""); w.Code != status || !strings.Contains(w.Body.String(), "has no root yet") {
			t.Errorf("%s is answered %d %q", method, w.Code, w.Body)
		}
	}
}

// TestNoKeyGetsOut plants a key and looks for it in every answer and log line.
func TestNoKeyGetsOut(t *testing.T) {
	s := cluster(t, nil)
	key, text, err := issue.NewKey(ca.KeyEC, 256)
	if err != nil {
		t.Fatal(err)
	}
	root, err := issue.NewRoot(strings.TrimSuffix(s.roots().TrustDomain, ".consul"), key, 9, time.Now(), 90000*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	var secrets []string
	note := func() { // the keys the state holds
		tx, _ := s.db.Read()
		k, err := ca.SigningKey(tx)
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, strings.Split(strings.TrimSpace(k.PEM), "\n")[1])
	}
	note()
	var answers bytes.Buffer
	say := func(method, path, body string) { answers.Write(s.do(method, path, body, "").Body.Bytes()) }
	given := func(cert, key string) string {
		b, err := json.Marshal(map[string]any{"Provider": "consul", "Config": map[string]any{"RootCert": cert, "PrivateKey": key}})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, body := range []string{given(root.Cert, text), given(root.Cert+"x", text), given(root.Cert, text+"x"), given(text, text), given(text, root.Cert), given("x", text), given(root.Cert, "x"+text),
		`{"Provider":"consul","Config":{"PrivateKey":["` + strings.ReplaceAll(text, "\n", "") + `"]}}`, `{"Provider":"consul","Rotate":true}`} {
		say("PUT", "/v1/connect/ca/configuration", body)
		note()
		say("GET", "/v1/connect/ca/configuration", "")
		say("GET", "/v1/connect/ca/roots", "")
		say("GET", "/v1/connect/ca/roots?pem=true", "")
	}
	resp := s.mux.ServeWire(t.Context(), &httpapi.WireRequest{Method: "PUT", Path: caapi.SignPath, Body: []byte(`{"CSR":"` + strings.ReplaceAll(text, "\n", "\\n") + `"}`), Hops: 1})
	answers.Write(resp.Body)
	answers.WriteString(s.log.String())
	secrets = append(secrets, strings.Split(text, "\n")[1])
	for _, secret := range secrets {
		if len(secret) < 60 {
			t.Fatalf("%q is no line of a key", secret)
		}
		if strings.Contains(answers.String(), secret) || strings.Contains(answers.String(), "PRIVATE KEY-") {
			t.Fatalf("a key is in the answers or the log:\n%s", &answers)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	s := cluster(b, func(a *caapi.API) { a.Initial.Settings.RequestsPerSecond = 0 })
	req := &caapi.SignRequest{CSR: request(b, s.service("web"))}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.api.Sign(b.Context(), "", req); err != nil {
			b.Fatal(err)
		}
	}
}
