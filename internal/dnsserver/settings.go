package dnsserver

import (
	"cmp"
	"log/slog"
	"net"
	"sort"
	"strings"
	"time"
)

// Config is what a Server is made of. Domain, Datacenter and Lookup are needed.
type Config struct {
	// Packets and Listeners are where questions come from; the Server closes
	// them.
	Packets   []net.PacketConn
	Listeners []net.Listener
	// Domain and AltDomain are the zones; AltDomain may be empty.
	Domain, AltDomain string
	// Datacenter is this agent's own.
	Datacenter string
	// TranslateWAN answers with the WAN addresses of other datacenters.
	TranslateWAN bool
	// Settings are those in force at the start.
	Settings Settings
	Lookup   Lookup
	Metrics  Metrics
	Logger   *slog.Logger
	// Limits bound what clients may ask for at a time.
	Limits Limits
}

// Limits bound the work of a Server. Zero is the default.
type Limits struct {
	// Workers are the goroutines that read a packet socket. Default 4.
	Workers int
	// Waiting bounds the questions that wait for a server or a recursor at a
	// time; further ones are SERVFAIL. Default 512.
	Waiting int
	// WaitingPerSecond bounds the questions a client address may ask in a
	// second that memory cannot answer, with as many at once. Questions that
	// memory answers are not limited: they cost less than keeping count.
	// Default 1000.
	WaitingPerSecond int
	// Conns bounds the TCP connections, and ConnsPerClient those of one client
	// address. Default 1024 and 128.
	Conns, ConnsPerClient int
	// Idle is how long a TCP connection may stay without a question, Timeout
	// how long a question may take. Default 10s each.
	Idle, Timeout time.Duration
}

func (l Limits) withDefaults() Limits {
	l.Workers = cmp.Or(l.Workers, 4)
	l.Waiting = cmp.Or(l.Waiting, 512)
	l.WaitingPerSecond = cmp.Or(l.WaitingPerSecond, 1000)
	l.Conns = cmp.Or(l.Conns, 1024)
	l.ConnsPerClient = cmp.Or(l.ConnsPerClient, 128)
	l.Idle = cmp.Or(l.Idle, 10*time.Second)
	l.Timeout = cmp.Or(l.Timeout, 10*time.Second)
	return l
}

// Settings are what may change while a Server runs: dns_config and recursors.
// Their meaning is that of the keys of the same names.
type Settings struct {
	AllowStale         bool
	MaxStale           time.Duration
	NodeTTL            time.Duration
	ServiceTTL         map[string]time.Duration
	EnableTruncate     bool
	OnlyPassing        bool
	DisableCompression bool
	UDPAnswerLimit     int
	ARecordLimit       int
	NodeMetaTXT        bool
	SOA                SOA
	// Recursors are host:port each.
	Recursors       []string
	RandomRecursors bool
	RecursorTimeout time.Duration
}

// SOA are the times of the SOA record, in seconds.
type SOA struct{ Refresh, Retry, Expire, MinTTL uint32 }

// DefaultSettings are those of a configuration that sets nothing.
func DefaultSettings() Settings {
	return Settings{
		AllowStale: true, MaxStale: 87600 * time.Hour, UDPAnswerLimit: 3, NodeMetaTXT: true,
		SOA: SOA{Refresh: 3600, Retry: 600, Expire: 86400}, RecursorTimeout: 2 * time.Second,
	}
}

// rules are Settings in the form answers need them in. They are never changed.
type rules struct {
	Settings
	exact    map[string]uint32
	prefixes []prefixTTL // longest first
	nodeTTL  uint32
}

type prefixTTL struct {
	prefix string
	ttl    uint32
}

func newRules(s Settings) *rules {
	r := &rules{Settings: s, exact: map[string]uint32{}, nodeTTL: seconds(s.NodeTTL)}
	for name, ttl := range s.ServiceTTL {
		name = strings.ToLower(name)
		if prefix, ok := strings.CutSuffix(name, "*"); ok {
			r.prefixes = append(r.prefixes, prefixTTL{prefix, seconds(ttl)})
		} else {
			r.exact[name] = seconds(ttl)
		}
	}
	sort.Slice(r.prefixes, func(i, j int) bool {
		a, b := r.prefixes[i].prefix, r.prefixes[j].prefix
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) < 0
	})
	return r
}

func seconds(d time.Duration) uint32 {
	return uint32(min(max(d/time.Second, 0), 1<<31-1)) //nolint:gosec // RFC 2181, section 8
}

// serviceTTL is the TTL of answers about a service.
func (r *rules) serviceTTL(name string) uint32 {
	if ttl, ok := r.exact[name]; ok {
		return ttl
	}
	for _, p := range r.prefixes {
		if strings.HasPrefix(name, p.prefix) {
			return p.ttl
		}
	}
	return 0
}
