package health

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/cli/clitest"
	"github.com/hashicorp/consul/api"
)

type answers = map[string]clitest.Answer

const (
	leaderURL   = "GET /v1/status/leader"
	membersURL  = "GET /v1/agent/members"
	anyURL      = "GET /v1/health/state/any"
	servicesURL = "GET /v1/catalog/services"

	members = `[
{"Name":"s1","Addr":"10.0.0.1","Status":1,"Tags":{"role":"consul","port":"8300"}},
{"Name":"s2","Addr":"10.0.0.2","Status":4,"Tags":{"role":"consul","port":"8300"}},
{"Name":"c1","Addr":"10.0.0.3","Status":1,"Tags":{"role":"node"}},
{"Name":"c2","Addr":"10.0.0.4","Status":3,"Tags":{"role":"node"}}]`
	alone = `[{"Name":"s1","Addr":"10.0.0.1","Status":1,"Tags":{"role":"consul","port":"8300"}}]`

	passing = `{"Node":"s1","CheckID":"serfHealth","Status":"passing"}`
	dead    = `{"Node":"s2","CheckID":"serfHealth","Status":"critical","Output":"Agent not live or unreachable"}`
	slow    = `{"Node":"c1","CheckID":"http","Status":"warning","ServiceID":"web1","ServiceName":"web","Output":"slow\nvery"}`
	maint   = `{"Node":"c1","CheckID":"_service_maintenance:api","Status":"critical","ServiceID":"api","ServiceName":"api","Output":""}`
)

func cluster(leader, members, checks, services string) answers {
	return answers{
		leaderURL: {Body: `"` + leader + `"`}, membersURL: {Body: members},
		anyURL: {Body: "[" + checks + "]"}, servicesURL: {Body: services},
		"GET /v1/catalog/node/s2": {Body: `{"Node":{"Node":"s2"},"Services":{"db":{"ID":"db","Service":"db"}}}`},
	}
}

func TestSummary(t *testing.T) {
	stale := cluster("", alone, passing, `{}`)
	for _, url := range []string{membersURL, anyURL, servicesURL} {
		stale[url+"?stale="] = stale[url]
		delete(stale, url)
	}
	clitest.Check(t, NewCommand, []clitest.Case{
		{
			Name: "all is well", Args: "health", Answers: cluster("10.0.0.1:8300", alone, passing, `{"consul":[],"web":[]}`),
			Out: "Leader     s1 (10.0.0.1:8300)\nServers    1 alive\nClients    0 alive\nServices   2: 2 passing\nChecks     1: 1 passing\n\nAll checks pass.\n",
		},
		{
			Name: "the worst first; a dead node fails what is on it without a check", Args: "health", Code: 16,
			Answers: cluster("10.0.0.1:8300", members, strings.Join([]string{maint, slow, passing, dead}, ","), `{"consul":[],"web":[],"api":[],"db":[]}`),
			Out: "Leader     s1 (10.0.0.1:8300)\n" +
				"Servers    1 alive, 1 failed (s2)\n" +
				"Clients    1 alive, 1 left\n" +
				"Services   4: 1 passing, 1 warning, 1 critical, 1 in maintenance\n" +
				"Checks     4: 1 passing, 1 warning, 1 critical, 1 in maintenance\n\n" +
				"State        Node  Service  Check                     Output\n" +
				"critical     s2             serfHealth                Agent not live or unreachable\n" +
				"warning      c1    web1     http                      slow ...\n" +
				"maintenance  c1    api      _service_maintenance:api\n",
		},
		{
			Name: "warnings and maintenance are nothing critical", Args: "health -o name", Out: "c1/http\nc1/_service_maintenance:api\n",
			Answers: cluster("10.0.0.1:8300", alone, maint+","+slow, `{"web":[]}`),
		},
		{
			Name: "a failed member is critical though no check says so", Args: "health -o name", Code: 16,
			Answers: cluster("10.0.0.1:8300", members, passing, `{}`),
		},
		{
			Name: "no leader: what the server still knows", Args: "health", Code: 16, Answers: stale,
			Out: "Leader     none: nothing can be written, and what follows may be old\nServers    1 alive\nClients    0 alive\nServices   0\nChecks     1: 1 passing\n\nAll checks pass.\n",
		},
		{
			Name: "JSON", Args: "health -o json", Answers: cluster("10.0.0.9:8300", `[]`, "", `{}`),
			Out: `{
    "Healthy": true,
    "Leader": "10.0.0.9:8300",
    "LeaderName": "",
    "Servers": {
        "Alive": 0,
        "Failed": [],
        "Left": 0
    },
    "Clients": {
        "Alive": 0,
        "Failed": [],
        "Left": 0
    },
    "Services": {
        "Total": 0,
        "Passing": 0,
        "Warning": 0,
        "Critical": 0,
        "Maintenance": 0
    },
    "Checks": {
        "Total": 0,
        "Passing": 0,
        "Warning": 0,
        "Critical": 0,
        "Maintenance": 0
    },
    "NotPassing": []
}
`,
		},
		{
			Name: "checks that cannot be read", Args: "health", Code: 12, Err: "Error reading checks: ",
			Answers: answers{leaderURL: {Body: `"10.0.0.1:8300"`}, membersURL: {Body: `[]`}, anyURL: {Status: 403, Body: "Permission denied"}},
		},
		{Name: "unknown command", Args: "health web", Code: 1, Err: `"web" is nothing whose health is known: use service NAME or node NAME`},
	})
}

