// Package e2e tests the real ctl program with scripts: configuration
// directories, sockets, signals, exit codes.
//
// The scripts are testdata/script/<noun>/*.txtar in the language of
// github.com/rogpeppe/go-internal/testscript, one story a file. Each script has
// loopback addresses of its own in $A1 to $A4, so that scripts run side by side
// on the standard ports, and $HOME is its working directory. Verbs beside
// testscript's own:
//
//	agent NAME ARGS...      start ctl agent ARGS in the background; its output
//	                        is NAME.log; ended with the script
//	start NAME COMMAND...   the same for any ctl command
//	signal NAME SIGNAL      send SIGNAL
//	halt NAME [SIGNAL]      send SIGTERM, or SIGNAL, and wait for the end
//	exit NAME CODE          wait for the end and compare the exit code
//	logged NAME REGEXP      wait until NAME.log matches; with ! it must not now
//	ready ADDRESS...        wait until each agent acknowledges a write
//	roles NAME=ADDRESS...   wait until these servers agree on a leader among
//	                        them; sets $LEADER and $LEADER_AT, and for the
//	                        others $FOLLOWER1, $FOLLOWER1_AT and so on
//	eventually CMD ARGS...  repeat a ctl command, or the verb http or dns, until
//	                        it succeeds (http: with a status below 400); with
//	                        -out REGEXP also until its output matches, with
//	                        -log NAME REGEXP until NAME.log does
//	http METHOD URL [BODY]  send a request; status, headers and body are
//	                        stdout; BODY @FILE is the file's content
//	dns ADDRESS TYPE NAME   ask the agent's DNS server; the response code and
//	                        then answers and additional records are stdout
//	listen ADDRESS:PORT     hold the port open as a TCP service does; with ! no
//	                        longer
//	found NAME PORT ADDRESS...
//	                        wait until DNS (SRV, A) and HTTP of each agent say
//	                        that the service has one healthy instance, on PORT;
//	                        with ! that it has none
//	quiet TIME ADDRESS      wait until the server's Raft log has not grown for
//	                        TIME
//	send ADDRESS FILE       send the bytes of FILE, with LF sent as CRLF, end
//	                        the sending, and print what comes back
//	capture NAME REGEXP     set $NAME to the first group found in stdout
//	clock start             start measuring
//	clock LIMIT WHAT...     log the time since, and fail if it is over LIMIT
//	fill FILE SIZE          make a file of SIZE bytes
//	flip GLOB OFFSET        change one bit of the file
//	expand FILE...          replace ${NAME} in files by the script's variables
//
// Conditions beside testscript's own: [root], the scripts run as root.
//
// Only what takes the whole program belongs here; a rule that can be proved
// lower down is proved there.
package e2e
