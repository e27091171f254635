package operatorapi_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/gossip"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/operatorapi"
)

var (
	oldKey = base64.StdEncoding.EncodeToString([]byte("0123456789abcdef"))
	newKey = base64.StdEncoding.EncodeToString([]byte("fedcba9876543210"))
)

// keys is a pool whose members say what the test says.
type keys struct {
	members []gossip.MemberKeys
	err     error            // of MemberKeys
	refuse  gossip.KeyReport // of a change, if it has messages
	report  gossip.KeyReport // of a change that does not reach all
	asked   []string
}

func (k *keys) MemberKeys(_ context.Context, relay uint8) ([]gossip.MemberKeys, error) {
	k.asked = append(k.asked, fmt.Sprint("list ", relay))
	return k.members, k.err
}

func (k *keys) change(what, key string, relay uint8) (gossip.KeyReport, error) {
	k.asked = append(k.asked, fmt.Sprint(what, " ", key, " ", relay))
	if k.refuse.Messages != nil {
		return k.refuse, errors.New("1/2 nodes reported failure")
	}
	if k.report.NumResp < k.report.NumNodes {
		return k.report, fmt.Errorf("%d/%d nodes reported success", k.report.NumResp, k.report.NumNodes)
	}
	return gossip.KeyReport{}, nil
}

func (k *keys) InstallKey(key string, relay uint8) (gossip.KeyReport, error) {
	return k.change("install", key, relay)
}
func (k *keys) UseKey(key string, relay uint8) (gossip.KeyReport, error) {
	return k.change("use", key, relay)
}
func (k *keys) RemoveKey(key string, relay uint8) (gossip.KeyReport, error) {
	return k.change("remove", key, relay)
}

// writes returns what of the pool was changed.
func (k *keys) writes() string {
	var out []string
	for _, a := range k.asked {
		if !strings.HasPrefix(a, "list") {
			out = append(out, a)
		}
	}
	return strings.Join(out, ", ")
}

func member(name string, primary string, keys ...string) gossip.MemberKeys {
	return gossip.MemberKeys{Name: name, Status: gossip.StatusAlive, Primary: primary, Keys: keys}
}

func away(name string, status gossip.Status) gossip.MemberKeys {
	m := gossip.MemberKeys{Name: name, Status: status, Problem: "it did not answer"}
	if status == gossip.StatusFailed {
		m.Problem = "it is failed"
	}
	return m
}

func keyringOf(t *testing.T, lan, wan *keys) http.Handler {
	t.Helper()
	f := newFixture(t)
	f.api.LANKeys, f.api.Datacenter = lan, "dc1"
	if wan != nil {
		f.api.WANKeys = wan
	}
	return muxOf(t, f.api)
}

func muxOf(t *testing.T, a *operatorapi.API) http.Handler {
	t.Helper()
	m, err := httpapi.NewMux(httpapi.Config{Routes: a.Routes(), Dispatcher: server{}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func request(h http.Handler, method, query, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, "/v1/operator/keyring"+query, strings.NewReader(body)))
	return w
}

func TestListKeys(t *testing.T) {
	row := func(wan bool, nodes int, oldKeys, newKeys string, messages string) string {
		return fmt.Sprintf(`{"WAN":%v,"Datacenter":"dc1","Segment":"",%s"Keys":{%s},"PrimaryKeys":{%s},"NumNodes":%d}`, wan, messages, oldKeys, newKeys, nodes)
	}
	both := fmt.Sprintf(`"%s":2,"%s":1`, oldKey, newKey)
	primary := fmt.Sprintf(`"%s":2`, oldKey)
	one := fmt.Sprintf(`"%s":1`, oldKey)
	lan := []gossip.MemberKeys{member("a", oldKey, oldKey, newKey), member("b", oldKey, oldKey)}
	wan := []gossip.MemberKeys{member("a.dc1", oldKey, oldKey)}
	for _, c := range []struct {
		name, query string
		lan         keys
		wan         *keys
		status      int
		body        string
	}{
		{"both pools, that of the WAN first", "", keys{members: lan}, &keys{members: wan}, 200,
			"[" + row(true, 1, one, one, "") + "," + row(false, 2, both, primary, "") + "]"},
		{"without a WAN pool", "", keys{members: lan}, nil, 200, "[" + row(false, 2, both, primary, "") + "]"},
		{"local only", "?local-only=true&relay-factor=3", keys{members: lan}, &keys{members: wan}, 200, "[" + row(false, 2, both, primary, "") + "]"},
		{"a failed member is not counted", "", keys{members: append(lan, away("c", gossip.StatusFailed))}, nil, 200,
			"[" + row(false, 2, both, primary, `"Messages":{"c":"its keys are not known: it is failed"},`) + "]"},
		{"an alive member does not answer", "", keys{members: append(lan, away("c", gossip.StatusAlive))}, &keys{members: wan}, 500,
			"1 error occurred:\n\t* dc1 (LAN): the keys of 1 of 3 members are not known: c (it did not answer)\n"},
		{"no encryption", "", keys{err: failure.New(failure.Invalid, "Keyring is empty (encryption not enabled)")}, &keys{err: failure.New(failure.Invalid, "Keyring is empty (encryption not enabled)")}, 500,
			"2 errors occurred:\n\t* WAN: Keyring is empty (encryption not enabled)\n\t* dc1 (LAN): Keyring is empty (encryption not enabled)\n"},
		{"a relay factor that is none", "?relay-factor=x", keys{members: lan}, nil, 400, `Invalid relay-factor "x": must be a number from 0 to 5`},
		{"a relay factor that is too large", "?relay-factor=6", keys{members: lan}, nil, 400, `Invalid relay-factor "6": must be a number from 0 to 5`},
		{"local only, badly said", "?local-only=x", keys{members: lan}, nil, 400, `Invalid local-only "x": must be true or false`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := request(keyringOf(t, &c.lan, c.wan), "GET", c.query, "")
			if w.Code != c.status || w.Body.String() != c.body {
				t.Errorf("got %d %s\nwant %d %s", w.Code, w.Body, c.status, c.body)
			}
			if strings.Contains(c.query, "relay-factor=3") && c.lan.asked[0] != "list 3" {
				t.Errorf("asked %q", c.lan.asked)
			}
		})
	}
}

