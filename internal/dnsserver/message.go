package dnsserver

import (
	"encoding/binary"
	"net/netip"

	"github.com/miekg/dns"
)

// nameRef is a name in a message's table; root is the empty one.
type nameRef int32

const root nameRef = -1

// name is the first labels of a name, and the name they stand before. Names
// that share their ends share them in the table, so a pointer (RFC 1035,
// section 4.1.4) needs no search.
type name struct {
	off, size int32 // in the message's arena
	parent    nameRef
	at        int32 // where it stands in the message; 0 if it does not yet
}

// record is one record to be written.
type record struct {
	owner, target nameRef
	rtype         uint16
	port, weight  uint16
	ttl           uint32
	ip            netip.Addr // A and AAAA
	text          int32      // TXT: where it stands in the arena
	textSize      int32
	of            int32 // in the additional section: the answer it belongs to
}

// message is an answer while it is put together: first what it says, as
// records, then its bytes. It is reused; nothing is allocated once it has grown.
type message struct {
	rcode         int
	authoritative bool
	recursion     bool // recursion is available
	compress      bool
	enableTC      bool
	trimmed       bool
	soa           SOA
	serial        uint32
	scope         byte // of the client's subnet

	names      []name
	arena      []byte
	answer     []record
	authority  []record
	additional []record
	out        []byte
	question   nameRef
}

func (m *message) reset() {
	*m = message{
		compress: true, names: m.names[:0], arena: m.arena[:0], answer: m.answer[:0], authority: m.authority[:0],
		additional: m.additional[:0], out: m.out[:0], question: root,
	}
}

// addName adds a name that stands in the arena from off on.
func (m *message) addName(off int, parent nameRef) nameRef {
	m.names = append(m.names, name{off: int32(off), size: int32(len(m.arena) - off), parent: parent}) //nolint:gosec // an arena is some kilobytes
	return nameRef(len(m.names) - 1)                                                                  //nolint:gosec // as above
}

// textName adds a name in text form before parent; false if DNS cannot carry it.
func (m *message) textName(text string, parent nameRef) (nameRef, bool) {
	off := len(m.arena)
	arena, ok := appendLabels(m.arena, text)
	m.arena = arena
	if !ok || len(arena)-off+m.nameSize(parent) > maxNameBytes {
		m.arena = m.arena[:off]
		return root, false
	}
	return m.addName(off, parent), true
}

// rawName adds a name in wire form, without the root.
func (m *message) rawName(wire []byte, parent nameRef) nameRef {
	off := len(m.arena)
	m.arena = append(m.arena, wire...)
	return m.addName(off, parent)
}

// nameSize is the length of a name on the wire without compression.
func (m *message) nameSize(r nameRef) int {
	n := 1
	for ; r != root; r = m.names[r].parent {
		n += int(m.names[r].size)
	}
	return n
}

// finish writes the message into at most limit bytes. What does not fit is left
// out: the authority section first, then answers from the last on with what
// belongs to them.
func (m *message) finish(req *request, limit int) []byte {
	all := len(m.answer)
	if m.write(req, all, len(m.additional), true); len(m.out) <= limit {
		return m.out
	}
	if m.write(req, all, len(m.additional), false); len(m.out) <= limit {
		return m.out
	}
	m.trimmed = true
	const smallest = 12 // bytes of any record that shares its name
	most := fitting(min(all, limit/smallest), func(k int) bool {
		m.write(req, k, len(m.additional), false)
		return len(m.out) <= limit
	})
	if most == 0 && all > 0 { // one answer is worth more than what belongs to it
		m.write(req, 1, 0, false)
		if len(m.out) <= limit {
			most = 1
		}
	}
	extra := fitting(min(len(m.additional), limit/smallest), func(k int) bool {
		m.write(req, most, k, false)
		return len(m.out) <= limit
	})
	m.write(req, most, extra, false)
	return m.out
}

// fitting returns the largest k up to n that fits, where all smaller ones do
// too; 0 fits always.
func fitting(n int, fits func(k int) bool) int {
	low := 0
	for low < n {
		if mid := (low + n + 1) / 2; fits(mid) {
			low = mid
		} else {
			n = mid - 1
		}
	}
	return low
}

// write writes the message with so many answers, and of the first additional
// records those that belong to them.
func (m *message) write(req *request, answers, additional int, authority bool) {
	for i := range m.names {
		m.names[i].at = 0
	}
	m.header(req)
	if m.question != root {
		m.names[m.question].at = headerBytes
		if parent := m.names[m.question].parent; parent != root {
			m.names[parent].at = headerBytes + m.names[m.question].size
		}
	}
	for i := range m.answer[:answers] {
		m.record(&m.answer[i])
	}
	m.count(6, answers)
	if authority {
		for i := range m.authority {
			m.record(&m.authority[i])
		}
		m.count(8, len(m.authority))
	}
	n := 0
	for i := range m.additional[:additional] {
		if r := &m.additional[i]; int(r.of) < max(answers, 1) {
			m.record(r)
			n++
		}
	}
	if req.edns {
		m.opt(req)
		n++
	}
	m.count(10, n)
}

