package catalogapi_test

import (
	"net/http"
	"testing"
)

func TestSummaries(t *testing.T) {
	a, _ := writable(t)
	mux := newMux(t, a)
	register(t, mux,
		`{"Node":"n1","Address":"10.0.0.1","Service":{"Service":"web","Tags":["b","a"]},"Checks":[{"CheckID":"serfHealth","Status":"passing"},{"CheckID":"tcp","ServiceID":"web","Status":"warning"}]}`,
		`{"Node":"n2","Address":"10.0.0.2","Service":{"Service":"web","Tags":["c"]},"Check":{"CheckID":"serfHealth","Status":"critical"}}`,
		`{"Node":"n2","SkipNodeUpdate":true,"Service":{"Service":"db"},"Check":{"CheckID":"_service_maintenance:db","ServiceID":"db","Status":"critical"}}`,
		`{"Node":"n3","Address":"10.0.0.3","Service":{"Service":"Web"}}`,
		`{"Node":"n4","Address":"10.0.0.4","Service":{"Service":"web"},"Check":{"CheckID":"_node_maintenance","Status":"critical"}}`)
	const (
		db  = `{"Name":"db","Kind":"","Tags":[],"Instances":1,"Passing":0,"Warning":0,"Critical":1,"Maintenance":1}`
		web = `{"Name":"web","Kind":"","Tags":["a","b","c"],"Instances":4,"Passing":1,"Warning":1,"Critical":2,"Maintenance":1}`
	)
	for _, c := range []struct {
		name, query, want string
	}{
		{"instances by the worst of their checks and their node's", "", "[" + db + "," + web + "]"},
		{"a filter", "?filter=Critical%20==%201", "[" + db + "]"},
		{"a filter nothing matches", "?filter=Instances%20==%209", "[]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := do(mux, http.MethodGet, "/v1/ctl/services"+c.query, "")
			if w.Code != http.StatusOK || w.Body.String() != c.want || w.Header().Get("X-Consul-Index") != "15" {
				t.Errorf("got %d, index %s, %s\nwant %s", w.Code, w.Header().Get("X-Consul-Index"), w.Body, c.want)
			}
		})
	}
	a.Authz = only{node: "n2", service: "web"}
	const hidden = `[{"Name":"web","Kind":"","Tags":["c"],"Instances":1,"Passing":0,"Warning":0,"Critical":1,"Maintenance":0}]`
	if w := do(mux, http.MethodGet, "/v1/ctl/services?token=secret", ""); w.Body.String() != hidden {
		t.Errorf("of one service and one node: %s", w.Body)
	}
	if w := do(mux, http.MethodGet, "/v1/ctl/services?token=secret&filter=Health==1", ""); w.Code != http.StatusInternalServerError {
		t.Errorf("a filter of what is not there: %d %s", w.Code, w.Body)
	}
}
