package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
	"github.com/rogpeppe/go-internal/testscript"
)

// listenersKey is where a script keeps the ports it holds open.
type listenersKey struct{}

type listeners struct {
	mu        sync.Mutex
	byAddress map[string]net.Listener
}

func (l *listeners) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, open := range l.byAddress {
		_ = open.Close() // nobody reads from it
	}
}

// listen is a service as a TCP check sees one: it accepts, and says nothing.
func listen(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, false, args, 1, "[!] listen ADDRESS:PORT")
	held := ts.Value(listenersKey{}).(*listeners)
	held.mu.Lock()
	defer held.mu.Unlock()
	open := held.byAddress[args[0]]
	if neg {
		if open == nil {
			ts.Fatalf("nothing listens on %s", args[0])
		}
		delete(held.byAddress, args[0])
		ts.Check(open.Close())
		return
	}
	if open != nil {
		ts.Fatalf("%s is held already", args[0])
	}
	open, err := net.Listen("tcp", args[0])
	ts.Check(err)
	held.byAddress[args[0]] = open
	go func() { // ends with the listener
		for {
			conn, err := open.Accept()
			if err != nil {
				return
			}
			_ = conn.Close() // the check has what it wanted
		}
	}()
}

func dnsVerb(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 3, "dns ADDRESS TYPE NAME")
	out, err := named(args)()
	ts.Check(err)
	_, err = io.WriteString(ts.Stdout(), out)
	ts.Check(err)
}

// named asks the DNS server of an agent.
func named(args []string) func() (string, error) {
	return func() (string, error) {
		if len(args) != 3 {
			return "", errors.New("usage: dns ADDRESS TYPE NAME")
		}
		m, err := ask(args[0], args[1], args[2])
		if err != nil {
			return "", err
		}
		var out strings.Builder
		fmt.Fprintln(&out, dns.RcodeToString[m.Rcode])
		for _, section := range [][]dns.RR{m.Answer, m.Extra} {
			for _, rr := range section {
				fmt.Fprintln(&out, strings.ReplaceAll(rr.String(), "\t", " "))
			}
		}
		return out.String(), nil
	}
}

// ask puts one question over UDP, and again over TCP where the answer did not
// fit.
func ask(address, qtype, name string) (*dns.Msg, error) {
	t, ok := dns.StringToType[qtype]
	if !ok {
		return nil, fmt.Errorf("unknown type %q", qtype)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	q := new(dns.Msg).SetQuestion(dns.Fqdn(name), t)
	at := net.JoinHostPort(address, "8600")
	m, _, err := (&dns.Client{Timeout: patience}).ExchangeContext(ctx, q, at)
	if err == nil && m.Truncated {
		m, _, err = (&dns.Client{Net: "tcp", Timeout: patience}).ExchangeContext(ctx, q, at)
	}
	return m, err
}

// found waits until agents agree, by every way there is, on which ports a
// service is healthy.
func found(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, false, args, 3, "[!] found SERVICE PORT ADDRESS...")
	port, err := strconv.Atoi(args[1])
	ts.Check(err)
	for _, address := range args[2:] {
		poll(ts, fmt.Sprintf("found %s (not: %t) through %s", args[0], neg, address), requestTick, func() error {
			return lookUp(address, args[0], port, !neg)
		})
	}
}

// lookUp fails unless DNS and HTTP both say that a service has exactly the one
// healthy instance on port, or none.
func lookUp(address, service string, port int, want bool) error {
	srv, err := ask(address, "SRV", service+".service.consul")
	if err != nil {
		return err
	}
	a, err := ask(address, "A", service+".service.consul")
	if err != nil {
		return err
	}
	status, _, body, err := send(http.MethodGet, "http://"+address+":8500/v1/health/service/"+service+"?passing", "")
	if err != nil {
		return err
	}
	var rows []struct{ Service struct{ Port int } }
	if err := json.Unmarshal([]byte(body), &rows); err != nil || status != http.StatusOK {
		return fmt.Errorf("status %d: %s: %w", status, body, err)
	}
	if !want {
		if srv.Rcode != dns.RcodeNameError || a.Rcode != dns.RcodeNameError || len(rows) != 0 {
			return fmt.Errorf("still there: SRV %v, A %v, HTTP %s", srv.Answer, a.Answer, body)
		}
		return nil
	}
	if len(srv.Answer) != 1 || len(a.Answer) != 1 || len(rows) != 1 || rows[0].Service.Port != port {
		return fmt.Errorf("SRV %v, A %v, HTTP %s", srv.Answer, a.Answer, body)
	}
	if r, ok := srv.Answer[0].(*dns.SRV); !ok || int(r.Port) != port {
		return fmt.Errorf("SRV %v, want port %d", srv.Answer[0], port)
	}
	return nil
}

// quiet waits until nothing was added to a server's Raft log for a while.
func quiet(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 2, "quiet DURATION ADDRESS")
	span, err := time.ParseDuration(args[0])
	ts.Check(err)
	last, since := "", time.Now()
	poll(ts, "quiet "+strings.Join(args, " "), logTick, func() error {
		index, err := lastLogIndex(args[1])
		if err != nil {
			return err
		}
		if index != last {
			last, since = index, time.Now()
		}
		if got := time.Since(since); got < span {
			return fmt.Errorf("entry %s is only %v old", index, got)
		}
		return nil
	})
}

func lastLogIndex(address string) (string, error) {
	_, _, body, err := send(http.MethodGet, "http://"+address+":8500/v1/agent/self", "")
	if err != nil {
		return "", err
	}
	var self struct {
		Stats struct {
			Raft map[string]string `json:"raft"`
		}
	}
	if err := json.Unmarshal([]byte(body), &self); err != nil {
		return "", err
	}
	index := self.Stats.Raft["last_log_index"]
	if index == "" {
		return "", fmt.Errorf("%s has no Raft log", address)
	}
	return index, nil
}
