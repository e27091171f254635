package programs

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// mysql is a MariaDB server with a data directory of its own.
type mysql struct {
	server  string // the program
	dir     string
	host    string
	running *program
}

// newMySQL makes the data directory.
func newMySQL(t *testing.T) *mysql {
	t.Helper()
	m := &mysql{server: tool(t, "mariadbd"), dir: t.TempDir(), host: shared.client().host()}
	_, err := output(tool(t, "mariadb-install-db"), "--no-defaults", "--user=root", "--datadir="+m.dir+"/data", "--auth-root-authentication-method=normal", "--skip-test-db")
	must(t, err)
	write(t, m.dir, "init.sql", "CREATE USER IF NOT EXISTS app IDENTIFIED BY 'app';\n")
	return m
}

// start starts the server and waits until it greets as MySQL does.
func (m *mysql) start(t *testing.T) {
	t.Helper()
	m.running = launch(t, m.dir, m.server, "--no-defaults", "--user=root", "--datadir="+m.dir+"/data", "--socket="+m.dir+"/socket",
		"--pid-file="+m.dir+"/pid", "--bind-address="+m.host, "--port=3306", "--init-file="+m.dir+"/init.sql",
		"--skip-name-resolve", "--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M", "--performance-schema=off")
	eventually(t, "MariaDB greets", func() error {
		if err := m.running.alive(); err != nil {
			t.Fatal(err)
		}
		return m.greets()
	})
}

// greets fails unless the first packet is the protocol's greeting: three bytes of
// length, one of sequence, version 10, the server's version.
func (m *mysql) greets() error {
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(m.host, "3306"), time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(time.Second)) // a dead connection fails the read
	buf := make([]byte, 256)
	n, err := conn.Read(buf)
	if err != nil {
		return err
	}
	if n < 6 || buf[4] != 10 || !strings.Contains(string(buf[5:n]), "MariaDB") {
		return fmt.Errorf("greeting %q", buf[:n])
	}
	return nil
}

// finds fails unless an agent says by DNS and over HTTP that the service has
// exactly its one healthy instance, or none.
func (a *agent) finds(dig, service, port string, want bool) error {
	srv, err := output(dig, "@"+a.host(), "-p", "8600", "+short", "+tries=1", "+time=1", "SRV", service+".service.consul")
	if err != nil {
		return err
	}
	rows, _, err := a.api.Health().Service(service, "", true, nil)
	if err != nil {
		return err
	}
	switch {
	case !want && (srv != "" || len(rows) != 0):
		return fmt.Errorf("still there: SRV %q, %d instances over HTTP", srv, len(rows))
	case want && (len(rows) != 1 || fmt.Sprint(rows[0].Service.Port) != port || !strings.HasPrefix(srv, "1 1 "+port+" ") || strings.Contains(srv, "\n")):
		return fmt.Errorf("SRV %q, %d instances over HTTP", srv, len(rows))
	}
	return nil
}

// everywhere waits until every agent finds the service, or none does, and fails
// when one of them took longer than bound.
func everywhere(t *testing.T, from time.Time, bound time.Duration, service, port string, want bool) {
	t.Helper()
	dig := tool(t, "dig")
	took := make([]time.Duration, len(shared.agents))
	var wg sync.WaitGroup
	for i, a := range shared.agents {
		wg.Go(func() {
			again := time.NewTicker(tick)
			defer again.Stop()
			for {
				err := a.finds(dig, service, port, want)
				if took[i] = time.Since(from); err == nil {
					return
				}
				if took[i] > bound {
					t.Errorf("%s: %v", a.name(), err)
					return
				}
				<-again.C
			}
		})
	}
	wg.Wait()
	for i, a := range shared.agents {
		if took[i] > bound {
			t.Errorf("%s finds %s (%t) after %v, more than %v", a.name(), service, want, took[i], bound)
		}
	}
	t.Logf("%s is found (%t) after %v; the bound is %v", service, want, took, bound)
	if t.Failed() {
		t.FailNow()
	}
}

// TestMySQL is docs/how-to/register-a-service.md with a real server: found by
// dig and over HTTP at every agent while it runs, and not while it does not.
func TestMySQL(t *testing.T) {
	m := newMySQL(t)
	client := shared.client()
	const interval = 2 * time.Second // of the page's check
	// The rest is for a machine that does other things; what it takes is in the log.
	const bound = interval + 10*time.Second
	definition := shown(t, "register-a-service.md", "json", 0, "127.0.0.1:3306", client.host()+":3306", `"interval": "2s"`, `"interval": "`+interval.String()+`"`)
	_, err := output(shared.binary, "services", "register", "-http-addr=http://"+client.p.Spec.HTTPAddr(), write(t, m.dir, "mysql.json", definition))
	must(t, err)
	t.Cleanup(func() { retire(t, client, "mysql-1") })
	eventually(t, "the catalog has it", func() error {
		rows, _, err := client.api.Catalog().Service("mysql", "primary", nil)
		if err == nil && len(rows) != 1 {
			err = fmt.Errorf("%d instances", len(rows))
		}
		return err
	})
	everywhere(t, time.Now(), bound, "mysql", "3306", false) // it does not run yet

	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		m.start(t)
		everywhere(t, time.Now(), bound, "mysql", "3306", true)
		m.query(t, client)
		gone := time.Now()
		m.running.stop(signal)
		if signal == syscall.SIGTERM {
			gone = time.Now() // it serves while it shuts down
		}
		t.Logf("the server ended by %v", signal)
		everywhere(t, gone, bound, "mysql", "3306", false)
	}
	m.start(t)
	everywhere(t, time.Now(), bound, "mysql", "3306", true)
}

// query lets the MySQL client ask the server that DNS names.
func (m *mysql) query(t *testing.T, a *agent) {
	t.Helper()
	dig := tool(t, "dig")
	at := func(kind, name string) string {
		out, err := output(dig, "@"+a.host(), "-p", "8600", "+short", kind, name)
		must(t, err)
		return out
	}
	srv := strings.Fields(at("SRV", "primary.mysql.service.consul"))
	if len(srv) != 4 {
		t.Fatalf("SRV %q", srv)
	}
	got, err := output(tool(t, "mariadb"), "--no-defaults", "--host="+at("A", srv[3]), "--port="+srv[2], "--user=app", "--password=app", "--batch", "--skip-column-names", "--execute=SELECT @@port + 1")
	if err != nil || got != "3307" {
		t.Errorf("the client got %q, %v", got, err)
	}
}
