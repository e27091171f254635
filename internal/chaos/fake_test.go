package chaos

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ctl-sh/ctl/internal/plant"
)

// fakeEnv names the fake cluster's store; with it set, the test binary behaves
// as `ctl agent`: a server that passes every request on to that store. So the
// harness itself is tested, processes and faults included, against a cluster
// whose every flaw is known.
const fakeEnv = "CTL_CHAOS_FAKE_STORE"

func TestMain(m *testing.M) {
	if store := os.Getenv(fakeEnv); store != "" {
		if err := fakeAgent(store, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func fakeAgent(store string, args []string) error {
	if len(args) != 3 || args[0] != "agent" || args[1] != "-config-dir" {
		return fmt.Errorf("arguments %q", args)
	}
	data, err := os.ReadFile(filepath.Join(args[2], "agent.json"))
	if err != nil {
		return err
	}
	var conf struct {
		Name   string `json:"node_name"`
		Client string `json:"client_addr"`
	}
	if err := json.Unmarshal(data, &conf); err != nil {
		return err
	}
	target, err := url.Parse(store)
	if err != nil {
		return err
	}
	resp, err := http.Post(store+"/boot?server="+conf.Name, "", nil)
	if err != nil {
		return err
	}
	resp.Body.Close()
	l, err := net.Listen("tcp", net.JoinHostPort(conf.Client, "8500"))
	if err != nil {
		return err
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Header.Set("X-Server", conf.Name)
	}}
	return http.Serve(l, proxy)
}

// fakeStore is a linearizable key/value store with the part of the HTTP API the
// harness uses, and with the planted faults.
type fakeStore struct {
	leader string // what /v1/status/leader says
	fault  string

	mu      sync.Mutex
	index   uint64
	rows    map[string]Entry
	tomb    uint64
	changed chan struct{}
	undo    []func()         // of recent writes, newest last
	before  map[string]Entry // a state some writes ago
	since   int
	parked  int
	boots   int
}

func newFakeStore(leader, fault string) *fakeStore {
	return &fakeStore{leader: leader, fault: fault, index: 10, rows: map[string]Entry{}, before: map[string]Entry{}, changed: make(chan struct{})}
}

func (s *fakeStore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key, isKV := strings.CutPrefix(r.URL.Path, "/v1/kv/")
	switch {
	case r.URL.Path == "/boot":
		s.boot()
	case r.URL.Path == "/v1/status/leader":
		fmt.Fprintf(w, "%q", net.JoinHostPort(s.leader, "8300"))
	case !isKV:
		http.NotFound(w, r)
	case r.Method == http.MethodGet:
		s.get(w, r, key)
	default:
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		fmt.Fprintf(w, "%t", s.write(key, string(body), r))
	}
}

// boot is the start of a server: with EarlyAck, what had not reached the disk is gone.
func (s *fakeStore) boot() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.boots++
	if s.fault != plant.EarlyAck || s.boots <= 3 {
		return
	}
	for _, undo := range slices.Backward(s.undo) {
		undo()
	}
	s.undo = nil
}

func (s *fakeStore) write(key, value string, r *http.Request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was, there := s.rows[key]
	if cas := r.URL.Query().Get("cas"); cas != "" && cas != strconv.FormatUint(was.Modify, 10) {
		return false
	}
	if s.since++; s.since%20 == 0 {
		s.before = map[string]Entry{}
		maps.Copy(s.before, s.rows)
	}
	s.index++
	if r.Method == http.MethodDelete {
		delete(s.rows, key)
		s.tomb = s.index
	} else {
		s.rows[key] = Entry{value, s.index}
	}
	s.undo = append(s.undo, func() {
		if there {
			s.rows[key] = was
		} else {
			delete(s.rows, key)
		}
	})
	if len(s.undo) > 20 {
		s.undo = s.undo[1:]
	}
	close(s.changed)
	s.changed = make(chan struct{})
	return true
}

func (s *fakeStore) get(w http.ResponseWriter, r *http.Request, key string) {
	q := r.URL.Query()
	index, _ := strconv.ParseUint(q.Get("index"), 10, 64) // absent is 0
	wait, _ := time.ParseDuration(q.Get("wait"))
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		rows, now, changed := s.view(key, q, r.Header.Get("X-Server"))
		if now > index || index == 0 {
			answerRows(w, rows, now)
			return
		}
		if s.fault == plant.LostWakeup && s.park()%3 == 0 {
			changed = nil
		}
		select {
		case <-changed:
		case <-timer.C:
			answerRows(w, rows, now)
			return
		case <-r.Context().Done():
			return
		}
	}
}

func (s *fakeStore) park() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parked++
	return s.parked
}

// view returns the asked rows, their index, and a channel closed at the next write.
func (s *fakeStore) view(key string, q url.Values, server string) (map[string]Entry, uint64, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := s.rows
	if s.fault == plant.StaleRead && server != "server0" && q.Get("index") == "" {
		from = s.before
	}
	out := map[string]Entry{}
	var index uint64
	for k, e := range from {
		if k == key || q.Has("recurse") && strings.HasPrefix(k, key) {
			out[k] = e
			index = max(index, e.Modify)
		}
	}
	if q.Has("recurse") {
		index = max(index, s.tomb)
	} else if index == 0 {
		index = s.index
	}
	return out, max(index, 1), s.changed
}

func answerRows(w http.ResponseWriter, rows map[string]Entry, index uint64) {
	w.Header().Set("X-Consul-Index", strconv.FormatUint(index, 10))
	if len(rows) == 0 {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	type row struct {
		Key, Value  string
		ModifyIndex uint64
	}
	var out []row
	for k, e := range rows {
		out = append(out, row{k, base64.StdEncoding.EncodeToString([]byte(e.Value)), e.Modify})
	}
	_ = json.NewEncoder(w).Encode(out) // the client sees a cut answer
}
