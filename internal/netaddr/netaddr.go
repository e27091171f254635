// Package netaddr turns the address settings of an agent into addresses: it
// expands go-sockaddr templates, splits lists, and finds this machine's own
// address when none was configured.
//
// It is not for host names (those are resolved when something is dialled) and
// opens no socket. Rules that keep it right: what depends on the machine goes
// through Host, so tests never see real interfaces; a text without "{{" never
// looks at an interface; an ambiguous machine is an error that names the
// candidates, never a guess. The texts about private and public addresses are
// the ones operators of Consul know.
package netaddr

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// ErrNone is wrapped by the errors of One and Detect that found no address.
var ErrNone = errors.New("no address")

// ErrMultiple is wrapped by the errors of One and Detect that found several.
var ErrMultiple = errors.New("multiple addresses found")

// Host is what this package asks of the machine. System is the real one.
type Host interface {
	// Expand evaluates a go-sockaddr template.
	Expand(template string) (string, error)
	// PrivateIPv4 lists the private (RFC 1918 and RFC 6598) IPv4 addresses
	// of the machine's interfaces, without duplicates.
	PrivateIPv4() ([]netip.Addr, error)
	// PublicIPv6 lists the global unicast IPv6 addresses of the machine's
	// interfaces that are not unique-local, without duplicates.
	PublicIPv6() ([]netip.Addr, error)
}

// Expand returns text with its template evaluated by h. A text without "{{" is
// returned unchanged and h is not asked.
func Expand(h Host, text string) (string, error) {
	if !strings.Contains(text, "{{") {
		return text, nil
	}
	out, err := h.Expand(text)
	if err != nil {
		return "", fmt.Errorf("address template %q: %w", text, err)
	}
	return strings.TrimSpace(out), nil
}

// One expands text, which must name exactly one IP address. It fails with
// ErrNone when the text is or expands to nothing, and with ErrMultiple when it
// names several.
func One(h Host, text string) (netip.Addr, error) {
	out, err := Expand(h, text)
	if err != nil {
		return netip.Addr{}, err
	}
	fields := strings.Fields(out)
	switch {
	case len(fields) == 0:
		return netip.Addr{}, fmt.Errorf("%q names no address: %w", text, ErrNone)
	case len(fields) > 1:
		return netip.Addr{}, fmt.Errorf("%q names %s: %w", text, strings.Join(fields, " and "), ErrMultiple)
	case isUnix(fields[0]):
		return netip.Addr{}, fmt.Errorf("%q is a unix socket: an IP address is needed", fields[0])
	}
	return parse(fields[0])
}

// Endpoint is one address a client listener may have: an IP address, or the
// path of a unix socket. Exactly one of the two is set.
type Endpoint struct {
	IP   netip.Addr
	Unix string
}

// Many expands text, a list separated by spaces of IP addresses and unix://
// paths, in order and without duplicates. Nothing in, or a template that finds
// nothing, is an empty list and no error. Paths of unix sockets are left alone:
// a text that begins with unix:// and has no other such element is one path
// even if it contains spaces.
func Many(h Host, text string) ([]Endpoint, error) {
	out, err := Expand(h, text)
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(out)
	if isUnix(strings.TrimSpace(out)) && strings.Count(out, "unix://") == 1 && !laterIP(fields) {
		fields = []string{strings.TrimSpace(out)}
	}
	var list []Endpoint
	seen := map[Endpoint]bool{}
	for _, f := range fields {
		var e Endpoint
		if isUnix(f) {
			if e.Unix = strings.TrimPrefix(f, "unix://"); e.Unix == "" {
				return nil, fmt.Errorf("%q names no path: write unix:///path/to/socket", f)
			}
		} else if e.IP, err = parse(f); err != nil {
			return nil, err
		}
		if !seen[e] {
			seen[e] = true
			list = append(list, e)
		}
	}
	return list, nil
}

// laterIP reports whether a list that begins with a unix path goes on with
// addresses.
func laterIP(fields []string) bool {
	for _, f := range fields[1:] {
		if _, err := parse(f); err == nil {
			return true
		}
	}
	return false
}

// Detect finds the address others can reach this machine by when it binds to
// the wildcard address bind: the only private IPv4 address for 0.0.0.0, the
// only public IPv6 address for [::]. It fails with ErrNone or ErrMultiple when
// there is not exactly one.
func Detect(h Host, bind netip.Addr) (netip.Addr, error) {
	kind, list, err := "private IPv4", []netip.Addr(nil), error(nil)
	if bind.Is4() {
		list, err = h.PrivateIPv4()
	} else {
		kind = "public IPv6"
		list, err = h.PublicIPv6()
	}
	switch {
	case err != nil:
		return netip.Addr{}, fmt.Errorf("list the addresses of this machine: %w", err)
	case len(list) == 0:
		return netip.Addr{}, detectError{text: fmt.Sprintf("No %s address found. Please configure one with 'bind' and/or 'advertise'.", kind), kind: ErrNone}
	case len(list) > 1:
		return netip.Addr{}, detectError{text: fmt.Sprintf("Multiple %s addresses found. Please configure one with 'bind' and/or 'advertise'. Found: %s.", kind, join(list)), kind: ErrMultiple}
	}
	return list[0], nil
}

// detectError carries a text of its own and still answers errors.Is.
type detectError struct {
	text string
	kind error
}

func (e detectError) Error() string { return e.text }
func (e detectError) Unwrap() error { return e.kind }

// Overlap reports whether listeners on a and b with the same port would be in
// each other's way: the addresses are equal, or one is a wildcard that covers
// the other. [::] covers IPv4 too, as a dual-stack socket does.
func Overlap(a, b netip.Addr) bool {
	covers := func(w, x netip.Addr) bool {
		return w.IsUnspecified() && (w.Is6() || x.Is4())
	}
	return a == b || covers(a, b) || covers(b, a)
}

func parse(text string) (netip.Addr, error) {
	bare := text
	if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		bare = text[1 : len(text)-1]
	}
	ip, err := netip.ParseAddr(bare)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%q is not an IP address", text)
	}
	return ip.Unmap(), nil
}

func isUnix(text string) bool { return strings.HasPrefix(text, "unix://") }

func join(list []netip.Addr) string {
	texts := make([]string, len(list))
	for i, a := range list {
		texts[i] = a.String()
	}
	return strings.Join(texts, ", ")
}
