package gossip

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/logging"
	"github.com/ctl-sh/ctl/internal/signal"
)

const (
	// firstRetry is the first pause of a join that failed. Agents started
	// together find each other within it; Consul waits out retry_interval.
	firstRetry = 250 * time.Millisecond
	// DefaultRetryInterval is the default of retry_interval.
	DefaultRetryInterval = 30 * time.Second
)

// RetryJoinConfig describes how an agent finds its first members.
type RetryJoinConfig struct {
	// Addresses are the retry_join addresses. This agent's own may be among
	// them.
	Addresses []string
	// Interval is the longest pause between attempts (retry_interval).
	Interval time.Duration
	// MaxAttempts ends the agent when that many intervals have passed
	// without success; 0 tries for ever (retry_max).
	MaxAttempts int
}

// JoinState says how far a [RetryJoin] is.
type JoinState uint8

const (
	// JoinIdle has nothing to join: no addresses, no previous members.
	JoinIdle JoinState = iota
	// JoinTrying is before the first success.
	JoinTrying
	// JoinAlone has reached nobody but this agent itself, which is in its
	// own list: the first agent of a cluster is.
	JoinAlone
	// JoinDone has joined another member.
	JoinDone
	// JoinGaveUp has tried retry_max times.
	JoinGaveUp
)

// String returns a word for the state, which the HTTP API shows.
func (s JoinState) String() string {
	return [...]string{"idle", "trying", "alone", "joined", "gave-up"}[s]
}

// JoinProgress is what a [RetryJoin] has done so far.
type JoinProgress struct {
	State JoinState
	// Pool is the pool being joined.
	Pool Kind
	// Attempts counts the attempts made.
	Attempts int
	// Failures are the addresses the last attempt did not reach.
	Failures []AddressError
	// NextTry is when the next attempt is made; zero if there is none.
	NextTry time.Time
}

// String returns one line for a service manager's status or a banner.
func (p JoinProgress) String() string {
	switch p.State {
	case JoinTrying:
		if p.Attempts == 0 {
			return "joining the " + p.Pool.String() + " pool"
		}
		return fmt.Sprintf("joining the %s pool: attempt %d reached none of %s", p.Pool, p.Attempts, p.addresses())
	case JoinAlone:
		return fmt.Sprintf("waiting for other agents in the %s pool (attempt %d)", p.Pool, p.Attempts)
	case JoinDone:
		return "joined the " + p.Pool.String() + " pool"
	case JoinGaveUp:
		return fmt.Sprintf("gave up joining the %s pool after %d attempts", p.Pool, p.Attempts)
	default:
		return ""
	}
}

func (p JoinProgress) addresses() string {
	addrs := make([]string, len(p.Failures))
	for i, f := range p.Failures {
		addrs[i] = f.Addr
	}
	return strings.Join(addrs, ", ")
}

// RetryJoin joins a pool at start, and keeps trying until it has reached
// somebody else.
//
// The first attempt is made at once, the next ones after short pauses that grow
// to the interval, so that agents started together form a pool at once. It is
// done when an address of its list is an alive member, whoever joined whom. The
// members of the snapshot file count as addresses too. An agent that finds only
// itself in its list goes on trying, and retry_max does not end it.
type RetryJoin struct {
	pool     *Pool
	cfg      RetryJoinConfig
	log      *slog.Logger
	progress signal.Value[JoinProgress]
}

// NewRetryJoin checks the addresses. Cloud auto-join strings ("provider=…") are
// refused with Unsupported.
func NewRetryJoin(pool *Pool, cfg RetryJoinConfig) (*RetryJoin, error) {
	for _, a := range cfg.Addresses {
		if strings.Contains(a, "provider=") {
			return nil, failure.Newf(failure.Unsupported, "retry_join: %q: cloud auto-join is not supported: "+
				"list addresses (host, host:port), or a DNS name that resolves to the servers", a)
		}
		if _, _, err := splitAddress(strings.TrimSpace(a), DefaultLANPort); err != nil {
			return nil, failure.Newf(failure.Invalid, "retry_join: %w", err)
		}
	}
	if cfg.Interval <= 0 {
		cfg.Interval = DefaultRetryInterval
	}
	r := &RetryJoin{pool: pool, cfg: cfg, log: pool.log}
	r.progress.Set(JoinProgress{Pool: pool.Kind()})
	return r, nil
}