func (m *message) count(at, n int) { binary.BigEndian.PutUint16(m.out[at:], uint16(n)) } //nolint:gosec // bounded by the size of a message

// header writes the header and the question.
func (m *message) header(req *request) {
	flags := uint16(1)<<15 | uint16(req.opcode)<<11 | uint16(m.rcode&0xf) //nolint:gosec // four bits
	if m.authoritative {
		flags |= 1 << 10
	}
	if m.trimmed && m.enableTC {
		flags |= 1 << 9
	}
	if req.rd {
		flags |= 1 << 8
	}
	if m.recursion {
		flags |= 1 << 7
	}
	m.out = binary.BigEndian.AppendUint16(m.out[:0], req.id)
	m.out = binary.BigEndian.AppendUint16(m.out, flags)
	m.out = append(m.out, 0, 0, 0, 0, 0, 0, 0, 0)
	if len(req.asked) > 0 {
		m.count(4, 1)
		m.out = append(m.out, req.asked...)
	}
}

// opt writes the OPT record, RFC 6891. The client's subnet is given back with
// the scope the answer is good for, RFC 7871.
func (m *message) opt(req *request) {
	m.out = append(m.out, 0)
	m.out = binary.BigEndian.AppendUint16(m.out, dns.TypeOPT)
	m.out = binary.BigEndian.AppendUint16(m.out, req.udpSize)
	ttl := uint32(m.rcode>>4) << 24 //nolint:gosec // eight bits
	if req.do {
		ttl |= 1 << 15
	}
	m.out = binary.BigEndian.AppendUint32(m.out, ttl)
	if req.subnet == nil {
		m.out = append(m.out, 0, 0)
		return
	}
	n := uint16(len(req.subnet)) //nolint:gosec // at most 20
	m.out = binary.BigEndian.AppendUint16(m.out, n+4)
	m.out = binary.BigEndian.AppendUint16(m.out, dns.EDNS0SUBNET)
	m.out = binary.BigEndian.AppendUint16(m.out, n)
	m.out = append(m.out, req.subnet...)
	m.out[len(m.out)-int(n)+3] = m.scope
}

// record writes one record.
func (m *message) record(r *record) {
	m.name(r.owner, true)
	m.out = binary.BigEndian.AppendUint16(m.out, r.rtype)
	m.out = binary.BigEndian.AppendUint16(m.out, dns.ClassINET)
	m.out = binary.BigEndian.AppendUint32(m.out, r.ttl)
	at := len(m.out)
	m.out = append(m.out, 0, 0)
	switch r.rtype {
	case dns.TypeA:
		ip := r.ip.As4()
		m.out = append(m.out, ip[:]...)
	case dns.TypeAAAA:
		ip := r.ip.As16()
		m.out = append(m.out, ip[:]...)
	case dns.TypeSRV:
		m.out = binary.BigEndian.AppendUint16(m.out, 1)
		m.out = binary.BigEndian.AppendUint16(m.out, r.weight)
		m.out = binary.BigEndian.AppendUint16(m.out, r.port)
		m.name(r.target, false) // RFC 2782: the target is not compressed
	case dns.TypeTXT:
		m.text(m.arena[r.text : r.text+r.textSize])
	case dns.TypeSOA:
		m.soaData()
	default: // CNAME, NS, PTR
		m.name(r.target, true)
	}
	binary.BigEndian.PutUint16(m.out[at:], uint16(len(m.out)-at-2)) //nolint:gosec // a record is some kilobytes
}

// name writes a name, ending in a pointer where its end stands in the message
// already.
func (m *message) name(r nameRef, pointer bool) {
	for r != root {
		n := &m.names[r]
		if n.at != 0 && pointer && m.compress {
			m.out = binary.BigEndian.AppendUint16(m.out, 0xc000|uint16(n.at)) //nolint:gosec // below 1<<14
			return
		}
		if n.at == 0 && len(m.out) < 1<<14 && n.size > 0 {
			n.at = int32(len(m.out)) //nolint:gosec // as above
		}
		m.out = append(m.out, m.arena[n.off:n.off+n.size]...)
		r = n.parent
	}
	m.out = append(m.out, 0)
}

// text writes the data of a TXT record in strings of at most 255 bytes.
func (m *message) text(b []byte) {
	for {
		n := min(len(b), 255)
		m.out = append(append(m.out, byte(n)), b[:n]...)
		if b = b[n:]; len(b) == 0 {
			return
		}
	}
}

func (m *message) soaData() {
	zone := m.zone()
	m.soaName("ns", zone)
	m.soaName("hostmaster", zone)
	for _, v := range [...]uint32{m.serial, m.soa.Refresh, m.soa.Retry, m.soa.Expire, m.soa.MinTTL} {
		m.out = binary.BigEndian.AppendUint32(m.out, v)
	}
}

// soaName writes a name of one label before the zone.
func (m *message) soaName(label string, zone nameRef) {
	m.out = append(append(m.out, byte(len(label))), label...)
	m.name(zone, true)
}

// zone is the zone the answer speaks for: always the first name.
func (m *message) zone() nameRef { return 0 }
