// Package e2e tests the real ctl program with scripts: configuration
// directories, sockets, signals, exit codes.
//
// The scripts are testdata/script/<noun>/*.txtar in the language of
// github.com/rogpeppe/go-internal/testscript, one story a file. Each script has
// loopback addresses of its own in $A1 to $A4, so that scripts run side by side
// on the standard ports. Verbs beside testscript's own:
//
//	agent NAME ARGS...      start ctl agent ARGS in the background; its output
//	                        is NAME.log; ended with the script
//	stop NAME [SIGNAL]      send SIGTERM, or SIGNAL, and wait for the end
//	exit NAME CODE          wait for the end and compare the exit code
//	ready ADDRESS...        wait until each agent acknowledges a write
//	eventually CMD ARGS...  repeat a ctl command until it succeeds; with
//	                        -out REGEXP also until its output matches
//	http METHOD URL [BODY]  send a request; status, headers and body are stdout
//
// Only what takes the whole program belongs here; a rule that can be proved
// lower down is proved there.
package e2e
