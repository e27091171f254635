package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Act is what a fault does to its target.
type Act string

// The acts. All but Transfer are undone at the end of the fault.
const (
	Kill     Act = "kill"     // SIGKILL; started again afterwards
	Pause    Act = "pause"    // SIGSTOP, then SIGCONT
	Isolate  Act = "isolate"  // cut off from the other servers, not from its clients
	Restart  Act = "restart"  // SIGTERM; started again afterwards
	Transfer Act = "transfer" // leadership handed to another server by request
)

// Target says which servers a fault hits; who that is, is decided when it does.
type Target string

// The targets.
const (
	Leader   Target = "leader"
	Follower Target = "follower"
	Majority Target = "majority" // the leader and one follower
	All      Target = "all"
)

// Fault is one fault of a run.
type Fault struct {
	Act    Act
	Target Target
	Before time.Duration // undisturbed load first
	Hold   time.Duration // from the fault to its end
	Pick   int           // which of the followers, counted from the leader
	// AtAck strikes at the very moment a write is acknowledged, with no other
	// write under way that would flush it along: the moment at which a write
	// that was acknowledged too early is lost.
	AtAck bool
}

func (f Fault) String() string {
	s := fmt.Sprintf("%s %s for %v", f.Act, f.Target, f.Hold)
	if f.AtAck {
		s += " at an acknowledgement"
	}
	return s
}

// Schedule yields an endless sequence of faults that depends on the seed only.
type Schedule struct {
	rand    *rand.Rand
	weights []weighted
}

type weighted struct {
	weight   int
	act      Act
	target   Target
	min, max time.Duration // of Hold
}

// mix is what runs are made of. Kills dominate: they are what a promise of
// durability is about.
var mix = []weighted{
	{30, Kill, Leader, 20 * time.Millisecond, 1500 * time.Millisecond},
	{10, Kill, Follower, 20 * time.Millisecond, 2 * time.Second},
	{15, Kill, All, 20 * time.Millisecond, 500 * time.Millisecond},
	{7, Kill, Majority, 20 * time.Millisecond, time.Second},
	{10, Pause, Leader, 200 * time.Millisecond, 4 * time.Second},
	{4, Pause, Follower, 200 * time.Millisecond, 3 * time.Second},
	{12, Isolate, Leader, 500 * time.Millisecond, 5 * time.Second},
	{4, Isolate, Follower, 500 * time.Millisecond, 4 * time.Second},
	{4, Restart, Leader, 20 * time.Millisecond, 500 * time.Millisecond},
	{2, Restart, Follower, 20 * time.Millisecond, 500 * time.Millisecond},
	{2, Transfer, Leader, 500 * time.Millisecond, time.Second},
}

// NewSchedule returns the sequence of the seed. Acts in without are left out;
// only, if not empty, leaves out all others.
func NewSchedule(seed uint64, only []Act, without ...Act) *Schedule {
	s := &Schedule{rand: rand.New(rand.NewPCG(seed, 0))}
	for _, w := range mix {
		if slices.Contains(without, w.act) || len(only) > 0 && !slices.Contains(only, w.act) {
			continue
		}
		s.weights = append(s.weights, w)
	}
	return s
}

// Next returns the next fault.
func (s *Schedule) Next() Fault {
	total := 0
	for _, w := range s.weights {
		total += w.weight
	}
	n := s.rand.IntN(total)
	for _, w := range s.weights {
		if n -= w.weight; n < 0 {
			return Fault{
				Act: w.act, Target: w.target,
				Before: 300*time.Millisecond + upTo(s.rand, 500*time.Millisecond),
				Hold:   w.min + upTo(s.rand, w.max-w.min),
				Pick:   s.rand.IntN(1 << 16),
				AtAck:  s.rand.IntN(2) == 0 && w.act == Kill,
			}
		}
	}
	panic("chaos: weights do not add up") // cannot happen: n < total
}

// upTo returns a random duration of at most n, in milliseconds.
func upTo(r *rand.Rand, n time.Duration) time.Duration {
	return time.Duration(r.Int64N(int64(n) + 1)).Round(time.Millisecond)
}