func TestService(t *testing.T) {
	url := "GET /v1/health/service/web"
	node := `{"Node":"c1","CheckID":"serfHealth","Status":"passing","Output":"Agent alive and reachable"}`
	body := `[{"Node":{"Node":"c1"},"Service":{"ID":"web1"},"Checks":[` + node + `,` + slow + `]},
{"Node":{"Node":"c1"},"Service":{"ID":"web2"},"Checks":[` + node + `,{"Node":"c1","CheckID":"tcp","Status":"critical","ServiceID":"web2","Output":"connection refused"}]}]`
	clitest.Check(t, NewCommand, []clitest.Case{
		{
			Name: "checks of instances and, once, of their node", Args: "health service web", Code: 16, Answers: answers{url: {Body: body}},
			Out: "State     Node  Service  Check       Output\n" +
				"critical  c1    web2     tcp         connection refused\n" +
				"warning   c1    web1     http        slow ...\n" +
				"passing   c1             serfHealth  Agent alive and reachable\n",
		},
		{
			Name: "nothing critical", Args: "health service -o name web", Out: "c1/serfHealth\n",
			Answers: answers{url: {Body: `[{"Node":{"Node":"c1"},"Service":{"ID":"web1"},"Checks":[` + node + `]}]`}},
		},
		{
			Name: "no such service", Args: "health service web", Code: 13, Answers: answers{url: {Body: `[]`}},
			Err: "There is no service \"web\". `ctl services list` shows those there are.\n",
		},
		{Name: "no name", Args: "health service", Code: 1, Err: "the name of one service is wanted, 0 were given\n"},
	})
}

func TestNode(t *testing.T) {
	url, catalog := "GET /v1/health/node/c1", "GET /v1/catalog/node/c1"
	clitest.Check(t, NewCommand, []clitest.Case{
		{
			Name: "all checks on it", Args: "health node c1", Answers: answers{url: {Body: "[" + maint + "," + slow + "]"}},
			Out: "State        Node  Service  Check                     Output\n" +
				"warning      c1    web1     http                      slow ...\n" +
				"maintenance  c1    api      _service_maintenance:api\n",
		},
		{
			Name: "a node without checks", Args: "health node c1", Out: "There are no checks.\n",
			Answers: answers{url: {Body: `[]`}, catalog: {Body: `{"Node":{"Node":"c1"},"Services":{}}`}},
		},
		{
			Name: "no such node", Args: "health node c1", Code: 13, Answers: answers{url: {Body: `[]`}, catalog: {Body: `null`}},
			Err: "There is no node \"c1\". `ctl catalog nodes` shows those there are.\n",
		},
	})
}

func TestFirstLine(t *testing.T) {
	for text, want := range map[string]string{
		"":                      "",
		"\n ok \n":              "ok",
		"a\nb":                  "a ...",
		strings.Repeat("ü", 81): strings.Repeat("ü", 77) + "...",
		strings.Repeat("x", 80): strings.Repeat("x", 80),
	} {
		if got := firstLine(text, 80); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestWorstState(t *testing.T) {
	if got := worstState(nil); got != api.HealthPassing {
		t.Errorf("a service without checks is %s", got)
	}
}

// TestWatchSeesTheLeaderGo checks that a watch of the cluster tells what has no
// index, too: the second look finds no leader, and checks as they were.
func TestWatchSeesTheLeaderGo(t *testing.T) {
	leaders := []string{"10.0.0.1:8300", "10.0.0.1:8300", ""}
	asked := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Consul-Index", "7")
		switch r.URL.Path {
		case "/v1/status/leader":
			fmt.Fprintf(w, "%q", leaders[min(asked, 2)])
			asked++
		case "/v1/agent/members":
			io.WriteString(w, alone)
		case "/v1/health/state/any":
			if got := r.URL.Query(); got.Get("index") != "" && (got.Get("index") != "7" || got.Get("wait") != "2000ms") {
				t.Errorf("waited as %v", got)
			}
			io.WriteString(w, "["+slow+"]")
		default:
			io.WriteString(w, `{"web":[]}`)
		}
	}))
	defer srv.Close()
	got := clitest.Do(t, NewCommand, clitest.Run{Args: strings.Fields("health -watch -once"), Env: map[string]string{"CTL_HTTP_ADDR": srv.URL}})
	const (
		counts  = `"Services":{"Total":1,"Passing":0,"Warning":1,"Critical":0,"Maintenance":0},"Checks":{"Total":1,"Passing":0,"Warning":1,"Critical":0,"Maintenance":0}`
		servers = `"Servers":{"Alive":1,"Failed":[],"Left":0},"Clients":{"Alive":0,"Failed":[],"Left":0}`
	)
	lines := strings.Split(got.Out, "\n")
	if len(lines) != 4 || got.Code != 16 ||
		lines[0] != `{"Event":"current","Index":7,"Key":"","Row":{"Healthy":true,"Leader":"10.0.0.1:8300","LeaderName":"s1",`+servers+","+counts+"}}" ||
		!strings.HasPrefix(lines[1], `{"Event":"current","Index":7,"Key":"c1/http","Row":{"Node":"c1"`) ||
		lines[2] != `{"Event":"changed","Index":7,"Key":"","Row":{"Healthy":false,"Leader":"","LeaderName":"",`+servers+","+counts+"}}" {
		t.Errorf("%+v", got)
	}
}
