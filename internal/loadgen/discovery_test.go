package loadgen

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

func TestBodiesAreWellFormed(t *testing.T) {
	t.Parallel()
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(string(bodyRequest(nil, "h:1", "/v1/x?y", []byte(`{"a":1}`))))))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil || string(body) != `{"a":1}` || req.Method != http.MethodPut || req.URL.String() != "/v1/x?y" || req.Host != "h:1" {
		t.Errorf("%s %s at %s: %s, %v", req.Method, req.URL, req.Host, body, err)
	}
}

// TestCountedSendsEachOnce has every request sent once, and counts what was
// refused.
func TestCountedSendsEachOnce(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[string]int{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen[r.URL.Path]++
		if r.URL.Path == "/7" {
			http.Error(w, "no", http.StatusBadRequest)
		}
	}))
	defer srv.Close()
	r, err := counted(t.Context(), srv.Listener.Addr().String(), 4, 100, func(buf []byte, n int) []byte {
		return bodyRequest(buf, "h", fmt.Sprintf("/%d", n), nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Ops != 99 || r.Errors != 1 || !strings.Contains(r.Problem, "400") || len(seen) != 100 || r.P99 < r.P50 || r.Rate() <= 0 {
		t.Errorf("%+v, %d seen", r, len(seen))
	}
}
