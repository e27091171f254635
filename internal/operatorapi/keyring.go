package operatorapi

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/gossip"
	"github.com/ctl-sh/ctl/internal/httpapi"
)

// KeyPool is a gossip pool as its keys are managed: a gossip.Pool.
type KeyPool interface {
	// MemberKeys returns what all members that did not leave say about
	// their keys, and of which nothing is known.
	MemberKeys(ctx context.Context, relayFactor uint8) ([]gossip.MemberKeys, error)
	// InstallKey, UseKey and RemoveKey have every alive member change its
	// keys. They fail if any did not, with what it said in the report.
	InstallKey(key string, relayFactor uint8) (gossip.KeyReport, error)
	UseKey(key string, relayFactor uint8) (gossip.KeyReport, error)
	RemoveKey(key string, relayFactor uint8) (gossip.KeyReport, error)
}

// keyPool is one of the pools with what answers say of it.
type keyPool struct {
	KeyPool
	wan bool
	dc  string
}

// String returns the pool's name in messages.
func (p keyPool) String() string {
	if p.wan {
		return "WAN"
	}
	return p.dc + " (LAN)"
}

// keyPools returns the pools, that of the WAN first.
func (a *API) keyPools() []keyPool {
	var pools []keyPool
	if a.WANKeys != nil {
		pools = append(pools, keyPool{a.WANKeys, true, a.Datacenter})
	}
	return append(pools, keyPool{a.LANKeys, false, a.Datacenter})
}

// keyring is the answer about one pool.
type keyring struct {
	WAN         bool
	Datacenter  string
	Segment     string
	Messages    map[string]string `json:",omitempty"`
	Keys        map[string]int
	PrimaryKeys map[string]int
	NumNodes    int
}

// keyBody is the body of a change.
type keyBody struct{ Key string }

func (a *API) keyringRoutes() []httpapi.Route {
	const pattern = "/v1/operator/keyring"
	routes := []httpapi.Route{
		{Method: http.MethodGet, Handle: a.listKeys},
		{Method: http.MethodPost, Handle: a.changeKeys(installKey)},
		{Method: http.MethodPut, Handle: a.changeKeys(useKey)},
		{Method: http.MethodDelete, Handle: a.changeKeys(removeKey), MaxBody: maxKeyBody},
	}
	for i := range routes {
		routes[i].Pattern, routes[i].Where = pattern, httpapi.Server
	}
	return routes
}

// maxKeyBody is room for a key in JSON, and then some.
const maxKeyBody = 4 << 10

// maxRelayFactor is as far as serf relays an answer.
const maxRelayFactor = 5

func relayFactor(r *httpapi.Request) (uint8, error) {
	text := r.Query.Get("relay-factor")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil || n > maxRelayFactor {
		return 0, failure.Newf(failure.BadRequest, "Invalid relay-factor %q: must be a number from 0 to %d", text, maxRelayFactor)
	}
	return uint8(n), nil
}

// localOnly reads the parameter "local-only", which without a value means yes.
func localOnly(r *httpapi.Request) (bool, error) {
	text := r.Query.Get("local-only")
	if text == "" {
		return r.Has("local-only"), nil
	}
	only, err := strconv.ParseBool(text)
	if err != nil {
		return false, failure.Newf(failure.BadRequest, "Invalid local-only %q: must be true or false", text)
	}
	return only, nil
}

func (a *API) listKeys(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	relay, err := relayFactor(r)
	if err != nil {
		return nil, err
	}
	local, err := localOnly(r)
	if err != nil {
		return nil, err
	}
	if err := authz.Require(ctx, a.Authz, r.Options.Token, authz.Keyring, "", authz.Read); err != nil {
		return nil, err
	}
	rows, problems := []keyring{}, problems{}
	for _, p := range a.keyPools() {
		if p.wan && local {
			continue
		}
		members, err := p.MemberKeys(ctx, relay)
		if err != nil {
			problems.add(p, err.Error())
			continue
		}
		row := keyring{WAN: p.wan, Datacenter: p.dc, Keys: map[string]int{}, PrimaryKeys: map[string]int{}}
		for _, m := range members {
			row.add(m)
		}
		if silent := named(members, func(m gossip.MemberKeys) bool { return m.Problem != "" && m.Status != gossip.StatusFailed }); len(silent) > 0 {
			problems.add(p, fmt.Sprintf("the keys of %d of %d members are not known: %s", len(silent), row.NumNodes, strings.Join(silent, ", ")))
		}
		rows = append(rows, row)
	}
	if err := problems.err(); err != nil {
		return nil, err
	}
	return &httpapi.Response{Body: rows}, nil
}

// add counts what a member says. Failed ones were not asked and do not count.
func (k *keyring) add(m gossip.MemberKeys) {
	if m.Problem != "" {
		if k.Messages == nil {
			k.Messages = map[string]string{}
		}
		k.Messages[m.Name] = "its keys are not known: " + m.Problem
	}
	if m.Status == gossip.StatusFailed {
		return
	}
	k.NumNodes++
	for _, key := range m.Keys {
		k.Keys[key]++
	}
	if m.Primary != "" {
		k.PrimaryKeys[m.Primary]++
	}
}

// named returns the names of the members that which picks, with their problem.
func named(members []gossip.MemberKeys, which func(gossip.MemberKeys) bool) []string {
	var names []string
	for _, m := range members {
		switch {
		case !which(m):
		case m.Problem != "":
			names = append(names, m.Name+" ("+m.Problem+")")
		default:
			names = append(names, m.Name)
		}
	}
	return names
}

