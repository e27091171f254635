package dnsserver

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
)

// kind is what a name asks about.
type kind uint8

const (
	kindNone kind = iota
	kindService
	kindConnect
	kindVirtual
	kindIngress
	kindNode
	kindQuery
	kindAddr
)

// subject is what a name inside a zone asks about.
type subject struct {
	kind kind
	name string // of the service, node or query; the hex digits of kindAddr
	tag  string
	dc   string // empty: the own
}

func kindOf(label []byte) kind {
	switch string(label) {
	case "service":
		return kindService
	case "connect":
		return kindConnect
	case "virtual":
		return kindVirtual
	case "ingress":
		return kindIngress
	case "node":
		return kindNode
	case "query":
		return kindQuery
	case "addr":
		return kindAddr
	}
	return kindNone
}

// parseSubject reads the labels that stand before the zone, in lower case. srv
// says that the question is of type SRV, for which a label that begins with _
// needs no "service" after it. It reports false for names that cannot exist.
func parseSubject(labels [][]byte, srv bool) (subject, bool) {
	for i := range slices.Backward(labels) {
		k := kindOf(labels[i])
		parts := labels[:i]
		if k == kindNone && srv && labels[i][0] == '_' {
			k, parts = kindService, labels[:i+1]
		}
		if k == kindNone {
			continue
		}
		s := subject{kind: k}
		if !s.locality(labels[i+1:]) || len(parts) == 0 {
			return subject{}, false
		}
		return s, s.named(parts)
	}
	return subject{}, false
}

// locality reads the labels between the kind and the zone.
func (s *subject) locality(labels [][]byte) bool {
	switch {
	case s.kind == kindAddr, len(labels) == 0: // the place of an address does not matter
		return true
	case s.kind == kindVirtual && len(labels) == 1: // the name of a peer; there are none
		return false
	case len(labels) == 1, len(labels) == 2 && s.kind != kindQuery && string(labels[1]) == "dc":
		s.dc = string(labels[0])
		return datacenterName(labels[0])
	}
	return false
}

// datacenterName reports whether a datacenter can be called so.
func datacenterName(label []byte) bool {
	for _, c := range label {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// named reads the labels before the kind.
func (s *subject) named(parts [][]byte) bool {
	last := parts[len(parts)-1]
	pair := len(parts) == 2 && parts[0][0] == '_' && last[0] == '_'
	switch s.kind {
	case kindNode:
		s.name = join(parts)
	case kindAddr:
		s.name = string(parts[len(parts)-1])
		return len(parts) == 1
	case kindQuery:
		if pair { // as in RFC 2782; the protocol does not matter
			parts = [][]byte{parts[0][1:]}
		}
		s.name = join(parts)
	case kindService:
		if pair {
			s.name = string(parts[0][1:])
			if s.tag = string(last[1:]); s.tag == "tcp" {
				s.tag = ""
			}
			return s.name != ""
		}
		s.name, s.tag = string(last), join(parts[:len(parts)-1])
	default:
		s.name = string(last)
	}
	return s.name != ""
}

func join(parts [][]byte) string {
	if len(parts) == 1 {
		return string(parts[0])
	}
	return string(bytes.Join(parts, []byte{'.'}))
}

// hexAddress reads the address in the name of kindAddr.
func hexAddress(digits string) (netip.Addr, bool) {
	raw, err := hex.DecodeString(digits)
	if err != nil || len(raw) != 4 && len(raw) != 16 {
		return netip.Addr{}, false
	}
	ip, ok := netip.AddrFromSlice(raw)
	return ip, ok
}

// reverseAddress reads the address in the labels of a reverse name, those
// before "arpa".
func reverseAddress(labels [][]byte) (netip.Addr, bool) {
	if len(labels) == 5 && string(labels[4]) == "in-addr" {
		var text []byte
		for i := 3; i >= 0; i-- {
			text = append(append(text, labels[i]...), '.')
		}
		ip, err := netip.ParseAddr(string(text[:len(text)-1]))
		return ip, err == nil && ip.Is4()
	}
	if len(labels) != 33 || string(labels[32]) != "ip6" {
		return netip.Addr{}, false
	}
	var digits strings.Builder
	for i := 31; i >= 0; i-- {
		if len(labels[i]) != 1 {
			return netip.Addr{}, false
		}
		digits.WriteByte(labels[i][0])
	}
	return hexAddress(digits.String())
}

// maxNameBytes is the length of a name on the wire, RFC 1035 section 2.3.4.
const maxNameBytes = 255

// splitLabels appends the labels of a name in wire form.
func splitLabels(to [][]byte, wire []byte) [][]byte {
	for len(wire) > 0 && wire[0] != 0 {
		n := int(wire[0])
		to = append(to, wire[1:1+n])
		wire = wire[1+n:]
	}
	return to
}

// appendLabels writes the labels of a name in text form, without the root. It
// reports false, and writes nothing, if DNS cannot carry the name.
func appendLabels(to []byte, text string) ([]byte, bool) {
	start := len(to)
	text = strings.TrimSuffix(text, ".")
	for label := range strings.SplitSeq(text, ".") {
		if len(label) == 0 || len(label) > 63 {
			return to[:start], false
		}
		to = append(append(to, byte(len(label))), label...)
	}
	return to, len(to)-start < maxNameBytes
}

// zoneWire is a configured domain in wire form, in lower case, with the root.
func zoneWire(domain string) []byte {
	wire, ok := appendLabels(nil, strings.ToLower(domain))
	if !ok {
		return nil
	}
	return append(wire, 0)
}

// lower writes ASCII letters in lower case, in place.
func lower(b []byte) {
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
}
