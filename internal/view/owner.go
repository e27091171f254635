package view

import (
	"context"
	"encoding/json"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ctl-sh/ctl/internal/catalog"
	"github.com/ctl-sh/ctl/internal/failure"
)

// Owner is who has an address: a node, or else a service.
type Owner struct{ Node, Service string }

// How long the owners are believed: where an address was found, and where it
// was not. A new address is to be found soon, but looking for invented ones must
// not keep an agent with many services busy: reading takes at most a tenth of
// the time.
const (
	believeFound   = 10 * time.Second
	believeMissing = 50 * time.Millisecond
	missingShare   = 10
)

// ownerIndex is who has which address of the own datacenter. There is no one
// request that blocks until any of it changes, so it is read anew when it is
// asked after some time.
type ownerIndex struct {
	current  atomic.Pointer[ownerState]
	building chan struct{} // holds one token while somebody reads anew
}

type ownerState struct {
	at   time.Time
	took time.Duration // to read it
	byIP map[netip.Addr]Owner
}

func newOwnerIndex() ownerIndex { return ownerIndex{building: make(chan struct{}, 1)} }

// find reports false if the index is too old to say.
func (x *ownerIndex) find(ip netip.Addr) (Owner, bool) {
	st := x.current.Load()
	if st == nil {
		return Owner{}, false
	}
	owner, found := st.byIP[ip]
	age := time.Since(st.at)
	missing := min(max(believeMissing, missingShare*st.took), believeFound)
	return owner, age < missing || found && age < believeFound
}

// Owner returns who has the address in the own datacenter; the zero Owner if
// nobody has. What it says may be some seconds old.
func (s *Store) Owner(ctx context.Context, ip netip.Addr, o Options) (Owner, error) {
	ip = ip.Unmap()
	if owner, ok := s.owners.find(ip); ok {
		return owner, nil
	}
	if !o.Wait {
		return Owner{}, ErrNotHere
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.LoadTimeout)
	defer cancel()
	select {
	case s.owners.building <- struct{}{}:
		defer func() { <-s.owners.building }()
	case <-ctx.Done():
		return Owner{}, failure.Wrap(failure.Timeout, context.Cause(ctx))
	}
	if owner, ok := s.owners.find(ip); ok { // read by another in the meantime
		return owner, nil
	}
	byIP := map[netip.Addr]Owner{}
	at := time.Now()
	if err := s.nodeOwners(ctx, byIP); err != nil {
		return Owner{}, err
	}
	if err := s.serviceOwners(ctx, byIP); err != nil {
		return Owner{}, err
	}
	s.owners.current.Store(&ownerState{at, time.Since(at), byIP})
	return byIP[ip], nil
}

func (s *Store) nodeOwners(ctx context.Context, out map[netip.Addr]Owner) error {
	body, _, err := s.get(ctx, "/v1/catalog/nodes", url.Values{"stale": {""}})
	if err != nil {
		return err
	}
	var rows []catalog.Node
	if err := json.Unmarshal(body, &rows); err != nil {
		return failure.Newf(failure.Internal, "read the nodes: %w", err)
	}
	for _, n := range rows {
		a := parseAddress(n.Address, 0)
		if _, taken := out[a.IP]; a.IP.IsValid() && !taken {
			out[a.IP] = Owner{Node: n.Node}
		}
	}
	return nil
}

// serviceOwners adds the addresses of services that no node has.
func (s *Store) serviceOwners(ctx context.Context, out map[netip.Addr]Owner) error {
	stale := url.Values{"stale": {""}}
	body, _, err := s.get(ctx, "/v1/catalog/services", stale)
	if err != nil {
		return err
	}
	var names map[string][]string
	if err := json.Unmarshal(body, &names); err != nil {
		return failure.Newf(failure.Internal, "read the services: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		body, _, err := s.get(ctx, "/v1/catalog/service/"+url.PathEscape(name), stale)
		if err != nil {
			return err
		}
		var rows []struct{ ServiceName, ServiceAddress string }
		if err := json.Unmarshal(body, &rows); err != nil {
			return failure.Newf(failure.Internal, "read service %q: %w", name, err)
		}
		for _, r := range rows {
			a := parseAddress(r.ServiceAddress, 0)
			if _, taken := out[a.IP]; a.IP.IsValid() && !taken {
				out[a.IP] = Owner{Service: r.ServiceName}
			}
		}
	}
	return nil
}