func TestChangeKeys(t *testing.T) {
	body := fmt.Sprintf(`{"Key":%q}`, newKey)
	ready := []gossip.MemberKeys{member("a", oldKey, oldKey, newKey), member("b", oldKey, oldKey, newKey)}
	moved := []gossip.MemberKeys{member("a", newKey, oldKey, newKey), member("b", newKey, oldKey, newKey)}
	with := func(list []gossip.MemberKeys, m ...gossip.MemberKeys) []gossip.MemberKeys {
		return append(append([]gossip.MemberKeys{}, list...), m...)
	}
	for _, c := range []struct {
		name, method, query, body string
		lan, wan                  []gossip.MemberKeys
		status                    int
		want                      string // text of the answer
		asked                     string // of each pool
	}{
		{"install", "POST", "", body, ready, ready, 200, "", "install " + newKey + " 0"},
		{"install with relays", "POST", "?relay-factor=5", body, ready, ready, 200, "", "install " + newKey + " 5"},
		{"install while a member is away", "POST", "", body, with(ready, away("c", gossip.StatusFailed)), ready, 200, "", "install " + newKey + " 0"},
		{"use", "PUT", "", body, ready, ready, 200, "", "use " + newKey + " 0"},
		{"use what a member lacks", "PUT", "", body, with(ready, member("c", oldKey, oldKey)), ready, 500,
			"1 error occurred:\n\t* dc1 (LAN): the key is not used, because these members do not have it and would be lost: c; install it first\n", ""},
		{"use while an alive member does not answer", "PUT", "", body, ready, with(ready, away("c.dc1", gossip.StatusAlive)), 500,
			"1 error occurred:\n\t* WAN: the key is not used, because it is not known whether these members have it: c.dc1 (it did not answer); try again once they answer, or make them leave\n", ""},
		{"use while a failed member is away", "PUT", "", body, with(ready, away("c", gossip.StatusFailed)), ready, 200, "", "use " + newKey + " 0"},
		{"remove", "DELETE", "", `{"Key":"` + oldKey + `"}`, moved, moved, 200, "", "remove " + oldKey + " 0"},
		{"remove what members use", "DELETE", "", `{"Key":"` + oldKey + `"}`, with(moved, member("c", oldKey, oldKey, newKey)), ready, 500,
			"2 errors occurred:\n\t* WAN: the key is not removed, because these members encrypt with it: a, b; use another key first\n" +
				"\t* dc1 (LAN): the key is not removed, because these members encrypt with it: c; use another key first\n", ""},
		{"remove while a failed member is away", "DELETE", "", `{"Key":"` + oldKey + `"}`, with(moved, away("c", gossip.StatusFailed)), moved, 500,
			"1 error occurred:\n\t* dc1 (LAN): the key is not removed, because it is not known whether these members still need it: c (it is failed); bring them back, or make them leave for good with force-leave\n", ""},
		{"remove while an alive member does not answer", "DELETE", "", `{"Key":"` + oldKey + `"}`, with(moved, away("c", gossip.StatusAlive), away("d", gossip.StatusAlive)), moved, 500,
			"1 error occurred:\n\t* dc1 (LAN): the key is not removed, because it is not known whether these members still need it: c (it did not answer), d (it did not answer); bring them back, or make them leave for good with force-leave\n", ""},
		{"a key of a wrong length", "POST", "", `{"Key":"YWJj"}`, ready, ready, 500, "Invalid key: key size must be 16, 24 or 32 bytes", ""},
		{"a key that is not base64", "PUT", "", `{"Key":"?"}`, ready, ready, 500, "the gossip key is not base64 (make one with `ctl keygen`)", ""},
		{"no key", "DELETE", "", `{}`, ready, ready, 400, "Missing key: give Key, in base64", ""},
		{"no body", "POST", "", ``, ready, ready, 400, "Request decode failed: EOF", ""},
		{"an unknown member of the body", "POST", "", `{"Kye":"x"}`, ready, ready, 400, `Request decode failed: json: unknown field "Kye"`, ""},
		{"local only", "POST", "?local-only", body, ready, ready, 400, "local-only is for listing keys: a change must reach all members", ""},
		{"a relay factor that is too large", "PUT", "?relay-factor=9", body, ready, ready, 400, `Invalid relay-factor "9": must be a number from 0 to 5`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			lan, wan := &keys{members: c.lan}, &keys{members: c.wan}
			w := request(keyringOf(t, lan, wan), c.method, c.query, c.body)
			if w.Code != c.status || w.Body.String() != c.want {
				t.Errorf("got %d %s\nwant %d %s", w.Code, w.Body, c.status, c.want)
			}
			if lan.writes() != c.asked || wan.writes() != c.asked {
				t.Errorf("asked the LAN %q and the WAN %q, want %q of both", lan.writes(), wan.writes(), c.asked)
			}
		})
	}
}

