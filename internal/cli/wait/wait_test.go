package wait

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/cli/clitest"
	"github.com/spf13/cobra"
)

// quick is the command with pauses that a test does not notice.
func quick(f *cli.Factory) *cobra.Command { return newCommand(f, time.Millisecond, time.Millisecond) }

// answer is one answer of an agent that changes its mind.
type answer struct {
	status int
	index  int
	body   string
}

// changing is an agent that gives its answers one after the other, and blocks
// after the last until the client goes. It remembers what it was asked.
type changing struct {
	answers []answer

	mu    sync.Mutex
	asked []string
}

func (c *changing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	n := len(c.asked)
	c.asked = append(c.asked, r.URL.RequestURI())
	c.mu.Unlock()
	if n >= len(c.answers) {
		<-r.Context().Done()
		return
	}
	a := c.answers[n]
	w.Header().Set("X-Consul-Index", fmt.Sprint(a.index))
	if a.status != 0 {
		w.WriteHeader(a.status)
	}
	_, _ = w.Write([]byte(a.body))
}

func instance(id, status string) string {
	return fmt.Sprintf(`{"Node":{"Node":"n1"},"Service":{"ID":%q,"Service":"web"},"Checks":[{"Status":%q}]}`, id, status)
}

func TestWait(t *testing.T) {
	const web = "/v1/health/service/web"
	tests := []struct {
		name    string
		args    string
		answers []answer
		code    int
		out     string
		err     string
		asked   []string // nil: not looked at
	}{
		{
			name: "leader, through no leader and a failing agent", args: "leader",
			answers: []answer{{body: `""`}, {status: 500, body: "No cluster leader"}, {body: `"10.0.0.1:8300"`}},
			out:     "leader: 10.0.0.1:8300\n",
		},
		{
			name: "only members that are alive count", args: "members=2",
			answers: []answer{
				{body: `[{"Name":"a","Status":1},{"Name":"b","Status":4},{"Name":"c","Status":3}]`},
				{body: `[{"Name":"b","Status":1},{"Name":"a","Status":1}]`},
			},
			out: "members=2: 2 alive (a, b)\n",
		},
		{
			name: "exactly so many members", args: "-timeout=100ms members=1", code: 15,
			answers: []answer{{body: `[{"Name":"a","Status":1},{"Name":"b","Status":1}]`}},
			err:     "Still not so after 100ms (-timeout): members=1. Last seen: 2 alive (a, b)\n",
		},
		{
			name: "a service, by its index", args: "service/web passing>=2",
			answers: []answer{
				{index: 7, body: `[]`},
				{index: 9, body: "[" + instance("w1", "passing") + "," + instance("w2", "warning") + "]"},
				{index: 12, body: "[" + instance("w1", "passing") + "," + instance("w2", "passing") + "]"},
			},
			out:   "service/web passing>=2: 2 passing (w1 on n1, w2 on n1), of 2 registered\n",
			asked: []string{web, web + "?index=7", web + "?index=9"},
		},
		{
			name: "an index that went back begins anew", args: "service/web",
			answers: []answer{{index: 9, body: `[]`}, {index: 3, body: `[]`}, {index: 4, body: "[" + instance("w1", "passing") + "]"}},
			out:     "service/web passing>=1: 1 passing (w1 on n1), of 1 registered\n",
			asked:   []string{web, web + "?index=9", web},
		},
		{
			name: "no instance any more", args: "service/web passing=0",
			answers: []answer{{index: 5, body: "[" + instance("w1", "passing") + "]"}, {index: 6, body: `[]`}},
			out:     "service/web passing=0: 0 passing, of 0 registered\n",
		},
		{
			name: "a key that comes", args: "kv /a/b",
			answers: []answer{{status: 404, index: 4}, {index: 5, body: `[{"Key":"a/b","Value":"eA=="}]`}},
			out:     "kv a/b: exists\n", asked: []string{"/v1/kv/a/b", "/v1/kv/a/b?index=4"},
		},
		{
			name: "a key's value", args: "kv a=x=y",
			answers: []answer{{index: 4, body: `[{"Key":"a","Value":"eA=="}]`}, {index: 5, body: `[{"Key":"a","Value":"eD15"}]`}},
			out:     "kv a=x=y: so it is\n",
		},
		{
			name: "the same without saying that it is a key", args: "a/b=x",
			answers: []answer{{index: 4, body: `[{"Key":"a/b","Value":"eA=="}]`}},
			out:     "kv a/b=x: so it is\n",
		},
		{
			name: "an empty value", args: "kv a=", answers: []answer{{index: 4, body: `[{"Key":"a","Value":null}]`}},
			out: "kv a=: so it is\n",
		},
		{
			name: "time runs out while it blocks", args: "-timeout=100ms kv a=y", code: 15,
			answers: []answer{{index: 4, body: `[{"Key":"a","Value":"eA=="}]`}},
			err:     "Still not so after 100ms (-timeout): kv a=y. Last seen: the key has another value, of 1 bytes\n",
		},
		{
			name: "a refused token ends it at once", args: "kv a", code: 12,
			answers: []answer{{status: 403, body: "Permission denied"}},
			err:     "Error waiting for kv a: ",
		},
		{
			name: "as data", args: "-o name leader", answers: []answer{{body: `"10.0.0.1:8300"`}}, out: "leader\n",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				agent := &changing{answers: test.answers}
				got := clitest.Do(t, quick, clitest.Run{Args: append([]string{"wait"}, strings.Fields(test.args)...), Dial: clitest.InMemory(t, agent)})
				if got.Code != test.code || got.Out != test.out {
					t.Errorf("got %d %q, want %d %q", got.Code, got.Out, test.code, test.out)
				}
				if (test.err == "") != (got.Err == "") || !strings.HasPrefix(got.Err, test.err) {
					t.Errorf("standard error %q, want it to begin with %q", got.Err, test.err)
				}
				if test.asked != nil && strings.Join(agent.asked, " ") != strings.Join(test.asked, " ") {
					t.Errorf("asked %q, want %q", agent.asked, test.asked)
				}
			})
		})
	}
}

func TestUnreachableIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nobody := func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
		got := clitest.Do(t, quick, clitest.Run{Args: []string{"wait", "-timeout=50ms", "leader"}, Dial: nobody})
		if got.Code != 15 || !strings.Contains(got.Err, "connection refused") {
			t.Errorf("got %d %q, want 15 and why nothing was answered", got.Code, got.Err)
		}
	})
}

func TestConditionsThatAreNotUnderstood(t *testing.T) {
	clitest.Check(t, quick, []clitest.Case{
		{Name: "none", Args: "wait", Code: 1, Err: "a condition is missing: leader, members=N, service/NAME or kv KEY\n"},
		{Name: "unknown", Args: "wait node/n1", Code: 1, Err: `unknown condition "node/n1": use leader,`},
		{Name: "a misspelt condition is no key", Args: "wait member=3", Code: 1, Err: `unknown condition "member=3": use leader,`},
		{Name: "a value without a key", Args: "wait =3", Code: 1, Err: `unknown condition "=3": use leader,`},
		{Name: "no number", Args: "wait members=many", Code: 1, Err: `"members=many" is not understood: write members=N or members>=N`},
		{Name: "negative", Args: "wait members=-1", Code: 1, Err: `"members=-1" is not understood`},
		{Name: "no equal sign", Args: "wait members>3", Code: 1, Err: `"members>3" is not understood`},
		{Name: "no service", Args: "wait service/", Code: 1, Err: "a service's name is missing: write service/NAME\n"},
		{Name: "another word behind a service", Args: "wait service/web failing>=1", Code: 1, Err: `"failing>=1" is not understood: write passing=N`},
		{Name: "no key", Args: "wait kv", Code: 1, Err: "a key is missing"},
		{Name: "empty key", Args: "wait kv =x", Code: 1, Err: `"=x" names no key`},
		{Name: "two", Args: "wait leader kv", Code: 1, Err: `"kv" is too much behind leader: wait for one condition at a time`},
		{Name: "negative time", Args: "wait -timeout=-1s leader", Code: 1, Err: "-timeout -1s is negative; 0 waits for ever\n"},
	})
}
