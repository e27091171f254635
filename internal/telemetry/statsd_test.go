package telemetry

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestStatsdLines(t *testing.T) {
	snap := &Snapshot{
		Gauges:   []GaugeValue{{Name: "consul.host.g", Value: 1.5}, {Name: "consul.minus", Value: -2}},
		Counters: []SampledValue{{Name: "consul.c", Sum: 3, Labels: map[string]string{"b": "x y", "a": "p:q|r"}}, {Name: "consul.still", Sum: 0}},
		Samples:  []SampledValue{{Name: "consul.s", Count: 4, Mean: 2.5}, {Name: "consul.one", Count: 1, Mean: 7}},
	}
	want := []string{"consul.host.g:1.5|g\n", "consul.minus:0|g\n", "consul.minus:-2|g\n", "consul.c.p_q_r.x_y:3|c\n", "consul.s:2.5|ms|@0.25\n", "consul.one:7|ms\n"}
	if d := cmp.Diff(want, statsdLines(snap)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestStatsdSends(t *testing.T) {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	snap := &Snapshot{}
	for i := range 200 {
		snap.Gauges = append(snap.Gauges, GaugeValue{Name: fmt.Sprintf("consul.gauge.number%03d", i), Value: float64(i)})
	}
	var said bytes.Buffer
	s := &statsd{address: server.LocalAddr().String(), log: slog.New(slog.NewTextHandler(&said, nil))}
	s.send(t.Context(), snap)
	if err := server.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	packet, lines := make([]byte, 64<<10), 0
	for lines < 200 {
		n, _, err := server.ReadFrom(packet)
		if err != nil {
			t.Fatal(err)
		}
		if n > statsdPacket || packet[n-1] != '\n' {
			t.Errorf("packet of %d bytes ends in %q", n, packet[n-1])
		}
		lines += strings.Count(string(packet[:n]), "\n")
	}
	s.address = "127.0.0.1:notaport"
	s.send(t.Context(), snap)
	s.send(t.Context(), snap)
	s.address = server.LocalAddr().String()
	s.send(t.Context(), snap)
	if bad, good := strings.Count(said.String(), "does not work"), strings.Count(said.String(), "works again"); bad != 1 || good != 1 {
		t.Errorf("said %q, want one warning and one all-clear", said.String())
	}
}
