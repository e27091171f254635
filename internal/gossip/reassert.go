package gossip

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/hashicorp/serf/serf"
)

// reassertPause is the time between two attempts to make a new address known.
const reassertPause = time.Second

// reassert makes a new address known. An agent that comes back elsewhere before
// it was missed is held to its old address until the others notice that nobody
// answers there; they tell it so at that address only. So it asks, until
// nobody it asks has the old address.
func (p *Pool) reassert(ctx context.Context, s *serf.Serf) {
	for {
		select {
		case <-p.admission.stale:
		case <-ctx.Done():
			return
		}
		p.log.Info("others have an old address of this agent, telling them the new one")
		select {
		case <-time.After(reassertPause):
		case <-ctx.Done():
			return
		}
		select {
		case <-p.admission.stale: // forget what was said before asking again
		default:
		}
		if other := p.someMember(s); other != "" {
			// An exchange with somebody who died meanwhile fails: the next
			// stale address, or a regular exchange, starts this again.
			_, _ = s.Join([]string{other}, true)
		}
	}
}

// someMember returns the address of any other alive member, or "".
func (p *Pool) someMember(s *serf.Serf) string {
	var alive []string
	for _, m := range s.Members() {
		if m.Status == serf.StatusAlive && m.Name != p.cfg.memberName() {
			alive = append(alive, memberAddr(&m))
		}
	}
	if len(alive) == 0 {
		return ""
	}
	return alive[rand.IntN(len(alive))]
}