func TestWhatMembersSayOfAChangeIsPassedOn(t *testing.T) {
	lan := &keys{refuse: gossip.KeyReport{Messages: map[string]string{"b": "disk full", "a": "read-only"}}}
	w := request(keyringOf(t, lan, &keys{}), "POST", "", fmt.Sprintf(`{"Key":%q}`, newKey))
	const want = "1 error occurred:\n\t* dc1 (LAN): 1/2 nodes reported failure; a: read-only; b: disk full\n"
	if w.Code != 500 || w.Body.String() != want {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestMembersThatAChangeDoesNotReachAreNamed(t *testing.T) {
	lost := gossip.KeyReport{NumNodes: 2, NumResp: 1}
	for _, c := range []struct {
		name    string
		members []gossip.MemberKeys
		want    string
	}{
		{"one that does not answer", []gossip.MemberKeys{member("a", oldKey, oldKey), away("b", gossip.StatusAlive)},
			"not reached: b (it did not answer); do it again once they answer, or make them leave"},
		{"one that is found failed meanwhile", []gossip.MemberKeys{member("a", oldKey, oldKey), away("b", gossip.StatusFailed)},
			"not reached: b (it is failed); do it again once they answer, or make them leave"},
		{"one that was only late", []gossip.MemberKeys{member("a", oldKey, oldKey), member("b", oldKey, oldKey)},
			"all members answer by now: do it again"},
	} {
		t.Run(c.name, func(t *testing.T) {
			lan := &keys{members: c.members, report: lost}
			w := request(keyringOf(t, lan, &keys{}), "POST", "", fmt.Sprintf(`{"Key":%q}`, newKey))
			if want := "1 error occurred:\n\t* dc1 (LAN): 1/2 nodes reported success; " + c.want + "\n"; w.Code != 500 || w.Body.String() != want {
				t.Errorf("got %d %s\nwant %s", w.Code, w.Body, want)
			}
		})
	}
}

// only allows one access to one resource.
type only struct {
	resource authz.Resource
	access   authz.Access
}

func (o only) Resolve(context.Context, string) (authz.Authorizer, error) { return o, nil }
func (o only) Allow(r authz.Resource, _ string, a authz.Access) bool {
	return r == o.resource && a == o.access
}
func (o only) AllowPrefix(authz.Resource, string, authz.Access) bool { return false }

func TestKeysNeedTheirOwnRights(t *testing.T) {
	f := newFixture(t)
	lan := &keys{}
	f.api.LANKeys = lan
	body := fmt.Sprintf(`{"Key":%q}`, newKey)
	for _, c := range []struct {
		rights only
		method string
		status int
	}{
		{only{authz.Keyring, authz.Read}, "GET", 200},
		{only{authz.Operator, authz.Read}, "GET", 403},
		{only{authz.Keyring, authz.Read}, "POST", 403},
		{only{authz.Keyring, authz.Write}, "POST", 200},
		{only{authz.Operator, authz.Write}, "PUT", 403},
		{only{authz.Keyring, authz.Write}, "DELETE", 200},
	} {
		f.api.Authz = c.rights
		if w := request(muxOf(t, f.api), c.method, "", body); w.Code != c.status {
			t.Errorf("%s with %v: %d %s", c.method, c.rights, w.Code, w.Body)
		}
	}
}
