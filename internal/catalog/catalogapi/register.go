package catalogapi

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/catalog"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/query"
	"github.com/ctl-sh/ctl/internal/store"
)

// reservedService is the id and name of the servers' own service.
const reservedService = "consul"

var errReserved = failure.New(failure.BadRequest, `The service "consul" is reserved: each server is registered as it by the leader, and nobody else can be`)

// The bodies of the two writes. Members that the public types have and that mean
// nothing here are known, so that what was read can be written back, and are
// left alone.
type (
	registerBody struct {
		Datacenter      string
		ID              string
		Node            string
		Address         string
		TaggedAddresses catalog.Labels
		NodeMeta        catalog.Labels
		Service         *serviceBody
		Check           *checkBody
		Checks          []*checkBody
		SkipNodeUpdate  bool
		Locality        json.RawMessage
	}
	serviceBody struct {
		Kind              string
		ID                string
		Service           string
		Tags              []string
		Address           string
		TaggedAddresses   catalog.Addresses
		Meta              catalog.Labels
		Port              int
		SocketPath        string
		Weights           catalog.Weights
		EnableTagOverride bool
		Proxy             json.RawMessage
		Connect           struct {
			Native         bool
			SidecarService json.RawMessage
		}
		Locality    json.RawMessage
		PeerName    string
		Datacenter  string
		ContentHash string
		CreateIndex uint64
		ModifyIndex uint64
	}
	checkBody struct {
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
		PeerName    string
		Definition  json.RawMessage
		CreateIndex uint64
		ModifyIndex uint64
	}
	deregisterBody struct {
		Datacenter string
		Node       string
		Address    string
		ServiceID  string
		CheckID    string
	}
)

// decode reads the body of a write. A member of the other edition says so.
func decode(r *httpapi.Request, into any) error {
	err := r.DecodeBody(into, false)
	if err == nil {
		return nil
	}
	for member, of := range map[string]string{"Namespace": "Namespaces", "Partition": "Partitions"} {
		if strings.HasSuffix(err.Error(), `unknown field "`+member+`"`) {
			return failure.Newf(failure.BadRequest, "%w - %s are a Consul Enterprise feature", err, of)
		}
	}
	return err
}

// here fails for a body that names another datacenter. One named by a query
// parameter is forwarded before the body is read.
func (a *API) here(datacenter string) error {
	if datacenter != "" && datacenter != a.Datacenter {
		return failure.New(failure.NoPath, failure.TextNoPath)
	}
	return nil
}

func (a *API) register(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	var body registerBody
	if err := decode(r, &body); err != nil {
		return nil, err
	}
	return taken(a.enter(ctx, r, &body))
}

func (a *API) deregister(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	var body deregisterBody
	if err := decode(r, &body); err != nil {
		return nil, err
	}
	return taken(a.remove(ctx, r, &body))
}

// taken is the answer to a write.
func taken(err error) (*httpapi.Response, error) {
	if err != nil {
		return nil, err
	}
	return &httpapi.Response{Body: true}, nil
}

// enter makes a registration, by the right of a request.
func (a *API) enter(ctx context.Context, r *httpapi.Request, body *registerBody) error {
	if err := a.here(body.Datacenter); err != nil {
		return err
	}
	reg, err := body.registration(a.Datacenter)
	if err != nil {
		return err
	}
	if err := reg.Complete(); err != nil {
		return err
	}
	if s := reg.Service; s != nil && (strings.EqualFold(s.Service, reservedService) || strings.EqualFold(s.ID, reservedService)) {
		return errReserved
	}
	if err := a.mayRegister(ctx, r, reg); err != nil {
		return err
	}
	reg.At = time.Now().Unix()
	_, err = a.Applier.Apply(ctx, catalog.TypeRegister, reg)
	return err
}

