package wait

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/consul/api"
)

// condition is what is waited for. ask asks once, with q, and reports whether
// the condition holds, what was found, and from which index to wait for a
// change; 0 means that the API has none.
type condition interface {
	fmt.Stringer
	ask(client *api.Client, q *api.QueryOptions) (holds bool, state string, index uint64, err error)
}

const servicePrefix = "service/"

// parse reads the arguments of the command.
func parse(args []string) (condition, error) {
	if len(args) == 0 {
		return nil, fmt.Errorf("a condition is missing: leader, members=N, service/NAME or kv KEY")
	}
	if len(args) == 1 {
		args = unquoted(args[0])
	}
	first, rest := args[0], args[1:]
	most := 1 // arguments of the condition
	var c condition
	var err error
	switch {
	case first == "leader":
		c = leader{}
	case strings.HasPrefix(first, "members"):
		var n amount
		n, err = parseAmount(first, "members")
		c = members{n}
	case strings.HasPrefix(first, servicePrefix):
		most = 2
		c, err = parseService(strings.TrimPrefix(first, servicePrefix), rest)
	case first == "kv":
		most = 2
		c, err = parseKey(rest)
	case isPair(first):
		c, err = parseKey(args[:1])
	default:
		return nil, fmt.Errorf("unknown condition %q: use leader, members=N, service/NAME or kv KEY", first)
	}
	if err != nil {
		return nil, err
	}
	if len(args) > most {
		return nil, fmt.Errorf("%q is too much behind %s: wait for one condition at a time", args[most], c)
	}
	return c, nil
}

// isPair reports whether s is KEY=VALUE. Words that are close to the other
// conditions are not taken for keys: a wait for one that nobody writes would last
// until its time is over.
func isPair(s string) bool {
	name, _, ok := strings.Cut(s, "=")
	like := func(word string) bool { return strings.HasPrefix(strings.ToLower(name), word) }
	return ok && name != "" && !like("member") && !like("leader") && !like("service") && !strings.ContainsAny(name, "<> ")
}

// unquoted splits a condition of two words that was given as one argument, which
// is easily done where ">" must be quoted anyway. A service's name may hold
// spaces itself, so only "passing" behind one ends it.
func unquoted(condition string) []string {
	switch {
	case strings.HasPrefix(condition, servicePrefix) && strings.Contains(condition, " passing"):
		i := strings.LastIndex(condition, " passing")
		return []string{condition[:i], condition[i+1:]}
	case strings.HasPrefix(condition, "kv "):
		return []string{"kv", strings.TrimPrefix(condition, "kv ")}
	}
	return []string{condition}
}

// amount is a number something must be, or at least be.
type amount struct {
	n       int
	atLeast bool
}

// parseAmount reads NAME=N and NAME>=N.
func parseAmount(text, name string) (amount, error) {
	rest, ok := strings.CutPrefix(text, name)
	rest, atLeast := strings.CutPrefix(rest, ">")
	rest, equal := strings.CutPrefix(rest, "=")
	n, err := strconv.Atoi(rest)
	if !ok || !equal || err != nil || n < 0 {
		return amount{}, fmt.Errorf("%q is not understood: write %s=N or %s>=N, with a number of 0 or more", text, name, name)
	}
	return amount{n, atLeast}, nil
}

func (a amount) holds(n int) bool { return n == a.n || a.atLeast && n > a.n }

func (a amount) String() string {
	if a.atLeast {
		return fmt.Sprintf(">=%d", a.n)
	}
	return fmt.Sprintf("=%d", a.n)
}

type leader struct{}

func (leader) String() string { return "leader" }

func (leader) ask(client *api.Client, q *api.QueryOptions) (bool, string, uint64, error) {
	address, err := client.Status().LeaderWithQueryOptions(q)
	if err != nil {
		return false, "", 0, err
	}
	if address == "" {
		return false, "no leader", 0, nil
	}
	return true, address, 0, nil
}

type members struct{ amount }

func (m members) String() string { return "members" + m.amount.String() }

// alive is the status of a member that answers; a Serf number of the API.
const alive = 1

func (m members) ask(client *api.Client, q *api.QueryOptions) (bool, string, uint64, error) {
	// The client takes no options for members, but a raw query does.
	var list []*api.AgentMember
	if _, err := client.Raw().Query("/v1/agent/members", &list, q); err != nil {
		return false, "", 0, err
	}
	var names []string
	for _, one := range list {
		if one.Status == alive {
			names = append(names, one.Name)
		}
	}
	slices.Sort(names)
	return m.holds(len(names)), some(len(names), "alive", names), 0, nil
}

type service struct {
	name string
	amount
}

func parseService(name string, rest []string) (condition, error) {
	if name == "" {
		return nil, fmt.Errorf("a service's name is missing: write service/NAME")
	}
	s := service{name, amount{1, true}}
	var err error
	if len(rest) > 0 {
		s.amount, err = parseAmount(rest[0], "passing")
	}
	return s, err
}

func (s service) String() string { return fmt.Sprintf("service/%s passing%s", s.name, s.amount) }

func (s service) ask(client *api.Client, q *api.QueryOptions) (bool, string, uint64, error) {
	instances, meta, err := client.Health().Service(s.name, "", false, q)
	if err != nil {
		return false, "", 0, err
	}
	var ids []string
	for _, i := range instances {
		if i.Checks.AggregatedStatus() == api.HealthPassing {
			ids = append(ids, i.Service.ID+" on "+i.Node.Node)
		}
	}
	slices.Sort(ids)
	state := fmt.Sprintf("%s, of %d registered", some(len(ids), "passing", ids), len(instances))
	return s.holds(len(ids)), state, meta.LastIndex, nil
}

// maxNames bounds how many names a state lists.
const maxNames = 5

// some writes "2 alive (a, b)".
func some(n int, what string, names []string) string {
	switch {
	case n == 0:
		return "0 " + what
	case n > maxNames:
		return fmt.Sprintf("%d %s (%s and %d more)", n, what, strings.Join(names[:maxNames], ", "), n-maxNames)
	default:
		return fmt.Sprintf("%d %s (%s)", n, what, strings.Join(names, ", "))
	}
}

type key struct {
	name  string
	value string
	any   bool // whatever the value
}

func parseKey(rest []string) (condition, error) {
	if len(rest) == 0 {
		return nil, fmt.Errorf("a key is missing: write kv KEY or kv KEY=VALUE")
	}
	name, value, given := strings.Cut(rest[0], "=")
	if name = strings.TrimPrefix(name, "/"); name == "" {
		return nil, fmt.Errorf("%q names no key: write kv KEY or kv KEY=VALUE", rest[0])
	}
	return key{name, value, !given}, nil
}

func (k key) String() string {
	if k.any {
		return "kv " + k.name
	}
	return fmt.Sprintf("kv %s=%s", k.name, k.value)
}

func (k key) ask(client *api.Client, q *api.QueryOptions) (bool, string, uint64, error) {
	pair, meta, err := client.KV().Get(k.name, q)
	switch {
	case err != nil:
		return false, "", 0, err
	case pair == nil:
		return false, "the key does not exist", meta.LastIndex, nil
	case k.any:
		return true, "exists", meta.LastIndex, nil
	case string(pair.Value) == k.value:
		return true, "so it is", meta.LastIndex, nil
	default:
		// The value stays out of it: it may be a secret, and a log may read this.
		return false, fmt.Sprintf("the key has another value, of %d bytes", len(pair.Value)), meta.LastIndex, nil
	}
}
