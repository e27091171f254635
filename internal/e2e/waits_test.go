package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// How often something is tried again: requests cost little, a process more.
const (
	requestTick = 25 * time.Millisecond
	logTick     = 25 * time.Millisecond
	commandTick = 150 * time.Millisecond
)

// poll calls try until it returns nil, and ends the script when that takes too long.
func poll(ts *testscript.TestScript, what string, every time.Duration, try func() error) {
	end := time.After(patience)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-end:
			ts.Fatalf("%s: not within %v: %v%s", what, patience, err, logs(ts))
		case <-tick.C:
		}
	}
}

func ready(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 1, "ready ADDRESS...")
	for _, address := range args {
		url := "http://" + address + ":8500/v1/kv/e2e/ready"
		poll(ts, "ready "+address, requestTick, func() error {
			status, _, body, err := send(http.MethodPut, url, "x")
			if err == nil && (status != http.StatusOK || strings.TrimSpace(body) != "true") {
				err = fmt.Errorf("status %d: %s", status, body)
			}
			return err
		})
	}
}

// roles waits until every server names the same leader, and says which is which.
func roles(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 1, "roles NAME=ADDRESS...")
	leader := ""
	poll(ts, "roles "+strings.Join(args, " "), requestTick, func() (err error) {
		leader, err = agreed(args)
		return err
	})
	followers := 0
	for _, server := range args {
		name, address, _ := strings.Cut(server, "=")
		role := "LEADER"
		if address != leader {
			followers++
			role = "FOLLOWER" + strconv.Itoa(followers)
		}
		ts.Setenv(role, name)
		ts.Setenv(role+"_AT", address)
	}
}

// agreed returns the address of the leader that all servers name, which must be
// one of them.
func agreed(servers []string) (leader string, err error) {
	var addresses []string
	for _, server := range servers {
		_, address, _ := strings.Cut(server, "=")
		addresses = append(addresses, address)
		_, _, body, err := send(http.MethodGet, "http://"+address+":8500/v1/status/leader", "")
		if err != nil {
			return "", err
		}
		named, _, _ := strings.Cut(strings.Trim(body, "\"\n"), ":")
		if leader != "" && named != leader {
			return "", fmt.Errorf("%s names %q, another server %q", address, named, leader)
		}
		leader = named
	}
	if !slices.Contains(addresses, leader) {
		return "", fmt.Errorf("the leader %q is none of them", leader)
	}
	return leader, nil
}

func eventually(ts *testscript.TestScript, neg bool, args []string) {
	var (
		match *regexp.Regexp
		log   string
		err   error
	)
	switch {
	case len(args) > 2 && args[0] == "-out":
		match, err = regexp.Compile("(?m)" + args[1])
		args = args[2:]
	case len(args) > 3 && args[0] == "-log":
		log = args[1] + ".log"
		match, err = regexp.Compile("(?m)" + args[2])
		args = args[3:]
	}
	ts.Check(err)
	usage(ts, neg, args, 1, "eventually [-out REGEXP | -log NAME REGEXP] COMMAND ARGS...")
	try, every := command(ts, args), commandTick
	switch args[0] {
	case "http":
		try, every = answered(args[1:]), requestTick
	case "dns":
		try, every = named(args[1:]), requestTick
	}
	out := ""
	poll(ts, "eventually "+strings.Join(args, " "), every, func() (err error) {
		out, err = try()
		searched := out
		if log != "" {
			searched = ts.ReadFile(log)
		}
		if err == nil && match != nil && !match.MatchString(searched) {
			err = fmt.Errorf("output does not match %q", match)
		}
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, out)
		}
		return err
	})
	_, err = ts.Stdout().Write([]byte(out))
	ts.Check(err)
}

// command runs a ctl command as exec does.
func command(ts *testscript.TestScript, args []string) func() (string, error) {
	return func() (string, error) {
		err := ts.Exec(ts.Getenv("CTL"), args...)
		out := ts.ReadFile("stdout")
		if err != nil {
			out += ts.ReadFile("stderr")
		}
		return out, err
	}
}

// answered sends a request, which must not be refused.
func answered(args []string) func() (string, error) {
	return func() (string, error) {
		if len(args) < 2 {
			return "", errors.New("usage: eventually http METHOD URL")
		}
		status, header, body, err := send(args[0], args[1], "")
		if err == nil && status >= http.StatusBadRequest {
			err = fmt.Errorf("status %d", status)
		}
		return printed(status, header, body), err
	}
}

// clockKey is where a script keeps the moment it started measuring.
type clockKey struct{}

func clock(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 1, "clock start, or clock LIMIT WHAT...")
	since := ts.Value(clockKey{}).(*time.Time)
	if args[0] == "start" {
		*since = time.Now()
		return
	}
	limit, err := time.ParseDuration(args[0])
	ts.Check(err)
	took := time.Since(*since).Round(time.Millisecond)
	ts.Logf("[%s: %v]", strings.Join(args[1:], " "), took)
	if took > limit {
		ts.Fatalf("%s took %v, more than %v", strings.Join(args[1:], " "), took, limit)
	}
}
