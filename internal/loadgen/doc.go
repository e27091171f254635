// Package loadgen measures ctl from outside: rates, latencies and the servers'
// processor time under closed-loop load, and how long starting, failing over
// and waking watchers take.
//
// It starts the agents it measures, as processes on loopback addresses with
// their data on disk and every write flushed. Rules that keep it right: a
// closed loop (a client sends its next request when the last is answered, so
// rates and latencies belong together); processor time is the agents' own, from
// the kernel, never the client's; an error is counted and shown, never mixed
// into latencies; the client is lean enough not to be what is measured.
package loadgen
