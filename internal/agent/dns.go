package agent

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/ctl-sh/ctl/internal/config"
	"github.com/ctl-sh/ctl/internal/dnsserver"
	"github.com/ctl-sh/ctl/internal/logging"
	"github.com/ctl-sh/ctl/internal/telemetry"
)

// newDNS opens the DNS ports, over UDP and TCP, and prepares what answers there.
func (a *Agent) newDNS(rt *config.Runtime) (err error) {
	c := dnsserver.Config{
		Domain: rt.Domain, AltDomain: rt.AltDomain, Datacenter: rt.Datacenter,
		Settings: dnsSettings(rt), Logger: a.log.With(logging.KeyComponent, "agent.dns"),
		Metrics: dnsserver.Metrics{
			Domain: a.metrics.Sample("dns.domain_query"), Reverse: a.metrics.Sample("dns.ptr_query"),
			ByType: func(qtype string) dnsserver.Counter {
				return a.metrics.Counter("dns.query", telemetry.Label{Name: "type", Value: qtype})
			},
		},
	}
	defer func() {
		if err == nil {
			return
		}
		closeAll(c.Listeners)
		for _, p := range c.Packets {
			_ = p.Close() // nothing was read from it
		}
	}()
	for _, l := range rt.DNS {
		stream, err := listen(l, "ports.dns")
		if err != nil {
			return err
		}
		c.Listeners = append(c.Listeners, stream)
		packets, err := net.ListenPacket("udp", l.Address)
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("address %s is in use by another process over UDP; stop it, or change ports.dns: %w", l.Address, err)
		}
		if err != nil {
			return fmt.Errorf("listen on %s over UDP (ports.dns): %w", l.Address, err)
		}
		c.Packets = append(c.Packets, packets)
	}
	c.Lookup = a.views
	a.dns, err = dnsserver.New(c)
	return err
}

// dnsSettings are the settings that a reload may change.
func dnsSettings(rt *config.Runtime) dnsserver.Settings {
	d := rt.Config.DNS
	s := dnsserver.Settings{
		AllowStale: d.AllowStale, MaxStale: d.MaxStale, NodeTTL: d.NodeTTL,
		EnableTruncate: d.EnableTruncate, OnlyPassing: d.OnlyPassing, DisableCompression: d.DisableCompression,
		UDPAnswerLimit: d.UDPAnswerLimit, ARecordLimit: d.ARecordLimit, NodeMetaTXT: d.EnableAdditionalNodeMetaTXT,
		Recursors: rt.Recursors, RandomRecursors: d.RecursorStrategy == "random", RecursorTimeout: d.RecursorTimeout,
		SOA: dnsserver.SOA{Refresh: uint32(d.SOA.Refresh), Retry: uint32(d.SOA.Retry), Expire: uint32(d.SOA.Expire), MinTTL: uint32(d.SOA.MinTTL)},
	}
	s.ServiceTTL, _ = d.TTLs() // loading has refused those that do not parse
	return s
}
