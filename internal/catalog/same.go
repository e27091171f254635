package catalog

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ctl-sh/ctl/internal/store"
)

// same reports whether two rows say the same, whenever they were written.
func (n *Node) same(o *Node) bool {
	return n.Node == o.Node && n.ID == o.ID && n.Address == o.Address && n.Datacenter == o.Datacenter &&
		maps.Equal(n.TaggedAddresses, o.TaggedAddresses) && maps.Equal(n.Meta, o.Meta)
}

func (s *Service) same(o *Service) bool {
	return s.Kind == o.Kind && s.SocketPath == o.SocketPath && s.ConnectNative == o.ConnectNative && s.Destination == o.Destination &&
		bytes.Equal(s.Proxy, o.Proxy) && maps.Equal(s.TaggedAddresses, o.TaggedAddresses) &&
		s.Service == o.Service && s.Address == o.Address && s.Port == o.Port && s.Weights == o.Weights &&
		s.EnableTagOverride == o.EnableTagOverride && slices.Equal(s.Tags, o.Tags) && maps.Equal(s.Meta, o.Meta)
}

func (c *Check) same(o *Check) bool {
	return c.Name == o.Name && c.Status == o.Status && c.Notes == o.Notes && c.Output == o.Output &&
		c.ServiceID == o.ServiceID && c.ServiceName == o.ServiceName && slices.Equal(c.ServiceTags, o.ServiceTags) &&
		c.Type == o.Type && c.Interval == o.Interval && c.Timeout == o.Timeout && c.ExposedPort == o.ExposedPort &&
		bytes.Equal(c.Definition, o.Definition)
}

// Registered reports whether the state already is what r would make it, so that
// who reconciles need not write. It completes r; a registration that would be
// refused is not in the state, and a check of a service counts as changed.
func Registered(tx *store.Txn, r *Registration) (bool, error) {
	if r.Complete() != nil {
		return false, nil //nolint:nilerr // the refusal is applying's to give
	}
	n, err := NodeNamed(tx, r.Node.Node)
	if err != nil || n == nil || !r.SkipNodeUpdate && !n.same(&r.Node) {
		return false, err
	}
	key := strings.ToLower(n.Node)
	if r.Service != nil {
		row, err := tx.First(TableServices, store.IndexID, key, r.Service.ID)
		if err != nil {
			return false, fmt.Errorf("get service %s on %s: %w", r.Service.ID, n.Node, err)
		}
		if row == nil || !row.(*Service).same(r.Service) {
			return false, nil
		}
	}
	for _, c := range r.Checks {
		row, err := tx.First(TableChecks, store.IndexID, key, c.CheckID)
		if err != nil {
			return false, fmt.Errorf("get check %s on %s: %w", c.CheckID, n.Node, err)
		}
		if row == nil || !row.(*Check).same(c) {
			return false, nil
		}
	}
	return true, nil
}
