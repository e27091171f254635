package loadgen

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"time"
)

// Types of DNS questions. Source: RFC 1035, RFC 2782.
const (
	typeA   = 1
	typeSRV = 33
)

// dnsSession asks over one UDP socket. An answer that does not come within a
// second is a problem, and its socket is not used again.
type dnsSession struct {
	nc      net.Conn
	answers uint16 // a good answer has so many records
	id      uint16
	buf     [4096]byte
}

func dialDNS(answers int) func(string, time.Time) (session, error) {
	return func(address string, _ time.Time) (session, error) {
		nc, err := net.Dial("udp", address)
		if err != nil {
			return nil, err
		}
		return &dnsSession{nc: nc, answers: uint16(answers)}, nil //nolint:gosec // a few
	}
}

func (d *dnsSession) shut() { d.nc.Close() }

func (d *dnsSession) try(request []byte) (problem string, end bool) {
	d.id++
	binary.BigEndian.PutUint16(request, d.id)
	if err := d.nc.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return err.Error(), true
	}
	if _, err := d.nc.Write(request); err != nil {
		return err.Error(), true
	}
	n, err := d.nc.Read(d.buf[:])
	if err != nil {
		return err.Error(), true
	}
	return d.check(d.buf[:n]), false
}

// check returns what is wrong with an answer: it must belong to the question, be
// whole, without an error and have the records expected. Source: RFC 1035,
// section 4.1.1.
func (d *dnsSession) check(m []byte) string {
	const response, truncated, rcode = 0x8000, 0x0200, 0x000f
	if len(m) < 12 {
		return fmt.Sprintf("an answer of %d bytes", len(m))
	}
	flags := binary.BigEndian.Uint16(m[2:])
	switch got := binary.BigEndian.Uint16(m[6:]); {
	case binary.BigEndian.Uint16(m) != d.id || flags&response == 0:
		return "an answer to another question"
	case flags&rcode != 0:
		return fmt.Sprintf("response code %d", flags&rcode)
	case flags&truncated != 0:
		return "a truncated answer"
	case got != d.answers:
		return fmt.Sprintf("%d records, want %d", got, d.answers)
	}
	return ""
}

// dnsQuestion returns a question with EDNS for 1,232 bytes, as resolvers ask.
// Source: RFC 1035, section 4; RFC 6891, section 6.1.
func dnsQuestion(name string, qtype uint16) []byte {
	m := []byte{0, 0, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 1}
	for label := range strings.SplitSeq(name, ".") {
		m = append(m, byte(len(label)))
		m = append(m, label...)
	}
	m = append(m, 0)
	m = binary.BigEndian.AppendUint16(m, qtype)
	m = append(m, 0, 1)
	return append(m, 0, 0, 41, 1232>>8, 1232&0xff, 0, 0, 0, 0, 0, 0)
}

func questions(ctx context.Context, c Config) ([]Measurement, error) {
	const count = 3
	a, leader, _, err := c.discovering(ctx, "dns", 200)
	if err != nil {
		return nil, err
	}
	defer a.close()
	if err := instances(a.procs[leader].Spec.HTTPAddr(), "web", count); err != nil {
		return nil, err
	}
	var out []Measurement
	for _, k := range []struct {
		name  string
		agent int
		qtype uint16
	}{
		{"A at the leader", leader, typeA},
		{"SRV at the leader", leader, typeSRV},
		{"A at a client agent", a.servers, typeA},
		{"SRV at a client agent", a.servers, typeSRV},
	} {
		question := dnsQuestion("web.service.consul", k.qtype)
		at := net.JoinHostPort(a.procs[k.agent].Spec.Bind, "8600")
		for _, clients := range c.few() {
			m, err := a.loop(ctx, c, Load{Address: at, Clients: clients, Dial: dialDNS(count), Request: func(buf []byte, _, _ int) []byte { return append(buf, question...) }})
			if err != nil {
				return out, err
			}
			m.Scenario, m.Case = "dns: a service of 3 instances over UDP, three servers and a client agent", k.name
			c.say(m)
			out = append(out, m)
		}
	}
	return out, nil
}
