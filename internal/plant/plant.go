// Package plant holds faults that are put into the product on purpose, so that
// the fault-injection harness can prove that it finds them.
//
// It is not a failure-injection framework: a fault is planted only to check the
// checker. Rules that keep it right: a normal build contains none of it (On is
// a constant false there, so the compiler drops the guarded code); a build with
// the tag "planted" has the faults named in the environment variable CTL_PLANT,
// separated by commas; every name is a constant here and has a test in
// internal/chaos that must find it.
package plant

// The faults that can be planted.
const (
	// StaleRead makes default reads answer from the asked server without
	// waiting for a read index.
	StaleRead = "stale-read"
	// EarlyAck makes the log store report entries as stored while the newest
	// batch is still only in memory.
	EarlyAck = "early-ack"
	// LostWakeup makes some blocking queries wait for their time-out although
	// what they watch has changed.
	LostWakeup = "lost-wakeup"
)

// Names returns all faults in a fixed order.
func Names() []string { return []string{StaleRead, EarlyAck, LostWakeup} }
