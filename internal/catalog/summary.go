package catalog

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ctl-sh/ctl/internal/store"
)

// Counts are things by their state: instances by the worst of their checks,
// checks by their own.
type Counts struct{ Passing, Warning, Critical int }

func (c *Counts) add(badness int) {
	switch badness {
	case 0:
		c.Passing++
	case 1:
		c.Warning++
	default:
		c.Critical++
	}
}

// badness orders states, passing first. What is no known state counts as
// critical.
func badness(status string) int {
	switch status {
	case Passing:
		return 0
	case Warning:
		return 1
	default:
		return 2
	}
}

// inMaintenance is worse than any badness of a state.
const inMaintenance = 3

// weight is the badness of a check for its instance.
func weight(c *Check) int {
	b := badness(c.Status)
	if b > 0 && (c.CheckID == NodeMaintenance || strings.HasPrefix(c.CheckID, serviceMaintenance)) {
		return inMaintenance
	}
	return b
}

func worstOf(checks []*Check) int {
	worst := 0
	for _, c := range checks {
		worst = max(worst, weight(c))
	}
	return worst
}

// ServiceSummary is a service with its instances counted.
type ServiceSummary struct {
	Name string
	// Kind is that of the first instance.
	Kind string
	// Tags are those of all instances, sorted, each once.
	Tags      []string
	Instances int
	Counts
	// Maintenance is how many of the critical instances are in maintenance.
	Maintenance int
}

func (s *ServiceSummary) add(in *Service, badness int) {
	if s.Instances == 0 {
		s.Name, s.Kind = in.Service, in.Kind
	}
	s.Instances++
	s.Counts.add(badness)
	if badness == inMaintenance {
		s.Maintenance++
	}
	for _, tag := range in.Tags {
		if i, ok := slices.BinarySearch(s.Tags, tag); !ok {
			s.Tags = slices.Insert(s.Tags, i, tag)
		}
	}
}

// SummaryOf counts the instances of a service, in any case; nil stands for a
// service without any.
func SummaryOf(tx *store.Txn, service string) (*ServiceSummary, error) {
	healths, err := Healths(tx, Target{Service: service})
	if err != nil || len(healths) == 0 {
		return nil, err
	}
	var s ServiceSummary
	for _, h := range healths {
		s.add(h.Service, worstOf(h.Checks))
	}
	return &s, nil
}

// Summaries calls visit with the summary of every service, in the order of the
// names without regard to case, until it fails. Only instances that keep wants
// are counted; nil wants all. It looks at every row once, and adds to ws, which
// may be nil, what changes when a summary may.
func Summaries(ws store.WatchSet, tx *store.Txn, keep func(*Service) bool, visit func(*ServiceSummary) error) error {
	checks, err := all[Check](ws, tx, TableChecks)
	if err != nil {
		return err
	}
	type on struct{ node, service string }
	worst := make(map[on]int, len(checks))
	for _, c := range checks {
		if b := weight(c); b > 0 {
			key := on{strings.ToLower(c.Node), c.ServiceID}
			worst[key] = max(worst[key], b)
		}
	}
	it, err := tx.Get(TableServices, byName)
	if err != nil {
		return fmt.Errorf("list %s by name: %w", TableServices, err)
	}
	ws.Add(it.WatchCh())
	var s *ServiceSummary
	for row := it.Next(); row != nil; row = it.Next() {
		in := row.(*Service)
		if keep != nil && !keep(in) {
			continue
		}
		if s != nil && !strings.EqualFold(s.Name, in.Service) {
			if err := visit(s); err != nil {
				return err
			}
			s = nil
		}
		if s == nil {
			s = &ServiceSummary{}
		}
		node := strings.ToLower(in.Node)
		s.add(in, max(worst[on{node, ""}], worst[on{node, in.ID}]))
	}
	if s != nil {
		return visit(s)
	}
	return nil
}

// NodeMaintenance is the check that takes a whole node out.
const NodeMaintenance = "_node_maintenance"

// serviceMaintenance begins the check that takes an instance out.
const serviceMaintenance = "_service_maintenance:"

// NodeSummary is a node with what is on it counted.
type NodeSummary struct {
	*Node
	Services int
	// Counts are of all checks on the node.
	Counts
	// Maintenance says that the node is in maintenance; its reason is the
	// check's notes.
	Maintenance       bool
	MaintenanceReason string
}

// NodeSummaryOf counts what is on the node of the name, in any case, nil for a
// node that is not there.
func NodeSummaryOf(tx *store.Txn, name string) (*NodeSummary, error) {
	n, err := NodeNamed(tx, name)
	if err != nil || n == nil {
		return nil, err
	}
	s := &NodeSummary{Node: n}
	services, err := allOf[Service](nil, tx, TableServices, n.Node)
	if err != nil {
		return nil, err
	}
	s.Services = len(services)
	checks, err := allOf[Check](nil, tx, TableChecks, n.Node)
	for _, c := range checks {
		s.Counts.add(badness(c.Status))
		if c.CheckID == NodeMaintenance {
			s.Maintenance, s.MaintenanceReason = true, c.Notes
		}
	}
	return s, err
}

// InstanceOn returns an instance with its checks, those of the node first, or
// nil.
func InstanceOn(tx *store.Txn, node, id string) (*Health, error) {
	s, err := serviceOn(tx, node, id)
	if err != nil || s == nil {
		return nil, err
	}
	n, err := NodeNamed(tx, node)
	if err != nil || n == nil {
		return nil, err
	}
	ofNode, err := checksOf(tx, node, "")
	if err != nil {
		return nil, err
	}
	own, err := checksOf(tx, node, id)
	return &Health{Instance: Instance{Node: n, Service: s}, Checks: append(ofNode, own...)}, err
}

// OnNode returns the services and checks on a node, in any case.
func OnNode(tx *store.Txn, node string) ([]*Service, []*Check, error) {
	services, err := allOf[Service](nil, tx, TableServices, node)
	if err != nil {
		return nil, nil, err
	}
	checks, err := allOf[Check](nil, tx, TableChecks, node)
	return services, checks, err
}

// Moved takes the key of a Head apart: the sort of thing it is about, and its
// name in lower case. ok is false for a sort that is not one of the constants.
func (h *Head) Moved() (sort, name string, ok bool) {
	for _, w := range []watched{watchedService, watchedNode, watchedChecks} {
		if name, found := strings.CutPrefix(h.Key, w.prefix); found {
			return strings.TrimSuffix(w.prefix, "/"), name, true
		}
	}
	return "", "", false
}

// The sorts of things a Head is about, as Moved tells them.
const (
	MovedService = "service" // a service: its instances and their checks
	MovedNode    = "node"    // a node and the services on it
	MovedChecks  = "checks"  // the checks on a node
)
