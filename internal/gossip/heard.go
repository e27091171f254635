package gossip

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// maxHeard bounds the hosts remembered, since anybody can send packets
	// with any source address.
	maxHeard = 16384
	// heardKept is how long a silent host is remembered when room is needed.
	heardKept = 10 * time.Minute
)

// heard remembers when the last packet of each host came in, whatever was in it.
// It is what shows that one direction works: a ping without an answer may have
// been lost on its way there or back.
type heard struct {
	mu   sync.Mutex
	last map[netip.Addr]time.Time
}

func newHeard() *heard { return &heard{last: make(map[netip.Addr]time.Time)} }

// note remembers a packet. While there is no room, new hosts are not remembered.
func (h *heard) note(from net.Addr, at time.Time) {
	udp, ok := from.(*net.UDPAddr)
	if !ok {
		return
	}
	host := udp.AddrPort().Addr().Unmap().WithZone("")
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, known := h.last[host]; !known && len(h.last) >= maxHeard {
		for other, last := range h.last {
			if at.Sub(last) > heardKept {
				delete(h.last, other)
			}
		}
		if len(h.last) >= maxHeard {
			return
		}
	}
	h.last[host] = at
}

// from returns when the last packet of host came in; false for never.
func (h *heard) from(host netip.Addr) (time.Time, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at, ok := h.last[host.Unmap().WithZone("")]
	return at, ok
}
