package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ctl-sh/ctl/internal/e2e/agentproc"
)

// Cluster is a number of servers on a fabric, and of client agents, which are
// numbered after them. Methods that change agents are for one goroutine; Run and
// Client may be used at any time.
type Cluster struct {
	fabric  Fabric
	specs   []agentproc.Spec
	clients []*http.Client

	mu    sync.Mutex
	procs []*agentproc.Process // nil before the first start
	runs  []int                // how often each has been started
}

// ClusterConfig says what to run.
type ClusterConfig struct {
	Binary  string
	Dir     string // each server's files are in a directory of its own below
	Servers int
	Clients int // client agents
	Env     []string
	Extra   map[string]any // further configuration keys of every agent
}

// NewCluster prepares the agents without starting them.
func NewCluster(c ClusterConfig, f Fabric) *Cluster {
	n := c.Servers + c.Clients
	cl := &Cluster{fabric: f, procs: make([]*agentproc.Process, n), runs: make([]int, n)}
	var join []string
	for i := range c.Servers {
		join = append(join, f.Bind(i))
	}
	for i := range n {
		spec := agentproc.Spec{
			Binary: c.Binary, Name: "server" + strconv.Itoa(i),
			Bind: f.Bind(i), Client: f.Client(i), Server: true, Expect: c.Servers, Join: join,
			Extra: c.Extra, Env: c.Env,
			Spawn: func(cmd *exec.Cmd) error { return f.Spawn(i, cmd) },
		}
		if i >= c.Servers {
			spec.Name, spec.Server, spec.Expect = "client"+strconv.Itoa(i-c.Servers), false, 0
		}
		spec.Dir = filepath.Join(c.Dir, spec.Name)
		cl.specs = append(cl.specs, spec)
		cl.clients = append(cl.clients, newHTTPClient(f.Dial(i)))
	}
	return cl
}

func newHTTPClient(dial func(context.Context, string, string) (net.Conn, error)) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext:         dial,
		MaxIdleConnsPerHost: 64,
		DisableCompression:  true,
	}}
}

// Len returns the number of agents.
func (c *Cluster) Len() int { return len(c.specs) }

// Start starts server i, which must not run.
func (c *Cluster) Start(i int) error {
	p, err := agentproc.Start(c.specs[i])
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.procs[i] = p
	c.runs[i]++
	return nil
}

// Run tells which run of server i this is: 1 after the first start.
func (c *Cluster) Run(i int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.runs[i]
}

func (c *Cluster) proc(i int) *agentproc.Process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.procs[i]
}

// Kill kills the servers at the same moment and waits for their end.
func (c *Cluster) Kill(servers ...int) {
	var wg sync.WaitGroup
	for _, i := range servers {
		if p := c.proc(i); p != nil {
			wg.Go(p.Kill)
		}
	}
	wg.Wait()
}

// CheckRunning returns an error that names a server which ended by itself.
func (c *Cluster) CheckRunning() error {
	for i := range c.specs {
		if p := c.proc(i); p != nil && !p.Running() {
			return fmt.Errorf("%s ended by itself: %w\n%s", p.Spec.Name, p.Err(), p.LogTail(3000))
		}
	}
	return nil
}

// Close kills all servers.
func (c *Cluster) Close() {
	for i := range c.specs {
		c.Kill(i)
		c.clients[i].CloseIdleConnections()
	}
}

// url returns the address of a path at server i.
func (c *Cluster) url(i int, path string) string {
	return "http://" + c.specs[i].HTTPAddr() + path
}

// answer is a whole HTTP answer.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// ask sends one request to server i and reads the whole answer.
func (c *Cluster) ask(ctx context.Context, i int, method, path, body string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.url(i, path), strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	resp, err := c.clients[i].Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	return answer{resp.StatusCode, resp.Header, data}, nil
}

// ErrNoLeader says that no majority of the servers names the same leader.
var ErrNoLeader = errors.New("no leader")

// Leader returns the server that a majority of the agents takes for the leader.
func (c *Cluster) Leader(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	votes := make([]int, c.Len())
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range c.Len() {
		wg.Go(func() {
			a, err := c.ask(ctx, i, http.MethodGet, "/v1/status/leader", "")
			if err != nil || a.status != http.StatusOK {
				return
			}
			host, _, err := net.SplitHostPort(strings.Trim(strings.TrimSpace(string(a.body)), `"`))
			if err != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for j := range c.Len() {
				if c.fabric.Bind(j) == host {
					votes[j]++
				}
			}
		})
	}
	wg.Wait()
	for j, n := range votes {
		if n > c.Len()/2 {
			return j, nil
		}
	}
	return 0, ErrNoLeader
}