// keyChange is one way to change the keys.
type keyChange struct {
	// check returns what speaks against it, "" for nothing, from what the
	// members of a pool say; nil does not ask them.
	check func(key string, members []gossip.MemberKeys) string
	do    func(p KeyPool, key string, relay uint8) (gossip.KeyReport, error)
}

var (
	installKey = keyChange{do: KeyPool.InstallKey}
	useKey     = keyChange{check: mayUse, do: KeyPool.UseKey}
	removeKey  = keyChange{check: mayRemove, do: KeyPool.RemoveKey}
)

// mayUse makes sure that all who hear what is written with the key can read it.
// A failed member hears nothing now, and does not keep the others from going on.
func mayUse(key string, members []gossip.MemberKeys) string {
	members = slices.DeleteFunc(slices.Clone(members), func(m gossip.MemberKeys) bool { return m.Status == gossip.StatusFailed })
	if lack := named(members, func(m gossip.MemberKeys) bool { return m.Problem == "" && !slices.Contains(m.Keys, key) }); len(lack) > 0 {
		return "the key is not used, because these members do not have it and would be lost: " + strings.Join(lack, ", ") + "; install it first"
	}
	if silent := named(members, func(m gossip.MemberKeys) bool { return m.Problem != "" }); len(silent) > 0 {
		return "the key is not used, because it is not known whether these members have it: " + strings.Join(silent, ", ") + "; try again once they answer, or make them leave"
	}
	return ""
}

// mayRemove makes sure that nobody writes with the key, not even a member that
// is away: it would come back with it.
func mayRemove(key string, members []gossip.MemberKeys) string {
	if users := named(members, func(m gossip.MemberKeys) bool { return m.Problem == "" && m.Primary == key }); len(users) > 0 {
		return "the key is not removed, because these members encrypt with it: " + strings.Join(users, ", ") + "; use another key first"
	}
	if silent := named(members, func(m gossip.MemberKeys) bool { return m.Problem != "" }); len(silent) > 0 {
		return "the key is not removed, because it is not known whether these members still need it: " + strings.Join(silent, ", ") +
			"; bring them back, or make them leave for good with force-leave"
	}
	return ""
}

// changeKeys returns the handler of a change. It looks at all pools before it
// changes any, and changes one after the other.
func (a *API) changeKeys(c keyChange) httpapi.Handler {
	return func(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
		if err := authz.Require(ctx, a.Authz, r.Options.Token, authz.Keyring, "", authz.Write); err != nil {
			return nil, err
		}
		key, relay, err := parseKeyChange(r)
		if err != nil {
			return nil, err
		}
		a.keys.Lock()
		defer a.keys.Unlock()
		pools := a.keyPools()
		if c.check != nil {
			if err := checkPools(ctx, c, pools, key, relay); err != nil {
				return nil, err
			}
		}
		problems := problems{}
		for _, p := range pools {
			if report, err := c.do(p.KeyPool, key, relay); err != nil {
				problems.add(p, told(err, report)+unreached(ctx, p, relay, report))
			}
		}
		return nil, problems.err()
	}
}

func checkPools(ctx context.Context, c keyChange, pools []keyPool, key string, relay uint8) error {
	problems := problems{}
	for _, p := range pools {
		members, err := p.MemberKeys(ctx, relay)
		if err != nil {
			problems.add(p, err.Error())
		} else if against := c.check(key, members); against != "" {
			problems.add(p, against)
		}
	}
	return problems.err()
}

// told returns an error with what the members said.
func told(err error, report gossip.KeyReport) string {
	text := err.Error()
	for _, name := range slices.Sorted(maps.Keys(report.Messages)) {
		text += "; " + name + ": " + report.Messages[name]
	}
	return text
}

// unreached names the alive members that a change did not reach, which the
// report only counts: those that do not answer a little later either.
func unreached(ctx context.Context, p KeyPool, relay uint8, report gossip.KeyReport) string {
	if report.NumResp >= report.NumNodes {
		return ""
	}
	members, err := p.MemberKeys(ctx, relay)
	if err != nil {
		return ""
	}
	silent := named(members, func(m gossip.MemberKeys) bool { return m.Problem != "" })
	if len(silent) == 0 {
		return "; all members answer by now: do it again"
	}
	return "; not reached: " + strings.Join(silent, ", ") + "; do it again once they answer, or make them leave"
}

func parseKeyChange(r *httpapi.Request) (key string, relay uint8, err error) {
	var body keyBody
	if err := r.DecodeBody(&body, false); err != nil {
		return "", 0, err
	}
	if relay, err = relayFactor(r); err != nil {
		return "", 0, err
	}
	local, err := localOnly(r)
	if err != nil {
		return "", 0, err
	}
	switch {
	case local:
		return "", 0, failure.New(failure.BadRequest, "local-only is for listing keys: a change must reach all members")
	case body.Key == "":
		return "", 0, failure.New(failure.BadRequest, "Missing key: give Key, in base64")
	}
	key, err = gossip.CheckKey(body.Key)
	return key, relay, err
}

// problems gathers what went wrong, by pool.
type problems struct{ list []string }

func (l *problems) add(p keyPool, text string) { l.list = append(l.list, p.String()+": "+text) }

// err returns them as one error, nil for none.
func (l *problems) err() error {
	switch len(l.list) {
	case 0:
		return nil
	case 1:
		return failure.New(failure.Invalid, "1 error occurred:\n\t* "+l.list[0]+"\n")
	default:
		return failure.Newf(failure.Invalid, "%d errors occurred:\n\t* %s\n", len(l.list), strings.Join(l.list, "\n\t* "))
	}
}
