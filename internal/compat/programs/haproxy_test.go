package programs

import (
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// greeter is a TCP service that says its own address and closes.
func greeter(t *testing.T, host string) string {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	must(t, err)
	t.Cleanup(func() { l.Close() })
	own := l.Addr().String()
	go func() { // ends with the listener
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, own) // a check of the balancer hangs up first
			conn.Close()
		}
	}()
	return own
}

// servers asks HAProxy for the state of a backend's servers that are in use, by
// address.
func servers(socket, backend string) (map[string]string, error) {
	conn, err := net.DialTimeout("unix", socket, time.Second)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "show stat\n"); err != nil {
		return nil, err
	}
	rows, err := csv.NewReader(conn).ReadAll()
	if err != nil {
		return nil, err
	}
	column := func(name string) int { return slices.Index(rows[0], name) }
	state, addr := column("status"), column("addr")
	if state < 0 || addr < 0 {
		return nil, fmt.Errorf("columns %v", rows[0])
	}
	out := map[string]string{}
	for _, row := range rows[1:] {
		if row[0] == backend && !slices.Contains([]string{"FRONTEND", "BACKEND"}, row[1]) && !strings.HasPrefix(row[state], "MAINT") {
			out[row[addr]] = row[state]
		}
	}
	return out, nil
}

// TestHAProxy is docs/how-to/haproxy-by-dns.md: a backend follows the SRV records
// of a service as it grows, shrinks and is in maintenance, and traffic flows.
func TestHAProxy(t *testing.T) {
	const service, slots = "mysql", 10 // as on the page
	client := shared.client()
	dir := t.TempDir()
	front := net.JoinHostPort(client.host(), "3307")
	socket := filepath.Join(dir, "stats")
	conf := write(t, dir, "haproxy.cfg", "global\n    stats socket "+socket+"\n\ndefaults\n    timeout connect 2s\n    timeout client 5s\n    timeout server 5s\n\n"+
		shown(t, "haproxy-by-dns.md", "haproxy", 0, "127.0.0.1:8600", client.host()+":8600", "127.0.0.1:3307", front))
	p := launch(t, dir, tool(t, "haproxy"), "-f", conf, "-db")

	// They are on every node; half of them have an address of their own.
	type instance struct {
		a  *agent
		id string
	}
	running := map[string]instance{}
	grow := func(n int) {
		t.Helper()
		for i := len(running); i < n; i++ {
			a := shared.agents[i%len(shared.agents)]
			reg := &api.AgentServiceRegistration{ID: service + "-" + strconv.Itoa(i), Name: service}
			host := a.host()
			if i%2 == 1 {
				host = shared.alloc.Loopback(1)[0]
				reg.Address = host
			}
			at := greeter(t, host)
			_, port, err := net.SplitHostPort(at)
			must(t, err)
			reg.Port, err = strconv.Atoi(port)
			must(t, err)
			serve(t, a, reg)
			running[at] = instance{a, reg.ID}
		}
	}
	// up waits until HAProxy has n servers up, all of them ours and among them
	// all that are there if they have room.
	up := func(what string, n int) []string {
		t.Helper()
		began := time.Now()
		var got map[string]string
		eventually(t, what, func() (err error) {
			if err := p.alive(); err != nil {
				t.Fatal(err)
			}
			if got, err = servers(socket, service); err != nil {
				return err
			}
			if len(got) != n {
				return fmt.Errorf("%d servers, want %d: %v", len(got), n, got)
			}
			for at, state := range got {
				if _, ok := running[at]; !ok || state != "UP" {
					return fmt.Errorf("server %s is %s, ours: %t", at, state, ok)
				}
			}
			return nil
		})
		t.Logf("%s: after %v", what, time.Since(began))
		return slices.Sorted(maps.Keys(got))
	}
	// reached makes connections until each server has answered one, and fails
	// if another does or one fails.
	reached := func(want []string) {
		t.Helper()
		answered := map[string]bool{}
		for range 20 * len(want) {
			conn, err := net.DialTimeout("tcp", front, 2*time.Second)
			must(t, err)
			said, err := io.ReadAll(conn)
			conn.Close()
			if err != nil || !slices.Contains(want, string(said)) {
				t.Fatalf("%q answers, %v; want one of %v", said, err, want)
			}
			answered[string(said)] = true
			if len(answered) == len(want) {
				return
			}
		}
		t.Fatalf("only %v answered of %v", answered, want)
	}

	up("it starts without an instance", 0)
	grow(3)
	reached(up("three instances", 3))
	grow(12)
	reached(up("twelve instances, ten slots", slots))

	kept := slices.Sorted(maps.Keys(running))[0]
	for at, i := range running {
		if at != kept {
			must(t, i.a.api.Agent().ServiceDeregister(i.id))
			delete(running, at)
		}
	}
	reached(up("one instance", 1))
	one := running[kept]
	must(t, one.a.api.Agent().EnableServiceMaintenance(one.id, "upgrade"))
	up("the last is in maintenance", 0)
	must(t, one.a.api.Agent().DisableServiceMaintenance(one.id))
	reached(up("and back", 1))
}
