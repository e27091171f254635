package view

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/ctl-sh/ctl/internal/catalog"
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

func newNode(n *catalog.Node) *Node {
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

// newService returns the instances. Nodes that have several of them are there
// once.
func newService(rows []catalog.Health) *Service {
	nodes := make(map[string]*Node, len(rows))
	out := &Service{Instances: make([]Instance, 0, len(rows))}
	for i := range rows {
		row := &rows[i]
		node := nodes[row.Node.Node]
		if node == nil {
			node = newNode(row.Node)
			nodes[row.Node.Node] = node
		}
		out.Instances = append(out.Instances, newInstance(node, row))
	}
	return out
}

func newInstance(node *Node, row *catalog.Health) Instance {
	s := row.Service
	in := Instance{
		Node: node, ID: s.ID, Service: s.Service, Address: parseAddress(s.Address, 0),
		Port: s.Port, Tagged: make(map[string]Address, len(s.TaggedAddresses)),
	}
	for name, a := range s.TaggedAddresses {
		in.Tagged[name] = parseAddress(a.Address, a.Port)
	}
	for _, tag := range s.Tags {
		in.Tags = append(in.Tags, strings.ToLower(tag))
	}
	for _, c := range row.Checks {
		in.Health = max(in.Health, healthOf(c.Status))
	}
	weights := s.Weights
	if weights == (catalog.Weights{}) { // of another implementation, perhaps
		weights = catalog.Weights{Passing: 1, Warning: 1}
	}
	switch in.Health {
	case Passing:
		in.Weight = weights.Passing
	case Warning:
		in.Weight = weights.Warning
	case Critical:
	}
	return in
}

// healthOf reads a check's status; one that is unknown counts as critical.
func healthOf(status string) Health {
	switch status {
	case catalog.Passing:
		return Passing
	case catalog.Warning:
		return Warning
	}
	return Critical
}
