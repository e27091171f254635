package config

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/ctl-sh/ctl/internal/netaddr"
)

// Machine is what Resolve asks of the machine.
type Machine struct {
	Addresses netaddr.Host
	Hostname  func() (string, error) // os.Hostname
	DataHome  func() (string, error) // directory of the data directories nobody named
}

// ThisMachine is the machine this process runs on.
func ThisMachine() Machine {
	return Machine{Addresses: netaddr.System{}, Hostname: os.Hostname, DataHome: dataHome}
}

// dataHome is where agents without a data_dir keep theirs.
func dataHome() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/lib/ctl", nil
	}
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "ctl"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, ".local", "share", "ctl"), nil
}

// Runtime is a configuration resolved to this machine: names and addresses are
// concrete and every listener has its place. Nothing in it changes after
// Resolve returned.
type Runtime struct {
	*Config

	// NodeName is the configured name, or the host name. It hides
	// Config.NodeName, which may be empty.
	NodeName string
	// Expect is the number of servers a new cluster begins with: 1 for
	// bootstrap and -dev, bootstrap_expect, or 0 if this agent never begins one.
	Expect int
	// RPC is the port of consensus and of requests between agents. A client
	// does not listen on it.
	RPC Endpoint
	// SerfLAN is gossip inside the datacenter.
	SerfLAN Endpoint
	// SerfWAN is gossip between datacenters; not valid on a client and where it
	// is off.
	SerfWAN Endpoint
	// HTTP, HTTPS and DNS are the client listeners, in order; empty if they are
	// off.
	HTTP, HTTPS, DNS []Listener
	// TaggedAddresses are the node's addresses by name, with lan and wan.
	TaggedAddresses map[string]string
	// RetryJoin and RetryJoinWAN are the addresses to join, templates expanded.
	// They may be names, with or without a port.
	RetryJoin, RetryJoinWAN []string
	// Recursors are the DNS servers for names of other domains, as host:port.
	// They hide Config.Recursors, which has what was written.
	Recursors []string
}

// Endpoint is where a port listens and where others reach it.
type Endpoint struct{ Bind, Advertise netip.AddrPort }

// IsValid reports whether the endpoint exists.
func (e Endpoint) IsValid() bool { return e.Bind.IsValid() }

// Listener is one address to listen on, as net.Listen takes it.
type Listener struct {
	Network string // tcp or unix
	Address string // host:port, or the path of the socket
}

// Resolve finds the addresses of every listener: templates are expanded, and
// what is not configured is detected. It fails, with Problems, where an address
// is missing, ambiguous or used twice. It opens no socket; it looks at the
// interfaces of the machine only where a template or detection needs it.
func (c *Config) Resolve(m Machine) (*Runtime, []Warning, error) {
	out := &findings{}
	r := resolver{validator: validator{c, out}, host: m.Addresses, rt: &Runtime{Config: c, NodeName: c.NodeName}}
	r.name(m.Hostname)
	r.dataDir(m.DataHome)
	r.expect()
	r.cluster()
	r.clients()
	r.joins()
	r.recursors()
	r.collisions()
	if err := out.err(); err != nil {
		return nil, out.warnings, err
	}
	return r.rt, out.warnings, nil
}

type resolver struct {
	validator
	host netaddr.Host
	rt   *Runtime
	used []taken
}

// taken is an address some listener takes, for the search for collisions.
type taken struct {
	name, key string
	at        netip.AddrPort
}

// dataDir gives an agent that names no data_dir one of its own, so that the
// short command lines of containers and try-outs work.
func (r *resolver) dataDir(home func() (string, error)) {
	if r.rt.DataDir != "" || r.rt.DevMode || r.rt.NodeName == "" {
		return
	}
	dir, err := home()
	if err != nil {
		r.fail([]string{"data_dir"}, "set data_dir (or -data-dir) to a directory this user may write, or use -dev", "data_dir is not set and this user has no home: %s", err.Error())
		return
	}
	c := *r.rt.Config
	c.DataDir = filepath.Join(dir, filepath.Base(r.rt.NodeName))
	r.rt.Config = &c
	r.warn("data_dir", "data_dir is not set: this agent keeps its data in %s", c.DataDir)
}

func (r *resolver) name(hostname func() (string, error)) {
	if r.rt.NodeName != "" {
		return
	}
	name, err := hostname()
	switch {
	case err != nil:
		r.fail([]string{"node_name"}, "set node_name", "the host name cannot be read: %s", err.Error())
	case strings.TrimSpace(name) == "":
		r.fail([]string{"node_name"}, "set node_name", "the host has no name")
	default:
		r.rt.NodeName = name
		r.nodeName(name)
	}
}

