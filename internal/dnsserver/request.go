package dnsserver

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

// request is a question as it came.
type request struct {
	id     uint16
	opcode uint8
	rd     bool
	rcode  int    // other than success if the message cannot be answered
	asked  []byte // the question section: name, type and class
	name   []byte // the name of asked, in wire form
	qtype  uint16

	edns    bool
	udpSize uint16
	do      bool
	subnet  []byte // the data of the client-subnet option, or nil
}

const headerBytes = 12

// parseRequest reads a message. It reports false for one that must not be
// answered at all: an answer, or less than a header. What it returns points
// into msg.
func parseRequest(msg []byte) (r request, ok bool) {
	if len(msg) < headerBytes || msg[2]&0x80 != 0 {
		return request{}, false
	}
	r.id = binary.BigEndian.Uint16(msg)
	r.opcode = msg[2] >> 3 & 0xf
	r.rd = msg[2]&1 != 0
	count := func(i int) int { return int(binary.BigEndian.Uint16(msg[4+2*i:])) }
	if r.opcode != dns.OpcodeQuery {
		r.rcode = dns.RcodeNotImplemented
		return r, true
	}
	r.rcode = dns.RcodeFormatError
	// More than this no question has; the numbers bound the work below.
	if count(0) != 1 || count(1) > 1 || count(2) > 1 || count(3) > 2 {
		return r, true
	}
	end, ok := r.question(msg)
	if !ok {
		return r, true
	}
	for i := range count(1) + count(2) + count(3) {
		if end, ok = r.record(msg, end, i >= count(1)+count(2)); !ok {
			return r, true
		}
	}
	if r.rcode == dns.RcodeFormatError {
		r.rcode = dns.RcodeSuccess
	}
	return r, true
}

// question reads the question section and returns where it ends.
func (r *request) question(msg []byte) (int, bool) {
	end, ok := skipName(msg, headerBytes, false)
	if !ok || end+4 > len(msg) {
		return 0, false
	}
	r.name, r.asked = msg[headerBytes:end], msg[headerBytes:end+4]
	r.qtype = binary.BigEndian.Uint16(msg[end:])
	return end + 4, true
}

// record reads one record, of which only OPT matters.
func (r *request) record(msg []byte, at int, additional bool) (int, bool) {
	start := at
	at, ok := skipName(msg, at, true)
	if !ok || at+10 > len(msg) {
		return 0, false
	}
	rtype, class := binary.BigEndian.Uint16(msg[at:]), binary.BigEndian.Uint16(msg[at+2:])
	ttl, size := binary.BigEndian.Uint32(msg[at+4:]), int(binary.BigEndian.Uint16(msg[at+8:]))
	data := at + 10
	if data+size > len(msg) {
		return 0, false
	}
	if rtype != dns.TypeOPT {
		return data + size, true
	}
	if !additional || r.edns || msg[start] != 0 {
		return 0, false
	}
	r.edns, r.udpSize, r.do = true, class, ttl&(1<<15) != 0
	if version := ttl >> 16 & 0xff; version != 0 {
		r.rcode = dns.RcodeBadVers
	}
	return data + size, r.options(msg[data : data+size])
}

// options reads the options of OPT.
func (r *request) options(b []byte) bool {
	for len(b) > 0 {
		if len(b) < 4 || int(binary.BigEndian.Uint16(b[2:])) > len(b)-4 {
			return false
		}
		code, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if code == dns.EDNS0SUBNET {
			if n < 4 || n > 4+16 {
				return false
			}
			r.subnet = b[4 : 4+n]
		}
		b = b[4+n:]
	}
	return true
}

// skipName returns where the name at the offset ends. Pointers are only
// allowed where something stands before them to point at.
func skipName(msg []byte, at int, pointers bool) (int, bool) {
	start := at
	for {
		if at >= len(msg) || at-start >= maxNameBytes {
			return 0, false
		}
		n := int(msg[at])
		switch {
		case n == 0:
			return at + 1, true
		case n >= 0xc0 && pointers:
			return at + 2, at+2 <= len(msg)
		case n > 63:
			return 0, false
		}
		at += 1 + n
	}
}
