package dnsserver

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// rates limits what each client address may ask for in a second. Addresses
// share a fixed number of places, so that invented addresses take no memory;
// two that meet in one share its rate.
type rates struct {
	perSecond int
	once      sync.Once
	seed      maphash.Seed
	places    [1024]bucket
}

type bucket struct {
	mu     sync.Mutex
	tokens float64
	at     time.Time
}

// allow reports whether the address may ask once more.
func (r *rates) allow(ip netip.Addr, now time.Time) bool {
	r.once.Do(func() { r.seed = maphash.MakeSeed() })
	b := &r.places[maphash.Comparable(r.seed, ip)%uint64(len(r.places))]
	b.mu.Lock()
	defer b.mu.Unlock()
	most := float64(r.perSecond)
	if b.at.IsZero() {
		b.tokens = most
	} else {
		b.tokens = min(most, b.tokens+most*now.Sub(b.at).Seconds())
	}
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
