package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/ctl-sh/ctl/internal/checks"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/lazyregexp"
)

// Address is where an instance is reached by those a tagged address is for.
type Address struct {
	Address string
	Port    int
}

// Weights are an instance's shares in DNS answers, by its health.
type Weights struct {
	Passing int
	Warning int
}

// ServiceDefinition is a service as it is registered, over HTTP or in a
// configuration file. The zero value of a field is its default.
type ServiceDefinition struct {
	Kind              string
	ID                string
	Name              string
	Tags              []string
	Address           string
	TaggedAddresses   map[string]Address
	Meta              map[string]string
	Port              int
	SocketPath        string
	Check             *checks.Definition
	Checks            []*checks.Definition
	Weights           *Weights
	Token             string
	EnableTagOverride bool
	Proxy             *Proxy
	Connect           *Connect
	Locality          json.RawMessage
	Namespace         string
	Partition         string
}

// Connect is the part of the mesh a definition may ask for.
type Connect struct {
	Native         bool
	SidecarService json.RawMessage
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *Connect) UnmarshalJSON(b []byte) error {
	type plain Connect
	return checks.Decode(b, (*plain)(c))
}

const kindProxy = "connect-proxy"

// kinds are those a service may have beside none; typical is none by another
// name.
var kinds = []string{"", "typical", kindProxy, "mesh-gateway", "terminating-gateway", "ingress-gateway", "api-gateway"}

// UnmarshalJSON implements json.Unmarshaler: names match in both spellings, as
// checks.Decode says; serviceid is id.
func (d *ServiceDefinition) UnmarshalJSON(b []byte) error {
	type plain ServiceDefinition
	wide := struct {
		*plain
		ServiceID string
	}{plain: (*plain)(d)}
	err := checks.Decode(b, &wide)
	if err == nil && d.ID == "" {
		d.ID = wide.ServiceID
	}
	return err
}

// ParseService reads a service definition. It fails with encoding/json's text.
func ParseService(b []byte) (*ServiceDefinition, error) {
	d := &ServiceDefinition{}
	return d, json.Unmarshal(b, d)
}

// ParseCheck reads a check definition. It fails with encoding/json's text.
func ParseCheck(b []byte) (*checks.Definition, error) {
	d := &checks.Definition{}
	return d, json.Unmarshal(b, d)
}

var metaKey = lazyregexp.New(`^[A-Za-z0-9_-]+$`)

// Limits on the metadata of a service, as the catalog has them.
const (
	maxMetaPairs    = 64
	maxMetaKeyLen   = 128
	maxMetaValueLen = 512
	maxWeight       = 65535
)

// reservedMeta begins the names that only the agents' own services use.
const reservedMeta = "consul-"

// consulService is what the leader registers for servers: nobody's to take.
const consulService = "consul"

// Validate fills in the defaults and says what is wrong, in the order and with
// the texts clients know, as BadRequest.
func (d *ServiceDefinition) Validate() error {
	err := d.validate()
	if err != nil && failure.KindOf(err) == failure.Internal {
		err = failure.Wrap(failure.BadRequest, err)
	}
	return err
}

func (d *ServiceDefinition) validate() error {
	if d.Name == "" {
		return errors.New(failure.TextMissingService) //nolint:staticcheck // Consul's text
	}
	if d.ID == "" {
		d.ID = d.Name
	}
	if ip, err := netip.ParseAddr(d.Address); err == nil && ip.IsUnspecified() {
		return errors.New("Invalid service address") //nolint:staticcheck // Consul's text
	}
	if d.Weights == nil {
		d.Weights = &Weights{Passing: 1, Warning: 1}
	}
	if err := d.Weights.validate(); err != nil {
		return fmt.Errorf("Invalid Weights: %w", err) //nolint:staticcheck // Consul's text
	}
	if err := validateMeta(d.Meta); err != nil {
		return fmt.Errorf("Invalid Service Meta: %w", err) //nolint:staticcheck // Consul's text
	}
	if err := d.rules(); err != nil {
		return fmt.Errorf("Validation failed: %w", err) //nolint:staticcheck // Consul's text
	}
	if err := d.validateChecks(); err != nil {
		return err
	}
	if d.Connect != nil && len(d.Connect.SidecarService) > 0 && string(d.Connect.SidecarService) != "null" {
		return errors.New("Invalid SidecarService: this version of ctl makes no sidecars yet; register the proxy as a service of the kind connect-proxy") //nolint:staticcheck // begins as Consul's text
	}
	return nil
}

