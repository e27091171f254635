// Package spiffe reads and writes the identities that certificates of a cluster
// carry: SPIFFE IDs of services, agents, servers and gateways.
//
// It is strict: an identity has exactly one spelling, and every other text is
// refused. It knows no certificates.
//
// Source: the SPIFFE ID standard, and the public documentation of the identities
// in Consul's certificates.
package spiffe

import (
	"net/url"
	"strings"

	"github.com/ctl-sh/ctl/internal/failure"
)

// Kind says what an ID names.
type Kind uint8

// The kinds.
const (
	// Service is a service of the catalog: /ns/default/dc/<dc>/svc/<name>.
	Service Kind = iota + 1
	// Agent is a client agent: /agent/client/dc/<dc>/id/<node id>.
	Agent
	// Server is any server of a datacenter: /agent/server/dc/<dc>.
	Server
	// MeshGateway is any mesh gateway of a datacenter: /gateway/mesh/dc/<dc>.
	MeshGateway
	// TrustDomain is the authority itself: no path.
	TrustDomain
)

// ID is what a certificate of the cluster says about its holder. The zero ID
// names nobody.
type ID struct {
	Kind Kind
	// TrustDomain is <cluster id>.consul, in lower case.
	TrustDomain string
	Datacenter  string // "" for Kind TrustDomain
	Name        string // the service or node id; "" for the other kinds
}

// Limits on the text of an identity. Source: SPIFFE ID, section 2.3.
const (
	maxURIBytes    = 2048
	maxDomainBytes = 255
)

// DomainOf returns the trust domain of a cluster.
func DomainOf(clusterID string) string { return strings.ToLower(clusterID) + ".consul" }

// String returns the identity as a SPIFFE ID. Names are percent-encoded where
// they must be. That of the zero ID is "".
func (i ID) String() string {
	dc, name := url.PathEscape(i.Datacenter), url.PathEscape(i.Name)
	base := "spiffe://" + i.TrustDomain
	switch i.Kind {
	case Service:
		return base + "/ns/default/dc/" + dc + "/svc/" + name
	case Agent:
		return base + "/agent/client/dc/" + dc + "/id/" + name
	case Server:
		return base + "/agent/server/dc/" + dc
	case MeshGateway:
		return base + "/gateway/mesh/dc/" + dc
	case TrustDomain:
		return base
	}
	return ""
}

// URI returns the identity as a URL, which prints as String.
func (i ID) URI() *url.URL {
	u := &url.URL{Scheme: "spiffe", Host: i.TrustDomain}
	_, path, _ := strings.Cut(strings.TrimPrefix(i.String(), "spiffe://"), "/")
	if path != "" {
		u.RawPath = "/" + path
		u.Path, _ = url.PathUnescape(u.RawPath)
	}
	return u
}

// Check fails as Invalid unless the identity has everything its kind needs and
// its names can stand in a certificate. A name with a slash, an asterisk or a
// control character cannot.
func (i ID) Check() error {
	if err := checkDomain(i.TrustDomain); err != nil {
		return err
	}
	switch i.Kind {
	case Service, Agent:
		if err := checkName("datacenter", i.Datacenter); err != nil {
			return err
		}
		if i.Kind == Service {
			return checkName("service", i.Name)
		}
		return checkName("node id", i.Name)
	case Server, MeshGateway:
		return checkName("datacenter", i.Datacenter)
	case TrustDomain:
		return nil
	}
	return failure.New(failure.Invalid, "identity of no kind")
}

func checkDomain(d string) error {
	if d == "" || len(d) > maxDomainBytes {
		return failure.Newf(failure.Invalid, "trust domain of %d bytes: it must have 1 to %d", len(d), maxDomainBytes)
	}
	for _, c := range []byte(d) {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_' {
			continue
		}
		return failure.Newf(failure.Invalid, "trust domain %q: %q may not stand in it", d, c)
	}
	return nil
}

func checkName(what, name string) error {
	if name == "" || name == "." || name == ".." || len(name) > 255 {
		return failure.Newf(failure.Invalid, "%s %q cannot stand in a certificate: it must have 1 to 255 bytes and be no dot", what, name)
	}
	for _, c := range []byte(name) {
		if c < 0x20 || c == 0x7f || c == '/' || c == '*' || c == '\\' {
			return failure.Newf(failure.Invalid, "%s %q cannot stand in a certificate: %q may not be in its name", what, name, c)
		}
	}
	return nil
}

// Parse reads a SPIFFE ID of one of the kinds. It is strict: only the
// one spelling that String gives is read, so that two texts never mean the same
// holder and no text means two. It fails as Invalid.
func Parse(text string) (ID, error) {
	i, err := parse(text)
	if err == nil && i.String() != text {
		err = failure.Newf(failure.Invalid, "it must be spelt %q", i.String())
	}
	if err != nil {
		return ID{}, failure.Newf(failure.Invalid, "identity %.200q: %w", text, err)
	}
	return i, nil
}

func parse(text string) (ID, error) {
	if len(text) > maxURIBytes {
		return ID{}, failure.Newf(failure.Invalid, "longer than %d bytes", maxURIBytes)
	}
	rest, ok := strings.CutPrefix(text, "spiffe://")
	if !ok {
		return ID{}, failure.New(failure.Invalid, "does not begin with spiffe://")
	}
	domain, path, hasPath := strings.Cut(rest, "/")
	i := ID{Kind: TrustDomain, TrustDomain: domain}
	if hasPath {
		var err error
		if i, err = parsePath(domain, strings.Split(path, "/")); err != nil {
			return ID{}, err
		}
	}
	return i, i.Check()
}

// parsePath reads the segments of the path, each percent-decoded once.
func parsePath(domain string, segments []string) (ID, error) {
	for n, s := range segments {
		decoded, err := url.PathUnescape(s)
		if err != nil {
			return ID{}, failure.Newf(failure.Invalid, "path: %w", err)
		}
		segments[n] = decoded
	}
	i := ID{TrustDomain: domain}
	at := func(n int, name string) bool { return len(segments) > n && segments[n] == name }
	switch {
	case len(segments) == 6 && at(0, "ns") && at(1, "default") && at(2, "dc") && at(4, "svc"):
		i.Kind, i.Datacenter, i.Name = Service, segments[3], segments[5]
	case len(segments) == 6 && at(0, "agent") && at(1, "client") && at(2, "dc") && at(4, "id"):
		i.Kind, i.Datacenter, i.Name = Agent, segments[3], segments[5]
	case len(segments) == 4 && at(0, "agent") && at(1, "server") && at(2, "dc"):
		i.Kind, i.Datacenter = Server, segments[3]
	case len(segments) == 4 && at(0, "gateway") && at(1, "mesh") && at(2, "dc"):
		i.Kind, i.Datacenter = MeshGateway, segments[3]
	default:
		return ID{}, failure.New(failure.Invalid, "the path is none of a service, agent, server or gateway")
	}
	return i, nil
}
