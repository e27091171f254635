package serviceapi_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"unicode/utf8"
)

// FuzzRegister registers anything as a service and as a check: what is refused
// leaves nothing behind, what is taken can be shown, found by its id and
// deregistered.
func FuzzRegister(f *testing.F) {
	for _, seed := range []string{
		`{"Name":"web","ID":"web/1","Port":80,"Tags":["a"],"Meta":{"rack":"r1"},"Weights":{"Passing":5},"Check":{"TTL":"1h","Status":"passing"}}`,
		`{"name":"db","tagged_addresses":{"wan":{"address":"192.0.2.1","port":1}},"checks":[{"tcp":"127.0.0.1:1","interval":"1s"},{"alias_service":"web"}]}`,
		`{"Name":"proxy","Kind":"connect-proxy","Port":1,"Proxy":{"DestinationServiceName":"web","Config":{"a":"\u2028\ud800<"}}}`,
		`{"Name":"own","TTL":"1h","Notes":"<&>"}`, `{"Name":"http","HTTP":"http://127.0.0.1","Interval":"1s","Header":{"a":["b"]},"DeregisterCriticalServiceAfter":"1m"}`,
		`{"Name":"bad","Check":{"TTL":"1h","TCP":"x"}}`, `{"Name":"x","Connect":{"SidecarService":{}}}`, `{"ID":"/../x?y","Name":"%"}`, `null`, `[]`, `{"Name":"a"`, "\xff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		fix := newFixture(t)
		fix.route(t)
		for _, kind := range []string{"service", "check"} {
			w := fix.do(http.MethodPut, "/v1/agent/"+kind+"/register", body)
			if w.Code >= 500 && w.Code != http.StatusInternalServerError || w.Code < 200 || !utf8.Valid(w.Body.Bytes()) {
				t.Errorf("%s: %d %q", kind, w.Code, w.Body)
			}
			all := fix.do(http.MethodGet, "/v1/agent/"+kind+"s", "")
			var rows map[string]json.RawMessage
			if err := json.Unmarshal(all.Body.Bytes(), &rows); err != nil || all.Code != http.StatusOK || !utf8.Valid(all.Body.Bytes()) {
				t.Fatalf("%ss: %d %q: %v", kind, all.Code, all.Body, err)
			}
			if (w.Code == http.StatusOK) != (len(rows) > 0) {
				t.Errorf("%s answered %d %q, and there are %d", kind, w.Code, w.Body, len(rows))
			}
			fix.clear(t)
		}
	})
}

// clear deregisters every service, and then every check that is left.
func (f *fixture) clear(t *testing.T) {
	t.Helper()
	for _, s := range f.state.Services() {
		if err := f.state.DeregisterService(s.ID, nil); err != nil {
			t.Errorf("service %q: %v", s.ID, err)
		}
	}
	for _, c := range f.state.Checks() {
		if err := f.state.DeregisterCheck(c.CheckID, nil); err != nil {
			t.Errorf("check %q: %v", c.CheckID, err)
		}
	}
}
