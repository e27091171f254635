package agentapi_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/gossip"
)

// diagnose asks for /v1/ctl/diagnose and returns status and body.
func (f *fixture) diagnose(t *testing.T, query string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	f.mux(t).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/ctl/diagnose"+query, nil))
	return w.Code, w.Body.String()
}

func TestDiagnoseTellsOfGossip(t *testing.T) {
	f := newFixture(t)
	n2, n3 := f.agent.lan[1], gossip.Member{Name: "n3", Addr: "fd00::3", Port: 8301, Status: gossip.StatusAlive}
	f.agent.probes = []gossip.Probe{
		{Member: n2, PingError: errors.New("no answer"), StreamError: errors.New("refused")},
		{Member: n3, RTT: 3 * time.Millisecond, Heard: time.Now().Add(time.Hour)}, // a clock that went back
	}
	f.agent.refusals = []gossip.Refusal{{Host: "10.0.0.9", Reason: gossip.RefusedOtherKey, Count: 3, Last: time.Now().Add(-time.Minute)}}
	f.api.Joins = func() []gossip.JoinProgress {
		return []gossip.JoinProgress{{State: gossip.JoinTrying, Attempts: 2, Failures: []gossip.AddressError{{Addr: "10.0.0.8", Err: errors.New("no key"), Reason: gossip.RefusedNoKeyHere}}}}
	}
	code, body := f.diagnose(t, "?member=n2&member=n3")
	var got struct{ Gossip json.RawMessage }
	if err := json.Unmarshal([]byte(body), &got); err != nil || code != http.StatusOK {
		t.Fatalf("status %d, %v: %s", code, err, body)
	}
	var refused struct {
		Gossip struct {
			Refused []struct{ SecondsAgo float64 }
		}
	}
	if err := json.Unmarshal([]byte(body), &refused); err != nil {
		t.Fatal(err)
	}
	ago := refused.Gossip.Refused[0].SecondsAgo
	if ago < 60 || ago > 120 {
		t.Errorf("refused %v s ago", ago)
	}
	want := `{"Encrypted":true,"Probes":[` +
		`{"Member":"n2","Address":"10.0.0.2:8301","Status":4,"PingSeconds":null,"PingError":"no answer","StreamError":"refused","HeardSecondsAgo":null},` +
		`{"Member":"n3","Address":"[fd00::3]:8301","Status":1,"PingSeconds":0.003,"PingError":"","StreamError":"","HeardSecondsAgo":0}],` +
		`"Refused":[{"Host":"10.0.0.9","Reason":"other-key","Count":3,"SecondsAgo":` + string(mustJSON(t, ago)) + `}],` +
		`"Joins":[{"Pool":"lan","State":"trying","Attempts":2,"Failures":[{"Address":"10.0.0.8","Error":"no key","Reason":"no-key-here"}]}]}`
	if string(got.Gossip) != want {
		t.Errorf("got  %s\nwant %s", got.Gossip, want)
	}
	if asked := strings.Join(f.agent.asked, "; "); asked != `probe ["n2" "n3"]` {
		t.Errorf("asked for %s", asked)
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDiagnoseWithoutGossip(t *testing.T) {
	f := newFixture(t)
	f.agent.err = failure.New(failure.Unavailable, "not yet")
	if code, body := f.diagnose(t, ""); code != http.StatusOK || !strings.Contains(body, `"Gossip":null`) {
		t.Errorf("status %d: %s", code, body)
	}
}

func TestDiagnoseOfTooManyMembers(t *testing.T) {
	f := newFixture(t)
	var query []string
	for i := range gossip.MaxProbes + 1 {
		query = append(query, fmt.Sprintf("member=n%d", i))
	}
	if code, body := f.diagnose(t, "?"+strings.Join(query, "&")); code != http.StatusBadRequest || !strings.Contains(body, "17 names are too many: at most 16") {
		t.Errorf("status %d: %s", code, body)
	}
	if len(f.agent.asked) > 0 {
		t.Errorf("asked for %s", f.agent.asked)
	}
}
