package catalog

import (
	"strings"

	"github.com/ctl-sh/ctl/internal/failure"
)

// Complete fills in what follows from the rest of r (ids that default to names,
// weights, the node of services and checks) and checks what can be checked
// without the state. It fails with failure.Invalid, with the texts of the public
// API. Who proposes a registration calls it to refuse early; applying calls it
// again.
func (r *Registration) Complete() error {
	switch {
	case r.Node.Node == "":
		return failure.New(failure.Invalid, "Must provide node")
	case r.Node.Address == "" && !r.SkipNodeUpdate:
		return failure.New(failure.Invalid, "Must provide address if SkipNodeUpdate is not set")
	case strings.ContainsRune(r.Node.Node+r.Node.ID, 0):
		return failure.New(failure.Invalid, "Node names and ids must not contain a zero byte")
	}
	if r.Service != nil {
		if err := r.Service.complete(r.Node.Node); err != nil {
			return err
		}
	}
	for _, c := range r.Checks {
		if err := c.complete(r.Node.Node); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) complete(node string) error {
	switch {
	case s.Service == "" && s.ID != "":
		return failure.New(failure.Invalid, "Must provide service name (Service.Service) when service ID is provided")
	case s.Service == "":
		return failure.New(failure.Invalid, "Must provide service name (Service.Service)")
	case strings.ContainsRune(s.Service+s.ID+s.Destination, 0):
		return failure.New(failure.Invalid, "Service names and ids must not contain a zero byte")
	case s.Address == "0.0.0.0" || s.Address == "::" || s.Address == "[::]":
		return failure.New(failure.Invalid, "Invalid service address")
	case s.Port < 0 || s.Port > 65535:
		return failure.Newf(failure.Invalid, "Invalid service port %d", s.Port)
	case s.Kind == KindConnectProxy && s.Destination == "":
		return failure.New(failure.Invalid, "Proxy.DestinationServiceName must be non-empty for Connect proxy services")
	}
	s.Node = node
	if s.ID == "" {
		s.ID = s.Service
	}
	if s.Weights == (Weights{}) {
		s.Weights = Weights{Passing: 1, Warning: 1}
	}
	return nil
}

func (c *Check) complete(node string) error {
	if c.Node != "" && !strings.EqualFold(c.Node, node) {
		return failure.Newf(failure.Invalid, "check node %q does not match node %q", c.Node, node)
	}
	c.Node = node
	if c.CheckID == "" {
		c.CheckID = c.Name
	}
	switch {
	case c.CheckID == "":
		return failure.New(failure.Invalid, "Must provide check ID or name")
	case strings.ContainsRune(c.CheckID+c.ServiceID, 0):
		return failure.New(failure.Invalid, "Check ids must not contain a zero byte")
	}
	if c.ServiceID == "" {
		c.ServiceName, c.ServiceTags = "", nil
	}
	return nil
}