// remove makes a deregistration, by the right of a request.
func (a *API) remove(ctx context.Context, r *httpapi.Request, body *deregisterBody) error {
	if err := a.here(body.Datacenter); err != nil {
		return err
	}
	switch {
	case body.Node == "":
		return failure.New(failure.Invalid, "Must provide node")
	case strings.EqualFold(body.ServiceID, reservedService):
		return errReserved
	}
	remember := r.Query.Get("origin") != originAgent
	removal := &catalog.Removal{
		Node: body.Node, ServiceID: body.ServiceID, CheckID: body.CheckID,
		Remember: remember, At: time.Now().Unix(),
		Member: remember && a.Member != nil && a.Member(body.Node),
	}
	if err := a.mayDeregister(ctx, r, removal); err != nil {
		return err
	}
	learns, err := a.Applier.Apply(ctx, catalog.TypeDeregister, removal)
	if err != nil {
		return err
	}
	if learns == true && a.Hint != nil {
		a.Hint(removal.Node)
	}
	return nil
}

func (b *registerBody) registration(datacenter string) (*catalog.Registration, error) {
	if !validNodeID(b.ID) {
		return nil, failure.Newf(failure.Invalid, "Bad node ID: %q is not a UUID", b.ID)
	}
	reg := &catalog.Registration{
		Node: catalog.Node{
			ID: b.ID, Node: b.Node, Address: b.Address, Datacenter: datacenter,
			TaggedAddresses: b.TaggedAddresses, Meta: b.NodeMeta,
		},
		SkipNodeUpdate: b.SkipNodeUpdate,
	}
	if b.Service != nil {
		s, err := b.Service.row()
		if err != nil {
			return nil, err
		}
		reg.Service = s
	}
	for _, c := range append(b.Checks, b.Check) {
		if c == nil {
			continue
		}
		row, err := c.row()
		if err != nil {
			return nil, err
		}
		reg.Checks = append(reg.Checks, row)
	}
	return reg, nil
}

// validNodeID reports whether id is empty or a UUID in its usual form.
func validNodeID(id string) bool {
	if id == "" {
		return true
	}
	if len(id) != 36 {
		return false
	}
	for i, c := range []byte(id) {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
		} else if !strings.ContainsRune("0123456789abcdefABCDEF", rune(c)) {
			return false
		}
	}
	return true
}

func (b *serviceBody) row() (*catalog.Service, error) {
	s := &catalog.Service{
		Kind: b.Kind, ID: b.ID, Service: b.Service, Tags: b.Tags, Address: b.Address, TaggedAddresses: b.TaggedAddresses,
		Meta: b.Meta, Port: b.Port, SocketPath: b.SocketPath, Weights: b.Weights, EnableTagOverride: b.EnableTagOverride,
		ConnectNative: b.Connect.Native,
	}
	members, err := object(b.Proxy, "Proxy")
	if err != nil || len(members) == 0 {
		return s, err
	}
	var known struct{ DestinationServiceName string }
	if err := json.Unmarshal(b.Proxy, &known); err != nil {
		return nil, failure.Newf(failure.BadRequest, "Request decode failed: %w", err)
	}
	s.Destination = known.DestinationServiceName
	for member, empty := range map[string]string{"Mode": `""`, "MeshGateway": "{}", "Expose": "{}"} {
		if _, ok := members[member]; !ok {
			members[member] = json.RawMessage(empty)
		}
	}
	if s.Proxy, err = json.Marshal(members); string(s.Proxy) == noProxySorted {
		s.Proxy = nil // as good as none
	}
	return s, err
}

// noProxySorted is noProxy in the order of its members.
const noProxySorted = `{"Expose":{},"MeshGateway":{},"Mode":""}`

func (b *checkBody) row() (*catalog.Check, error) {
	c := &catalog.Check{
		Node: b.Node, CheckID: b.CheckID, Name: b.Name, Status: b.Status, Notes: b.Notes, Output: b.Output,
		ServiceID: b.ServiceID, ServiceName: b.ServiceName, ServiceTags: b.ServiceTags, Type: b.Type,
		Interval: b.Interval, Timeout: b.Timeout, ExposedPort: b.ExposedPort,
	}
	members, err := object(b.Definition, "Definition")
	if err != nil {
		return nil, err
	}
	for member, value := range members {
		if isDuration(member) {
			value = durationText(value)
			members[member] = value
		}
		switch string(value) {
		case `""`, "0", "false", "null", "{}", "[]", `"0s"`:
			delete(members, member)
		}
	}
	if len(members) > 0 {
		c.Definition, err = json.Marshal(members)
	}
	return c, err
}

