package catalogapi

import (
	"encoding/json"

	"github.com/ctl-sh/ctl/internal/catalog"
)

// The shapes of rows in answers. Members, their order and what is left out
// when empty are those of the public API. Field names are selectors of filter
// expressions, but for the tagged ones; members that no row has yet are there
// because filters name them.

// nodeFields is catalog.Node with what of it filters may select.
type nodeFields struct {
	ID              string
	Node            string
	Address         string
	Datacenter      string
	TaggedAddresses catalog.Labels
	Meta            catalog.Labels
	CreateIndex     uint64 `bexpr:"-"`
	ModifyIndex     uint64 `bexpr:"-"`
}

// nodeServices is the answer about one node; nil is a node that is not there.
type nodeServices struct {
	Node     *catalog.Node
	Services map[string]*nodeService
}

// nodeServiceList is the same as a list; an unknown node is null twice.
type nodeServiceList struct {
	Node     *catalog.Node
	Services []*nodeService
}

// proxy is the configuration of a proxy: what of it filters may select, and
// the whole as it is sent.
type proxy struct {
	DestinationServiceName string
	DestinationServiceID   string
	Mode                   string

	whole json.RawMessage
}

// noProxy is what an instance without one says.
const noProxy = `{"Mode":"","MeshGateway":{},"Expose":{}}`

func newProxy(s *catalog.Service) proxy {
	p := proxy{whole: s.Proxy}
	if len(s.Proxy) == 0 {
		p.whole = json.RawMessage(noProxy)
		return p
	}
	// What was registered decodes; anything else has no members to select.
	var selectable struct{ DestinationServiceName, DestinationServiceID, Mode string }
	if json.Unmarshal(s.Proxy, &selectable) == nil {
		p.DestinationServiceName, p.DestinationServiceID, p.Mode = selectable.DestinationServiceName, selectable.DestinationServiceID, selectable.Mode
	}
	return p
}

// MarshalJSON implements json.Marshaler.
func (p proxy) MarshalJSON() ([]byte, error) { return p.whole, nil }

type connect struct {
	Native bool `json:",omitempty"`
}

// nodeService is an instance below its node.
type nodeService struct {
	Kind              string `json:",omitempty"`
	ID                string
	Service           string
	Tags              []string
	Address           string
	TaggedAddresses   catalog.Addresses `json:",omitempty"`
	Meta              catalog.Labels
	Port              int    `json:",omitempty"`
	SocketPath        string `json:",omitempty"`
	Weights           catalog.Weights
	EnableTagOverride bool
	Proxy             proxy
	Connect           connect
	PeerName          string
	CreateIndex       uint64 `bexpr:"-"`
	ModifyIndex       uint64 `bexpr:"-"`
}

func newNodeService(s *catalog.Service) *nodeService {
	return &nodeService{
		Kind:              s.Kind,
		TaggedAddresses:   s.TaggedAddresses,
		SocketPath:        s.SocketPath,
		Proxy:             newProxy(s),
		Connect:           connect{Native: s.ConnectNative},
		ID:                s.ID,
		Service:           s.Service,
		Tags:              listed(s.Tags),
		Address:           s.Address,
		Meta:              s.Meta,
		Port:              s.Port,
		Weights:           s.Weights,
		EnableTagOverride: s.EnableTagOverride,
		CreateIndex:       s.CreateIndex,
		ModifyIndex:       s.ModifyIndex,
	}
}

// serviceNode is an instance with its node, flat.
type serviceNode struct {
	ID                       string
	Node                     string
	Address                  string
	Datacenter               string
	TaggedAddresses          catalog.Labels
	NodeMeta                 catalog.Labels
	ServiceKind              string
	ServiceID                string
	ServiceName              string
	ServiceTags              []string
	ServiceAddress           string
	ServiceTaggedAddresses   catalog.Addresses `json:",omitempty"`
	ServiceWeights           catalog.Weights
	ServiceMeta              catalog.Labels
	ServicePort              int
	ServiceSocketPath        string
	ServiceEnableTagOverride bool
	ServiceProxy             proxy
	ServiceConnect           connect
	ServiceLocality          *struct{} `bexpr:"-"`
	PeerName                 string    `json:",omitempty"`
	CreateIndex              uint64    `bexpr:"-"`
	ModifyIndex              uint64    `bexpr:"-"`
}

func newServiceNode(in catalog.Instance) *serviceNode {
	n, s := in.Node, in.Service
	row := &serviceNode{
		ID:                       n.ID,
		Node:                     n.Node,
		Address:                  n.Address,
		Datacenter:               n.Datacenter,
		TaggedAddresses:          n.TaggedAddresses,
		NodeMeta:                 n.Meta,
		ServiceKind:              s.Kind,
		ServiceTaggedAddresses:   s.TaggedAddresses,
		ServiceSocketPath:        s.SocketPath,
		ServiceProxy:             newProxy(s),
		ServiceConnect:           connect{Native: s.ConnectNative},
		ServiceID:                s.ID,
		ServiceName:              s.Service,
		ServiceTags:              listed(s.Tags),
		ServiceAddress:           s.Address,
		ServiceWeights:           s.Weights,
		ServiceMeta:              s.Meta,
		ServicePort:              s.Port,
		ServiceEnableTagOverride: s.EnableTagOverride,
		CreateIndex:              s.CreateIndex,
		ModifyIndex:              s.ModifyIndex,
	}
	if row.ServiceMeta == nil {
		row.ServiceMeta = catalog.Labels{}
	}
	return row
}

// healthCheck is a check.
type healthCheck struct {
	Node        string
	CheckID     string
	Name        string
	Status      string
	Notes       string
	Output      string
	ServiceID   string
	ServiceName string
	ServiceTags []string
	Type        string
	Interval    string
	Timeout     string
	ExposedPort int
	PeerName    string          `json:",omitempty"`
	Definition  json.RawMessage `bexpr:"-"`
	CreateIndex uint64          `bexpr:"-"`
	ModifyIndex uint64          `bexpr:"-"`
}

func newHealthCheck(c *catalog.Check) *healthCheck {
	definition := json.RawMessage("{}")
	if len(c.Definition) > 0 {
		definition = c.Definition
	}
	return &healthCheck{
		Definition:  definition,
		Node:        c.Node,
		CheckID:     c.CheckID,
		Name:        c.Name,
		Status:      c.Status,
		Notes:       c.Notes,
		Output:      c.Output,
		ServiceID:   c.ServiceID,
		ServiceName: c.ServiceName,
		ServiceTags: listed(c.ServiceTags),
		Type:        c.Type,
		Interval:    c.Interval,
		Timeout:     c.Timeout,
		ExposedPort: c.ExposedPort,
		CreateIndex: c.CreateIndex,
		ModifyIndex: c.ModifyIndex,
	}
}

// instanceHealth is an instance with its node and checks.
type instanceHealth struct {
	Node    *nodeFields
	Service *nodeService
	Checks  []*healthCheck
}

func newInstanceHealth(h *catalog.Health) *instanceHealth {
	row := &instanceHealth{
		Node:    (*nodeFields)(h.Node),
		Service: newNodeService(h.Service),
		Checks:  make([]*healthCheck, len(h.Checks)),
	}
	for i, c := range h.Checks {
		row.Checks[i] = newHealthCheck(c)
	}
	return row
}
