package telemetry

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// statsdPacket keeps a datagram inside a usual MTU.
	statsdPacket = 1400
	// statsdWait bounds looking the server's name up.
	statsdWait = 2 * time.Second
)

// statsd sends every interval to one server, by UDP. Counters and gauges go as
// they are; a sample goes as its mean with the rate 1/count, so that the
// server's counts and sums come out right while its extremes do not.
type statsd struct {
	address string
	log     *slog.Logger // nil is silence
	failing bool         // and that was said
}

// send sends one interval. It opens a socket each time, so that a server that
// moved is found again.
func (s *statsd) send(ctx context.Context, snap *Snapshot) {
	err := s.try(ctx, snap)
	if s.log != nil && (err != nil) != s.failing {
		if err != nil {
			s.log.Warn("statsd_address does not work; metrics are sent again every interval", "address", s.address, "error", err)
		} else {
			s.log.Info("statsd_address works again", "address", s.address)
		}
	}
	s.failing = err != nil
}

func (s *statsd) try(ctx context.Context, snap *Snapshot) error {
	d := net.Dialer{Timeout: statsdWait}
	conn, err := d.DialContext(ctx, "udp", s.address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // nothing is buffered
	var packet []byte
	for _, line := range statsdLines(snap) {
		if len(packet) > 0 && len(packet)+len(line) > statsdPacket {
			if _, err := conn.Write(packet); err != nil {
				return err
			}
			packet = packet[:0]
		}
		packet = append(packet, line...)
	}
	if len(packet) == 0 {
		return nil
	}
	_, err = conn.Write(packet)
	return err
}

// statsdLines returns the lines of a snapshot, newlines included. Counters that
// did not move are left out.
func statsdLines(snap *Snapshot) []string {
	var lines []string
	for _, g := range snap.Gauges {
		name := statsdName(g.Name, g.Labels)
		if g.Value < 0 { // a sign means a change: start from zero
			lines = append(lines, name+":0|g\n")
		}
		lines = append(lines, name+":"+number(g.Value)+"|g\n")
	}
	for _, c := range snap.Counters {
		if c.Sum > 0 {
			lines = append(lines, statsdName(c.Name, c.Labels)+":"+number(c.Sum)+"|c\n")
		}
	}
	for _, s := range snap.Samples {
		line := statsdName(s.Name, s.Labels) + ":" + number(s.Mean) + "|ms"
		if s.Count > 1 {
			line += "|@" + number(1/float64(s.Count))
		}
		lines = append(lines, line+"\n")
	}
	return lines
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// statsdName appends the values of labels, which statsd does not have, in the
// order of their names.
func statsdName(name string, labels map[string]string) string {
	keys := make([]string, 0, len(labels))
	for k := range labels {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		name += "." + labels[k]
	}
	return strings.Map(func(r rune) rune {
		switch r {
		case ':', '|', '@', ' ', '\n', '\r', '\t':
			return '_'
		default:
			return r
		}
	}, name)
}