// Progress returns what has been done so far, for display.
func (r *RetryJoin) Progress() *signal.Value[JoinProgress] { return &r.progress }

// Run calls ready at once, joins, and then waits for ctx to end. It fails only
// when retry_max is exceeded. The pool must be ready.
func (r *RetryJoin) Run(ctx context.Context, ready func()) error {
	ready()
	if err := r.join(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func (r *RetryJoin) join(ctx context.Context) error {
	addrs := append(append([]string{}, r.cfg.Addresses...), r.pool.Previous()...)
	if len(addrs) == 0 {
		return nil
	}
	r.log.Info("joining pool", "pool", r.pool.Kind().String(), "addresses", strings.Join(addrs, ","))
	r.publish(JoinProgress{State: JoinTrying})
	start, pause := time.Now(), min(firstRetry, r.cfg.Interval)
	for attempt := 1; ; attempt++ {
		done := r.pool.joining()
		targets, report := r.pool.resolve(ctx, addrs)
		report, err := r.attempt(ctx, targets, report)
		done()
		if err != nil {
			return err
		}
		if report.joined > 0 {
			r.publish(JoinProgress{State: JoinDone, Attempts: attempt})
			r.log.Info("joined pool", "pool", r.pool.Kind().String(), "attempt", attempt,
				"members", len(r.pool.Members()))
			return nil
		}
		if r.exceeded(start, report) {
			r.publish(JoinProgress{State: JoinGaveUp, Attempts: attempt, Failures: report.failures})
			return failure.Newf(failure.Unavailable, "retry_max exceeded: none of the retry_join addresses could be "+
				"joined in %s: %w", time.Since(start).Round(time.Second), &JoinError{Failures: report.failures})
		}
		wait := jitter(pause)
		pause = min(2*pause, r.cfg.Interval)
		r.report(attempt, report, wait)
		if err := r.wait(ctx, wait, targets); err != nil {
			return err
		}
	}
}

// attempt makes one round. A listed address that is an alive member already,
// because it joined us, counts as joined.
func (r *RetryJoin) attempt(ctx context.Context, targets []target, report joinReport) (joinReport, error) {
	if r.pool.knows(targets) {
		report.joined = 1
		return report, nil
	}
	return r.pool.joinTargets(ctx, targets, report)
}

// wait pauses between attempts, and ends early when a listed address has become
// a member by itself.
func (r *RetryJoin) wait(ctx context.Context, pause time.Duration, targets []target) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		_, changed := r.pool.Changes().Watch()
		if r.pool.knows(targets) {
			return ctx.Err()
		}
		select {
		case <-timer.C:
			return nil
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// exceeded reports whether retry_max is used up. It is counted in time, because
// the first attempts are so close together, and only against lists of others.
func (r *RetryJoin) exceeded(start time.Time, report joinReport) bool {
	if r.cfg.MaxAttempts <= 0 || report.self || len(r.cfg.Addresses) == 0 {
		return false
	}
	return time.Since(start) >= time.Duration(r.cfg.MaxAttempts)*r.cfg.Interval
}

// report logs a failed attempt and publishes it.
func (r *RetryJoin) report(attempt int, report joinReport, wait time.Duration) {
	state := JoinTrying
	if report.self {
		state = JoinAlone
	}
	r.publish(JoinProgress{
		State: state, Attempts: attempt, Failures: report.failures, NextTry: time.Now().Add(wait),
	})
	next := wait.Round(time.Millisecond).String()
	if len(report.failures) == 0 {
		level := slog.LevelDebug
		if attempt == 1 {
			level = slog.LevelInfo
		}
		r.log.Log(context.Background(), level, "nobody to join yet: every address is this agent itself",
			"attempt", attempt, "next_try_in", next)
		return
	}
	for _, f := range report.failures {
		r.log.Warn("address not joined", logging.KeyAddress, f.Addr, logging.KeyError, f.Err, "attempt", attempt)
	}
	r.log.Warn("nobody joined, trying again", "pool", r.pool.Kind().String(), "attempt", attempt, "next_try_in", next)
}

func (r *RetryJoin) publish(p JoinProgress) {
	p.Pool = r.pool.Kind()
	r.progress.Set(p)
}

// jitter spreads d by a quarter both ways, so that agents started together do
// not dial each other in step.
func jitter(d time.Duration) time.Duration {
	return d*3/4 + rand.N(d/2+1)
}
