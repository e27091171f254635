package source

import (
	"maps"
	"slices"
	"unsafe"
)

// Rows come anew with every answer. These say whether one differs in anything
// that is shown, and about how much memory one takes.

// sameMembers leaves out what this source adds.
func sameMembers(a, b *Member) bool {
	return sameMember(a, b) && a.ID == b.ID && a.Server == b.Server && a.Build == b.Build && a.Protocol == b.Protocol && a.Datacenter == b.Datacenter
}

func sameService(a, b *Service) bool {
	return a.Name == b.Name && a.Kind == b.Kind && a.Instances == b.Instances && a.Passing == b.Passing && a.Warning == b.Warning &&
		a.Critical == b.Critical && a.Counted == b.Counted && slices.Equal(a.Tags, b.Tags)
}

func sameNode(a, b *Node) bool {
	return a.Name == b.Name && a.ID == b.ID && a.Address == b.Address && a.Datacenter == b.Datacenter && a.Services == b.Services &&
		a.Passing == b.Passing && a.Warning == b.Warning && a.Critical == b.Critical && a.Counted == b.Counted && a.Index == b.Index &&
		a.Maintenance == b.Maintenance && a.MaintenanceReason == b.MaintenanceReason && maps.Equal(a.Meta, b.Meta)
}

// sameCheck compares what was seen of it, too: that is the same history while it
// does not change.
func sameCheck(a, b *Check) bool { return *a == *b }

func sameInstance(a, b *Instance) bool {
	return a.Node == b.Node && a.NodeAddress == b.NodeAddress && a.ID == b.ID && a.Service == b.Service && a.Address == b.Address &&
		a.Port == b.Port && a.Health == b.Health && a.Index == b.Index && slices.Equal(a.Tags, b.Tags) && maps.Equal(a.Meta, b.Meta) &&
		slices.EqualFunc(a.Checks, b.Checks, sameCheck)
}

// bytesOf is about how much memory a row takes that nothing else holds, nothing
// for nil. What rows share is counted with each of them.
func bytesOf(row any) int {
	switch r := row.(type) {
	case *Service:
		return int(unsafe.Sizeof(*r)) + len(r.Name) + len(r.Kind) + bytesOfTags(r.Tags)
	case *Node:
		if r == nil {
			return 0
		}
		return int(unsafe.Sizeof(*r)) + len(r.Name) + len(r.ID) + len(r.Address) + len(r.Datacenter) + len(r.MaintenanceReason) + bytesOfMap(r.Meta)
	case *Member:
		return int(unsafe.Sizeof(*r)) + len(r.Name) + len(r.ID) + len(r.Address) + bytesOfMap(r.Tags)
	case *Check:
		return bytesOfCheck(r)
	case *Instance:
		n := int(unsafe.Sizeof(*r)) + len(r.Node) + len(r.NodeAddress) + len(r.ID) + len(r.Service) + len(r.Address) + bytesOfTags(r.Tags) + bytesOfMap(r.Meta)
		for _, c := range r.Checks {
			n += 8 + bytesOfCheck(c)
		}
		return n
	}
	return 0
}

func bytesOfCheck(c *Check) int {
	n := int(unsafe.Sizeof(*c)) + len(c.Node) + len(c.ID) + len(c.Name) + len(c.Output) + len(c.Notes) + len(c.ServiceID) + len(c.ServiceName) + len(c.Type) + len(c.Interval)
	if c.History != nil {
		n += int(unsafe.Sizeof(*c.History)) + len(c.History.Entries)*int(unsafe.Sizeof(HistoryEntry{}))
	}
	return n
}

func bytesOfTags(tags []string) int {
	n := 0
	for _, t := range tags {
		n += int(unsafe.Sizeof(t)) + len(t)
	}
	return n
}

// bytesOfMap counts what a small map takes beside its texts, too.
func bytesOfMap(m map[string]string) int {
	if m == nil {
		return 0
	}
	n := 48 + 320
	for k, v := range m {
		n += len(k) + len(v) + 34
	}
	return n
}