func (d *ServiceDefinition) rules() error {
	switch {
	case d.ID == consulService:
		return fmt.Errorf("the service id %q is reserved for the servers", consulService)
	case d.SocketPath != "" && (d.Address != "" || d.Port != 0):
		return errors.New("SocketPath is set, but Address or Port is, too")
	case d.Port < 0 || d.Port > 65535:
		return fmt.Errorf("Port %d is not between 0 and 65535", d.Port) //nolint:staticcheck // begins with a field's name
	case d.Namespace != "" && d.Namespace != "default":
		return errors.New("Namespaces are a Consul Enterprise feature") //nolint:staticcheck // Consul's text
	case d.Partition != "" && d.Partition != "default":
		return errors.New("Partitions are a Consul Enterprise feature") //nolint:staticcheck // Consul's text
	case !slices.Contains(kinds, d.Kind):
		return fmt.Errorf("unknown Kind %q", d.Kind)
	case d.Kind == kindProxy && (d.Proxy == nil || d.Proxy.DestinationServiceName == ""):
		return errors.New("Proxy.DestinationServiceName must be non-empty for Connect proxy services") // Consul's text
	case d.Kind == kindProxy && d.Port == 0 && d.SocketPath == "":
		return errors.New("Port or SocketPath must be set for a Connect proxy") //nolint:staticcheck // Consul's text
	}
	return nil
}

func (w *Weights) validate() error {
	switch {
	case w.Passing < 1:
		return errors.New("Passing must be greater than 0") //nolint:staticcheck // Consul's text
	case w.Warning < 0:
		return errors.New("Warning must be greater or equal than 0") //nolint:staticcheck // Consul's text
	case w.Passing > maxWeight || w.Warning > maxWeight:
		return fmt.Errorf("DNS Weight must be between 0 and %d", maxWeight) // Consul's text
	}
	return nil
}

func validateMeta(meta map[string]string) error {
	if len(meta) > maxMetaPairs {
		return fmt.Errorf("Node metadata cannot contain more than %d key/value pairs", maxMetaPairs) // Consul's text
	}
	for k, v := range meta {
		switch {
		case k == "":
			return errors.New("Couldn't load metadata pair ('', '" + v + "'): Key cannot be blank") // Consul's text
		case !metaKey().MatchString(k):
			return fmt.Errorf("Couldn't load metadata pair ('%s', '%s'): Key contains invalid characters", k, v) //nolint:staticcheck // Consul's text
		case strings.HasPrefix(k, reservedMeta):
			return fmt.Errorf("Couldn't load metadata pair ('%s', '%s'): Key prefix '%s' is reserved for internal use", k, v, reservedMeta) //nolint:staticcheck // Consul's text
		case len(k) > maxMetaKeyLen:
			return fmt.Errorf("Couldn't load metadata pair ('%s', '%s'): Key is too long (limit: %d characters)", k, v, maxMetaKeyLen) //nolint:staticcheck // Consul's text
		case len(v) > maxMetaValueLen:
			return fmt.Errorf("Couldn't load metadata pair ('%s', '%s'): Value is too long (limit: %d characters)", k, v, maxMetaValueLen) //nolint:staticcheck // Consul's text
		}
	}
	return nil
}

// definitions returns all checks of the service, Check first. A Check in which
// nothing is set is none: clients send one for a service without a check.
func (d *ServiceDefinition) definitions() []*checks.Definition {
	var list []*checks.Definition
	if d.Check != nil && !d.Check.Empty() {
		list = append(list, d.Check)
	}
	for _, c := range d.Checks {
		if c != nil {
			list = append(list, c)
		}
	}
	return list
}

// CheckIDs returns the ids the checks of a validated definition have, those that
// name none among them.
func (d *ServiceDefinition) CheckIDs() []string {
	defs := d.definitions()
	ids := make([]string, len(defs))
	for n, c := range defs {
		switch {
		case c.Key() != "":
			ids[n] = c.Key()
		case len(defs) > 1:
			ids[n] = fmt.Sprintf("service:%s:%d", d.ID, n+1)
		default:
			ids[n] = "service:" + d.ID
		}
	}
	return ids
}

