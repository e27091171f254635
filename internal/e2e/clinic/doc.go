// Package clinic prepares clusters that have one thing wrong, of real agents
// with real disks, clocks and networks, and has `ctl doctor` find it.
//
// Only what it takes to make a cluster really sick belongs here: what doctor
// makes of answers is tested with answers, in package cli/doctor. Each patient
// says all that is to be found; anything besides is a failure, as is a finding
// without evidence or cure.
package clinic