func (r *resolver) expect() {
	switch {
	case r.c.DevMode || r.c.Bootstrap:
		r.rt.Expect = 1
	case r.c.Server:
		r.rt.Expect = r.c.BootstrapExpect
	}
}

// address resolves one address setting; an empty one is otherwise.
func (r *resolver) address(key, text string, otherwise netip.Addr) netip.Addr {
	if strings.TrimSpace(text) == "" {
		return otherwise
	}
	ip, err := netaddr.One(r.host, text)
	if err != nil {
		r.fail([]string{key}, "give one IP address or a template that yields one", "%s", err.Error())
	}
	return ip
}

// cluster resolves the addresses agents talk to each other on.
func (r *resolver) cluster() {
	c := r.c
	if strings.TrimSpace(c.BindAddr) == "" {
		r.fail([]string{"bind_addr"}, "remove it to listen on every address, or give one", "bind_addr cannot be empty")
		return
	}
	bind := r.address("bind_addr", c.BindAddr, netip.Addr{})
	if !bind.IsValid() {
		return
	}
	lan := r.advertise(bind)
	wan := r.checkAdvertise("advertise_addr_wan", r.address("advertise_addr_wan", c.AdvertiseAddrWAN, lan))
	serfLAN, serfWAN := r.address("serf_lan", c.SerfLAN, bind), r.address("serf_wan", c.SerfWAN, bind)
	r.rt.TaggedAddresses = r.tagged(lan, wan)
	r.rt.SerfLAN = r.endpoint("Serf Advertised LAN", "ports.serf_lan", c.Ports.SerfLAN, serfLAN, lan)
	if c.Server {
		r.rt.RPC = r.endpoint("RPC", "ports.server", c.Ports.Server, bind, lan)
		if c.Ports.SerfWAN > 0 {
			r.rt.SerfWAN = r.endpoint("Serf Advertised WAN", "ports.serf_wan", c.Ports.SerfWAN, serfWAN, wan)
		}
	}
}

// advertise is the address others reach this node by: the configured one, the
// bind address, or, for a wildcard, the one the machine has.
func (r *resolver) advertise(bind netip.Addr) netip.Addr {
	if strings.TrimSpace(r.c.AdvertiseAddr) != "" {
		return r.checkAdvertise("advertise_addr", r.address("advertise_addr", r.c.AdvertiseAddr, netip.Addr{}))
	}
	for _, f := range []struct{ key, text string }{{"advertise_addr_ipv4", r.c.AdvertiseAddrIPv4}, {"advertise_addr_ipv6", r.c.AdvertiseAddrIPv6}} {
		if bind.IsUnspecified() && strings.TrimSpace(f.text) != "" {
			return r.checkAdvertise(f.key, r.address(f.key, f.text, netip.Addr{}))
		}
	}
	if !bind.IsUnspecified() {
		return bind
	}
	ip, err := netaddr.Detect(r.host, bind)
	if err != nil {
		r.fail([]string{"advertise_addr"}, `for example -bind '{{ GetInterfaceIP "eth0" }}'`, "%s", err.Error())
	}
	return ip
}

func (r *resolver) checkAdvertise(key string, ip netip.Addr) netip.Addr {
	if ip.IsValid() && ip.IsUnspecified() {
		r.fail([]string{key}, "give an address others can reach", "Advertise address cannot be 0.0.0.0, :: or [::]")
		return netip.Addr{}
	}
	return ip
}

// tagged are the node's addresses by name: those derived here, overlaid by the
// configured ones.
func (r *resolver) tagged(lan, wan netip.Addr) map[string]string {
	c := r.c
	tags := map[string]string{}
	add := func(name string, ip netip.Addr) {
		if ip.IsValid() {
			tags[name] = ip.String()
		}
	}
	family := func(ip netip.Addr, is4 bool) netip.Addr {
		if ip.IsValid() && ip.Is4() == is4 {
			return ip
		}
		return netip.Addr{}
	}
	add("lan", lan)
	add("wan", wan)
	add("lan_ipv4", r.address("advertise_addr_ipv4", c.AdvertiseAddrIPv4, family(lan, true)))
	add("lan_ipv6", r.address("advertise_addr_ipv6", c.AdvertiseAddrIPv6, family(lan, false)))
	add("wan_ipv4", r.address("advertise_addr_wan_ipv4", c.AdvertiseAddrWANIPv4, family(wan, true)))
	add("wan_ipv6", r.address("advertise_addr_wan_ipv6", c.AdvertiseAddrWANIPv6, family(wan, false)))
	maps.Copy(tags, c.TaggedAddresses)
	return tags
}