func (d *ServiceDefinition) validateChecks() error {
	seen := map[string]bool{}
	for _, c := range d.definitions() {
		if err := c.Validate(); err != nil {
			return fmt.Errorf("Invalid check: %w", err) //nolint:staticcheck // Consul's text
		}
		if c.AliasNode == "" && c.AliasService == d.ID {
			return fmt.Errorf("Invalid check: an alias of the service %q itself says nothing", d.ID) //nolint:staticcheck // Consul's text
		}
		if c.ServiceID != "" && c.ServiceID != d.ID {
			return fmt.Errorf("Invalid check: it belongs to the service %q, not to %q", c.ServiceID, d.ID) //nolint:staticcheck // Consul's text
		}
		if id := c.Key(); id != "" && seen[id] {
			return fmt.Errorf("Invalid check: the id %q is used twice", id) //nolint:staticcheck // Consul's text
		}
		seen[c.Key()] = true
		if c.Status != "" && !checks.ValidStatus(c.Status) {
			return errors.New("Status for checks must 'passing', 'warning', 'critical'") //nolint:staticcheck // Consul's text
		}
	}
	return nil
}

// RunsProgram reports whether a check of the service runs a program.
func (d *ServiceDefinition) RunsProgram() bool {
	for _, c := range d.definitions() {
		if c.Runs() {
			return true
		}
	}
	return false
}

var dnsLabel = lazyregexp.New(`^[A-Za-z0-9-]{1,63}$`)

// Unfindable returns what of the service DNS cannot name, "" for nothing. Such
// a service is registered all the same.
func (d *ServiceDefinition) Unfindable() string {
	if !dnsLabel().MatchString(d.Name) {
		return "the name " + d.Name
	}
	for _, t := range d.Tags {
		if !dnsLabel().MatchString(t) {
			return "the tag " + t
		}
	}
	return ""
}

// service returns the row of a validated definition.
func (d *ServiceDefinition) service() *Service {
	s := &Service{
		ID: d.ID, Service: d.Name, Tags: append([]string{}, d.Tags...), Meta: d.Meta, Port: d.Port, Address: d.Address,
		SocketPath: d.SocketPath, TaggedAddresses: d.TaggedAddresses, Weights: *d.Weights, EnableTagOverride: d.EnableTagOverride,
	}
	if s.Meta == nil {
		s.Meta = map[string]string{}
	}
	if d.Kind != "typical" {
		s.Kind = d.Kind
	}
	if s.Kind != "" {
		s.Proxy = d.Proxy
	}
	if d.Connect != nil && d.Connect.Native {
		s.Connect = &Native{Native: true}
	}
	return s
}

// ValidateCheck fills in the defaults of a check that is registered by itself
// and says what is wrong, as BadRequest.
func ValidateCheck(d *checks.Definition) error {
	switch err := d.Validate(); {
	case d.Name == "":
		return failure.New(failure.BadRequest, "Missing check name")
	case d.Status != "" && !checks.ValidStatus(d.Status):
		return failure.New(failure.BadRequest, "Bad check status")
	case err != nil:
		return failure.Newf(failure.BadRequest, "Invalid check: %w", err)
	case d.AliasNode == "" && d.AliasService != "" && d.AliasService == d.ServiceID:
		return failure.Newf(failure.BadRequest, "Invalid check: an alias of the service %q itself says nothing", d.ServiceID)
	case d.Namespace != "" && d.Namespace != "default", d.Partition != "" && d.Partition != "default":
		return failure.New(failure.BadRequest, "Invalid check: Namespaces and Partitions are a Consul Enterprise feature")
	}
	if d.ID == "" {
		d.ID = d.CheckID
	}
	if d.ID == "" {
		d.ID = d.Name
	}
	if strings.HasPrefix(d.ID, serviceMaintenance) || d.ID == NodeMaintenance || d.ID == serfHealth {
		return failure.Newf(failure.BadRequest, "Invalid check: the id %q is reserved", d.ID)
	}
	return nil
}
