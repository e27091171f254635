package loadgen

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestQuestionsAreWellFormed(t *testing.T) {
	t.Parallel()
	var m dns.Msg
	if err := m.Unpack(dnsQuestion("web.service.consul", typeSRV)); err != nil {
		t.Fatal(err)
	}
	q := m.Question[0]
	if len(m.Question) != 1 || q.Name != "web.service.consul." || q.Qtype != dns.TypeSRV || q.Qclass != dns.ClassINET || !m.RecursionDesired || m.Response {
		t.Errorf("question %v", m)
	}
	if o := m.IsEdns0(); o == nil || o.UDPSize() != 1232 {
		t.Errorf("EDNS %v", o)
	}
}

func TestAnswersAreChecked(t *testing.T) {
	t.Parallel()
	header := func(id, flags, answers uint16) []byte {
		m := make([]byte, 12)
		binary.BigEndian.PutUint16(m, id)
		binary.BigEndian.PutUint16(m[2:], flags)
		binary.BigEndian.PutUint16(m[6:], answers)
		return m
	}
	for _, tt := range []struct {
		name   string
		answer []byte
		good   bool
	}{
		{"what was asked for", header(7, 0x8400, 3), true},
		{"cut off", header(7, 0x8400, 3)[:11], false},
		{"to another question", header(8, 0x8400, 3), false},
		{"a question", header(7, 0x0400, 3), false},
		{"an error", header(7, 0x8403, 3), false},
		{"truncated", header(7, 0x8600, 3), false},
		{"too few records", header(7, 0x8400, 2), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := &dnsSession{answers: 3, id: 7}
			if problem := d.check(tt.answer); (problem == "") != tt.good {
				t.Errorf("problem %q", problem)
			}
		})
	}
}

// TestLoadOverUDP has a server that answers, and every fiftieth time with an
// error. It ends the load once it has answered for long enough.
func TestLoadOverUDP(t *testing.T) {
	t.Parallel()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, enough := context.WithCancel(t.Context())
	defer enough()
	var warm atomic.Bool
	var served, counted atomic.Int64
	done := make(chan struct{})
	go func() { // ends with the socket
		defer close(done)
		buf := make([]byte, 512)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			answer := append([]byte(nil), buf[:n]...)
			binary.BigEndian.PutUint16(answer[2:], 0x8400)
			binary.BigEndian.PutUint16(answer[6:], 3)
			if served.Add(1)%50 == 0 {
				answer[3] = dns.RcodeServerFailure
			}
			if _, err := pc.WriteTo(answer, from); err != nil {
				return
			}
			if warm.Load() && counted.Add(1) == 500 {
				enough()
			}
		}
	}()
	question := dnsQuestion("web.service.consul", typeA)
	r, err := Load{
		Address: pc.LocalAddr().String(), Clients: 4, Warmup: 20 * time.Millisecond, Duration: time.Hour, Dial: dialDNS(3),
		Request: func(buf []byte, _, _ int) []byte { return append(buf, question...) },
		Measure: func(bool) { warm.Store(true) },
	}.Run(ctx)
	pc.Close()
	<-done
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if r.Ops == 0 || r.Errors == 0 || r.Ops+r.Errors > int(served.Load()) || r.Problem != "response code 2" {
		t.Errorf("%+v of %d served", r, served.Load())
	}
}