func (r *resolver) endpoint(name, key string, port int, bind, advertise netip.Addr) Endpoint {
	if !bind.IsValid() || !advertise.IsValid() {
		return Endpoint{}
	}
	p := uint16(port) //nolint:gosec // validate allows 1 to 65535
	e := Endpoint{netip.AddrPortFrom(bind, p), netip.AddrPortFrom(advertise, p)}
	r.used = append(r.used, taken{name, key, e.Bind})
	return e
}

// clients resolves the listeners for clients.
func (r *resolver) clients() {
	c := r.c
	common, err := netaddr.Many(r.host, c.ClientAddr)
	if err != nil {
		r.fail([]string{"client_addr"}, "give IP addresses or a template, separated by spaces", "%s", err.Error())
	} else if len(common) == 0 {
		r.warn("client_addr", "client_addr is empty, client services (DNS, HTTP, HTTPS, GRPC) will not be listening for connections")
	}
	r.rt.DNS = r.listeners("DNS", "addresses.dns", "ports.dns", c.Addresses.DNS, c.Ports.DNS, common)
	r.rt.HTTP = r.listeners("HTTP", "addresses.http", "ports.http", c.Addresses.HTTP, c.Ports.HTTP, common)
	if c.Ports.HTTPS > 0 || strings.TrimSpace(c.Addresses.HTTPS) != "" {
		r.rt.HTTPS = r.listeners("HTTPS", "addresses.https", "ports.https", c.Addresses.HTTPS, c.Ports.HTTPS, common)
	}
}

func (r *resolver) listeners(name, key, portKey, text string, port int, common []netaddr.Endpoint) []Listener {
	list := common
	if strings.TrimSpace(text) != "" {
		var err error
		if list, err = netaddr.Many(r.host, text); err != nil {
			r.fail([]string{key}, "give IP addresses, templates or unix:// paths, separated by spaces", "%s", err.Error())
		}
	} else {
		key = "client_addr"
	}
	var out []Listener
	for _, e := range list {
		switch {
		case e.Unix != "" && name == "DNS":
			if key != "client_addr" {
				r.fail([]string{key}, "give IP addresses", "%s address cannot be a unix socket", name)
			}
		case e.Unix != "" && name == "HTTPS" && key == "client_addr":
			// It is the socket of plain HTTP.
		case e.Unix != "":
			out = append(out, Listener{"unix", e.Unix})
		case port > 0:
			at := netip.AddrPortFrom(e.IP, uint16(port)) //nolint:gosec // validate allows up to 65535
			r.used = append(r.used, taken{name, portKey, at})
			out = append(out, Listener{"tcp", at.String()})
		}
	}
	return out
}

// joins expands the templates among the addresses to join.
func (r *resolver) joins() {
	expand := func(key string, texts []string) []string {
		var list []string
		for _, t := range texts {
			text, err := netaddr.Expand(r.host, t)
			switch {
			case err != nil:
				r.fail([]string{key}, "correct the template", "%s", err.Error())
			case strings.Contains(t, "{{"):
				list = append(list, strings.Fields(text)...)
			default:
				list = append(list, strings.TrimSpace(text))
			}
		}
		return list
	}
	r.rt.RetryJoin = expand("retry_join", r.c.RetryJoin)
	r.rt.RetryJoinWAN = expand("retry_join_wan", r.c.RetryJoinWAN)
}

// collisions finds listeners of this agent that are in each other's way.
func (r *resolver) collisions() {
	for i, b := range r.used {
		for _, a := range r.used[:i] {
			if a.at.Port() != b.at.Port() || !netaddr.Overlap(a.at.Addr(), b.at.Addr()) {
				continue
			}
			if a.name == b.name {
				r.fail([]string{b.key, "client_addr"}, "keep one of the two addresses", "%s address %v covers %v", b.name, wider(a.at, b.at), narrower(a.at, b.at))
				continue
			}
			r.fail([]string{b.key, a.key}, fmt.Sprintf("change %s or %s", b.key, a.key), "%s address %v already configured for %s", b.name, b.at, a.name)
		}
	}
}

func wider(a, b netip.AddrPort) netip.AddrPort {
	if a.Addr().IsUnspecified() {
		return a
	}
	return b
}

func narrower(a, b netip.AddrPort) netip.AddrPort {
	if a.Addr().IsUnspecified() {
		return b
	}
	return a
}