func isDuration(member string) bool {
	return strings.EqualFold(member, "Interval") || strings.EqualFold(member, "Timeout") ||
		strings.EqualFold(member, "DeregisterCriticalServiceAfter") || strings.EqualFold(member, "TTL")
}

// durationText turns a number of nanoseconds into the text of the duration, and
// leaves all else.
func durationText(value json.RawMessage) json.RawMessage {
	var nanoseconds int64
	if json.Unmarshal(value, &nanoseconds) != nil {
		return value
	}
	return json.RawMessage(`"` + time.Duration(nanoseconds).String() + `"`)
}

// object takes a JSON object apart; absent and null have no members.
func object(raw json.RawMessage, name string) (map[string]json.RawMessage, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return nil, failure.Newf(failure.BadRequest, "Request decode failed: %s: %w", name, err)
	}
	for member, value := range members {
		var compact bytes.Buffer
		if err := json.Compact(&compact, value); err != nil {
			return nil, failure.Newf(failure.BadRequest, "Request decode failed: %s: %w", name, err)
		}
		members[member] = bytes.ToValidUTF8(compact.Bytes(), []byte("\uFFFD"))
	}
	return members, nil
}

// mayRegister fails with failure.PermissionDenied unless the token may write
// all that reg concerns: the node unless it is left alone, the service, the
// service that had the id before, and those that the checks are of.
func (a *API) mayRegister(ctx context.Context, r *httpapi.Request, reg *catalog.Registration) error {
	var ids []string
	node := !reg.SkipNodeUpdate
	need := func(ctx context.Context, service string) error {
		return authz.Require(ctx, a.Authz, r.Options.Token, authz.Service, service, authz.Write)
	}
	if reg.Service != nil {
		ids = append(ids, reg.Service.ID)
		if err := need(ctx, reg.Service.Service); err != nil {
			return err
		}
	}
	for _, c := range reg.Checks {
		if c.ServiceID == "" {
			node = true
		} else {
			ids = append(ids, c.ServiceID)
		}
	}
	if node {
		if err := authz.Require(ctx, a.Authz, r.Options.Token, authz.Node, reg.Node.Node, authz.Write); err != nil {
			return err
		}
	}
	names, err := a.namesOf(ctx, reg.Node.Node, ids)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := need(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// namesOf returns the names of the services that now have the ids on a node.
func (a *API) namesOf(ctx context.Context, node string, ids []string) (names []string, err error) {
	_, err = a.Reader.Read(ctx, query.Options{Mode: query.Stale}, func(_ store.WatchSet, tx *store.Txn) (query.Result, error) {
		for _, id := range ids {
			name, err := catalog.ServiceName(tx, node, id)
			if err != nil {
				return query.Result{}, err
			}
			if name != "" {
				names = append(names, name)
			}
		}
		return query.Result{}, nil
	})
	return names, err
}

// mayDeregister fails with failure.PermissionDenied unless the token may write
// the node, or the service that is removed or whose check is.
func (a *API) mayDeregister(ctx context.Context, r *httpapi.Request, removal *catalog.Removal) error {
	denied := authz.Require(ctx, a.Authz, r.Options.Token, authz.Node, removal.Node, authz.Write)
	if denied == nil || removal.ServiceID == "" && removal.CheckID == "" {
		return denied
	}
	id := removal.ServiceID
	if id == "" {
		_, err := a.Reader.Read(ctx, query.Options{Mode: query.Stale}, func(_ store.WatchSet, tx *store.Txn) (query.Result, error) {
			c, err := catalog.CheckOn(tx, removal.Node, removal.CheckID)
			if c != nil {
				id = c.ServiceID
			}
			return query.Result{}, err
		})
		if err != nil {
			return err
		}
	}
	names, err := a.namesOf(ctx, removal.Node, []string{id})
	if err != nil || len(names) == 0 {
		return denied
	}
	return authz.Require(ctx, a.Authz, r.Options.Token, authz.Service, names[0], authz.Write)
}
