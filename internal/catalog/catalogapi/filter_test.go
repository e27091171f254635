package catalogapi_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

// filtered are the listings that take a filter.
var filtered = []string{
	"/v1/health/service/web", "/v1/health/state/any", "/v1/health/node/n1", "/v1/catalog/service/web", "/v1/catalog/nodes", "/v1/catalog/services", "/v1/catalog/node/n1", "/v1/catalog/node-services/n1",
}

// FuzzFilter filters every listing by anything: it is refused, or what is
// answered is a part of the whole.
func FuzzFilter(f *testing.F) {
	for _, seed := range []string{
		`Service.Port == 80`, `ServicePort == 80`, `Node.Meta.rack == r1 and Checks.Status != critical`, `ServiceMeta["a b"] is empty`,
		`"v1" in ServiceTags or Service.Tags contains "v1"`, `not (Node matches "^n[0-9]+$")`, `Status == passing`, `CheckID in Definition`,
		`Service.Weights.Passing == 1e3`, `Service.Proxy.Config.x == y`, `Meta.rack is not empty`, `((((`, `Node ==`, "Node == \"\xff\"", `Node matches "("`,
	} {
		for kind := range filtered {
			f.Add(seed, uint8(kind)) //nolint:gosec // there are eight
		}
	}
	mux := meshMux(f)
	whole := map[string]int{}
	for _, target := range filtered {
		whole[target] = do(mux, http.MethodGet, target, "").Body.Len()
	}
	f.Fuzz(func(t *testing.T, filter string, kind uint8) {
		target := filtered[int(kind)%len(filtered)]
		w := do(mux, http.MethodGet, target+"?filter="+url.QueryEscape(filter), "")
		switch body := w.Body.String(); {
		case w.Code == http.StatusOK && (!json.Valid(w.Body.Bytes()) || !utf8.ValidString(body) || len(body) > whole[target]):
			t.Errorf("%s answers %s", target, body)
		case w.Code != http.StatusOK && (w.Code != http.StatusInternalServerError || !strings.HasPrefix(body, "Failed to create boolean expression evaluator: ")):
			t.Errorf("%s answers %d %s", target, w.Code, body)
		}
	})
}
