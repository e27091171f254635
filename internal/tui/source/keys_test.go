package source_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/ctl-sh/ctl/internal/tui/source"
)

// store is an agent that has keys, each with its index as their value says it:
// "app/a": "7 text".
type store struct {
	agent
	mu   sync.Mutex
	keys map[string]string
	// before is called before every request for keys, with how many there were.
	before func(n int, keys map[string]string)
	n      int
}

func (s *store) RoundTrip(r *http.Request) (*http.Response, error) {
	name, ok := strings.CutPrefix(r.URL.Path, "/v1/kv/")
	if !ok {
		return s.agent.RoundTrip(r)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.before != nil {
		s.before(s.n, s.keys)
	}
	s.n++
	code, body := s.answer(r, name)
	return &http.Response{StatusCode: code, Status: http.StatusText(code), Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func (s *store) answer(r *http.Request, name string) (code int, body string) {
	q := r.URL.Query()
	index, _, _ := strings.Cut(s.keys[name], " ")
	if q.Has("cas") && q.Get("cas") != "0" && q.Get("cas") != index || q.Get("cas") == "0" && index != "" {
		return 200, "false"
	}
	switch r.Method {
	case http.MethodPut:
		value, err := io.ReadAll(r.Body)
		if err != nil {
			return 500, err.Error()
		}
		s.keys[name] = strconv.Itoa(100+s.n) + " " + string(value)
		return 200, "true"
	case http.MethodDelete:
		maps.DeleteFunc(s.keys, func(k, _ string) bool { return k == name || q.Has("recurse") && strings.HasPrefix(k, name) })
		return 200, "true"
	}
	var names []string
	var entries []map[string]any
	for _, k := range slices.Sorted(maps.Keys(s.keys)) {
		if k == name || (q.Has("recurse") || q.Has("keys")) && strings.HasPrefix(k, name) {
			i, value, _ := strings.Cut(s.keys[k], " ")
			names = append(names, k)
			entries = append(entries, map[string]any{"Key": k, "Value": base64.StdEncoding.EncodeToString([]byte(value)), "ModifyIndex": json.Number(i)})
		}
	}
	if len(names) == 0 {
		return 404, ""
	}
	var answer any = entries
	if q.Has("keys") {
		answer = names
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return 500, err.Error()
	}
	return 200, string(text)
}

// text is what the store has, without the indexes.
func (s *store) text() string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(s.keys)) {
		_, value, _ := strings.Cut(s.keys[k], " ")
		out = append(out, k+"="+value)
	}
	return strings.Join(out, " ")
}

// on runs a source on a store until the test of f ends.
func on(t *testing.T, st *store, f func(t *testing.T, s *source.Source)) {
	synctest.Test(t, func(t *testing.T) {
		s, err := source.New(source.Config{Endpoints: []source.Endpoint{{Name: "a", URL: "http://a", HTTP: &http.Client{Transport: st}}}})
		if err != nil {
			t.Fatal(err)
		}
		defer start(s)()
		synctest.Wait()
		f(t, s)
	})
}

func TestKeysOfARange(t *testing.T) {
	st := &store{keys: map[string]string{"app/a": "7 one", "app/b": "8 two", "apple": "9 three"}}
	on(t, st, func(t *testing.T, s *source.Source) {
		for _, c := range []struct {
			name string
			r    source.Range
			want string
		}{
			{"all below a prefix", source.Range{Key: "app/", Below: true}, "app/a@7=one app/b@8=two"},
			{"one key, and none that begins with it", source.Range{Key: "app"}, ""},
			{"one key", source.Range{Key: "apple"}, "apple@9=three"},
			{"names alone", source.Range{Key: "app", Below: true, Names: true}, "app/a@0= app/b@0= apple@0="},
			{"as many as may be", source.Range{Key: "app/", Below: true, Most: 2}, "app/a@7=one app/b@8=two"},
			{"none is no error", source.Range{Key: "zoo/", Below: true, Most: 2}, ""},
			{"more than may be", source.Range{Key: "app", Below: true, Most: 2}, `3 keys begin with "app", more than the 2`},
		} {
			keys, err := s.Keys(t.Context(), c.r)
			var got []string
			for _, k := range keys {
				got = append(got, fmt.Sprintf("%s@%d=%s", k.Key, k.ModifyIndex, k.Value))
			}
			text := strings.Join(got, " ")
			if err != nil {
				text = err.Error()
			}
			if text != c.want && (err == nil || !strings.Contains(text, c.want)) {
				t.Errorf("%s: got %q, want %q", c.name, text, c.want)
			}
		}
	})
}

func TestWriteKeys(t *testing.T) {
	move := []source.KeyStep{
		{To: "old/a", Value: []byte("one"), Delete: "app/a", DeleteIndex: 7},
		{To: "old/b", Value: []byte("two"), Index: 9, Delete: "app/b", DeleteIndex: 8},
	}
	for _, c := range []struct {
		name   string
		before func(n int, keys map[string]string)
		steps  []source.KeyStep
		want   string // what is there then
		fails  string
	}{
		{"written, then deleted", nil, move, "old/a=one old/b=two", ""},
		{"a copy deletes nothing", nil, []source.KeyStep{{To: "old/a", Value: []byte("one")}}, "app/a=one app/b=two old/a=one old/b=there", ""},
		{"what is there already needs only the deletion", nil, []source.KeyStep{{Delete: "app/a", DeleteIndex: 7}}, "app/b=two old/b=there", ""},
		{"a target that appeared meanwhile is not overwritten", func(n int, k map[string]string) {
			if n == 0 {
				k["old/a"] = "50 new"
			}
		}, move, "app/a=one app/b=two old/a=new old/b=there", "0 of 2 keys were done"},
		{"a source that changed meanwhile is not deleted", func(n int, k map[string]string) {
			if n == 3 {
				k["app/b"] = "51 changed"
			}
		}, move, "app/b=changed old/a=one old/b=two", "1 of 2 keys were done"},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := &store{before: c.before, keys: map[string]string{"app/a": "7 one", "app/b": "8 two", "old/b": "9 there"}}
			on(t, st, func(t *testing.T, s *source.Source) {
				out, err := s.Do(t.Context(), source.WriteKeys{What: "move", Done: "moved", Steps: c.steps})
				var conflict *source.Conflict
				switch {
				case c.fails == "" && (err != nil || out.Text != "moved"):
					t.Errorf("got %q, %v", out.Text, err)
				case c.fails != "" && (!errors.As(err, &conflict) || !strings.Contains(err.Error(), c.fails)):
					t.Errorf("got %v, want %q", err, c.fails)
				}
			})
			if got := st.text(); got != c.want {
				t.Errorf("there is %s\nwant     %s", got, c.want)
			}
		})
	}
}

func TestDeleteTreeOnlyAsManyAsWereShown(t *testing.T) {
	st := &store{keys: map[string]string{"app/a": "7 one", "app/b": "8 two", "apple": "9 three"}}
	on(t, st, func(t *testing.T, s *source.Source) {
		_, err := s.Do(t.Context(), source.DeleteTree{Prefix: "app/", Count: 1})
		if source.KindOf(err) != source.Conflicted || st.text() != "app/a=one app/b=two apple=three" {
			t.Errorf("one was shown: %v, %s", err, st.text())
		}
		out, err := s.Do(t.Context(), source.DeleteTree{Prefix: "app/", Count: 2})
		if err != nil || st.text() != "apple=three" || !strings.Contains(out.Text, "2 keys") {
			t.Errorf("two were shown: %q, %v, %s", out.Text, err, st.text())
		}
		if _, err := s.Do(t.Context(), source.DeleteTree{}); source.KindOf(err) != source.Refused {
			t.Errorf("an empty prefix: %v", err)
		}
	})
}
