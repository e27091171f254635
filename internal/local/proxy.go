package local

import (
	"encoding/json"

	"github.com/ctl-sh/ctl/internal/checks"
)

// Proxy is what a proxy stands for and how. The mesh is not built yet: it is kept
// and shown, and the catalog told. Source: the public documentation of service
// definitions, "proxy".
type Proxy struct {
	EnvoyExtensions        json.RawMessage `json:",omitempty"`
	DestinationServiceName string          `json:",omitempty"`
	DestinationServiceID   string          `json:",omitempty"`
	LocalServiceAddress    string          `json:",omitempty"`
	LocalServicePort       int             `json:",omitempty"`
	LocalServiceSocketPath string          `json:",omitempty"`
	Mode                   string
	Config                 json.RawMessage `json:",omitempty"`
	Upstreams              []Upstream      `json:",omitempty"`
	MeshGateway            MeshGateway
	Expose                 Expose
	TransparentProxy       *TransparentProxy `json:",omitempty"`
	AccessLogs             *AccessLogs       `json:",omitempty"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (p *Proxy) UnmarshalJSON(b []byte) error {
	type plain Proxy
	return checks.Decode(b, (*plain)(p))
}

// Upstream is a service that a proxy leads to.
type Upstream struct {
	DestinationType      string
	DestinationNamespace string `json:",omitempty"`
	DestinationPartition string `json:",omitempty"`
	DestinationPeer      string `json:",omitempty"`
	DestinationName      string
	Datacenter           string
	LocalBindAddress     string          `json:",omitempty"`
	LocalBindPort        int             `json:",omitempty"`
	LocalBindSocketPath  string          `json:",omitempty"`
	LocalBindSocketMode  string          `json:",omitempty"`
	Config               json.RawMessage `json:",omitempty"`
	MeshGateway          MeshGateway
	CentrallyConfigured  bool `json:",omitempty"`
}

// UnmarshalJSON implements json.Unmarshaler. An upstream of no type is a service.
func (u *Upstream) UnmarshalJSON(b []byte) error {
	type plain Upstream
	err := checks.Decode(b, (*plain)(u))
	if u.DestinationType == "" {
		u.DestinationType = "service"
	}
	return err
}

// MeshGateway says which gateway is used: none, local or remote.
type MeshGateway struct {
	Mode string `json:",omitempty"`
}

// Expose are paths that are reached around the proxy.
type Expose struct {
	Checks bool         `json:",omitempty"`
	Paths  []ExposePath `json:",omitempty"`
}

// ExposePath is one of them.
type ExposePath struct {
	ListenerPort    int    `json:",omitempty"`
	Path            string `json:",omitempty"`
	LocalPathPort   int    `json:",omitempty"`
	Protocol        string `json:",omitempty"`
	ParsedFromCheck bool   `json:",omitempty"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (e *ExposePath) UnmarshalJSON(b []byte) error {
	type plain ExposePath
	return checks.Decode(b, (*plain)(e))
}

// TransparentProxy is how traffic that names no proxy gets to it.
type TransparentProxy struct {
	OutboundListenerPort int  `json:",omitempty"`
	DialedDirectly       bool `json:",omitempty"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *TransparentProxy) UnmarshalJSON(b []byte) error {
	type plain TransparentProxy
	return checks.Decode(b, (*plain)(t))
}

// AccessLogs is what the proxy logs of connections.
type AccessLogs struct {
	Enabled             bool   `json:",omitempty"`
	DisableListenerLogs bool   `json:",omitempty"`
	Type                string `json:",omitempty"`
	Path                string `json:",omitempty"`
	JSONFormat          string `json:",omitempty"`
	TextFormat          string `json:",omitempty"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (a *AccessLogs) UnmarshalJSON(b []byte) error {
	type plain AccessLogs
	return checks.Decode(b, (*plain)(a))
}
