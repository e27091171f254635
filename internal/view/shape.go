package view

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// Health is what the checks of an instance and its node say together.
type Health uint8

// The healths, best first.
const (
	Passing Health = iota
	Warning
	Critical
)

// Address is the address of a node or an instance: an IP address, or the name
// of a host. The zero Address is none.
type Address struct {
	Text string
	IP   netip.Addr // not valid if Text is a name
	Port int        // 0 if the address has none of its own
}

// IsZero reports whether there is no address.
func (a Address) IsZero() bool { return a.Text == "" }

// parseAddress reads an address as the catalog has it.
func parseAddress(text string, port int) Address {
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return Address{Text: text, Port: port}
	}
	return Address{Text: text, IP: ip.Unmap().WithZone(""), Port: port}
}

// Node is a node of the catalog. It is never changed.
type Node struct {
	Name       string
	Datacenter string
	Address    Address
	Tagged     map[string]Address
	Meta       []Pair // sorted by key
}

// Pair is one entry of a node's metadata.
type Pair struct{ Key, Value string }

// Instance is an instance of a service with its node. It is never changed.
type Instance struct {
	Node    *Node
	ID      string
	Service string
	Address Address // zero: the node's
	Tagged  map[string]Address
	Port    int
	Tags    []string // in lower case
	Health  Health
	Weight  int // by the instance's health
}

// HasTag reports whether the instance has the tag, which must be in lower case.
func (i *Instance) HasTag(tag string) bool { return slices.Contains(i.Tags, tag) }

// Service is all instances of a service in one datacenter, in whatever health.
// It is never changed.
type Service struct{ Instances []Instance }

// The shapes of the HTTP API, with what is read of them.
type (
	nodeShape struct {
		Node            string
		Address         string
		Datacenter      string
		TaggedAddresses map[string]string
		Meta            map[string]string
	}
	addressShape struct {
		Address string
		Port    int
	}
	serviceShape struct {
		ID              string
		Service         string
		Tags            []string
		Address         string
		TaggedAddresses map[string]addressShape
		Port            int
		Weights         *struct{ Passing, Warning int }
	}
	instanceShape struct {
		Node    *nodeShape
		Service *serviceShape
		Checks  []struct{ Status string }
	}
)

func (n *nodeShape) node() *Node {
	out := &Node{Name: n.Node, Datacenter: n.Datacenter, Address: parseAddress(n.Address, 0), Tagged: make(map[string]Address, len(n.TaggedAddresses))}
	for name, text := range n.TaggedAddresses {
		out.Tagged[name] = parseAddress(text, 0)
	}
	for k, v := range n.Meta {
		out.Meta = append(out.Meta, Pair{k, v})
	}
	slices.SortFunc(out.Meta, func(a, b Pair) int { return cmp.Compare(a.Key, b.Key) })
	return out
}

// instance returns the instance, or false for a row that has none. Nodes that
// have several instances are kept once in nodes.
func (s *instanceShape) instance(nodes map[string]*Node) (Instance, bool) {
	if s.Node == nil || s.Service == nil {
		return Instance{}, false
	}
	node := nodes[s.Node.Node]
	if node == nil {
		node = s.Node.node()
		nodes[s.Node.Node] = node
	}
	in := Instance{
		Node: node, ID: s.Service.ID, Service: s.Service.Service, Address: parseAddress(s.Service.Address, 0),
		Port: s.Service.Port, Tagged: make(map[string]Address, len(s.Service.TaggedAddresses)),
	}
	for name, a := range s.Service.TaggedAddresses {
		in.Tagged[name] = parseAddress(a.Address, a.Port)
	}
	for _, tag := range s.Service.Tags {
		in.Tags = append(in.Tags, strings.ToLower(tag))
	}
	for _, c := range s.Checks {
		in.Health = max(in.Health, healthOf(c.Status))
	}
	in.Weight = s.weight(in.Health)
	return in, true
}

func (s *instanceShape) weight(h Health) int {
	passing, warning := 1, 1
	if w := s.Service.Weights; w != nil {
		passing, warning = w.Passing, w.Warning
	}
	switch h {
	case Passing:
		return passing
	case Warning:
		return warning
	}
	return 0
}

// healthOf reads a check's status; one that is unknown counts as critical.
func healthOf(status string) Health {
	switch status {
	case "passing":
		return Passing
	case "warning":
		return Warning
	}
	return Critical
}
