package layers

import (
	"strings"
	"testing"
)

func TestTableAllows(t *testing.T) {
	t.Parallel()
	table, err := ParseTable(strings.NewReader(`
# a comment
0 failure
0 signal failure
1 store failure
1 rpc failure
2 kv store
5 server * agent
5 agent
`))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, pkg, other string
		want             string // in the reason; "" is allowed
	}{
		{"named", "kv", "store", ""},
		{"named on the same floor", "signal", "failure", ""},
		{"not named", "kv", "rpc", "does not name"},
		{"not named, same floor", "store", "rpc", "does not name"},
		{"upwards", "store", "kv", "downwards"},
		{"any lower floor", "server", "rpc", ""},
		{"a star does not cover its own floor", "agent", "server", "does not name"},
		{"named beside a star", "server", "agent", ""},
		{"unknown importer", "new", "store", "give it a floor"},
		{"unknown import", "kv", "new", "give it a floor"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := table.Allows(tt.pkg, tt.other)
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("Allows(%s, %s) = %q, want %q", tt.pkg, tt.other, got, tt.want)
			}
		})
	}
}

func TestParseTableRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no floor":         "kv store",
		"no package":       "1",
		"twice":            "1 kv\n1 kv",
		"unknown import":   "1 kv nothing",
		"an import upward": "1 kv api\n2 api",
	} {
		if _, err := ParseTable(strings.NewReader(text)); err == nil {
			t.Errorf("%s passed", name)
		}
	}
}

func TestWelcome(t *testing.T) {
	t.Parallel()
	homes, err := ParseHomes(strings.NewReader(`
example.org/raft consensus/... -- one home
example.org/raft/wal consensus/log -- the log store alone
`))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, pkg, path string
		want            string
	}{
		{"at home", "consensus", "example.org/raft", ""},
		{"below home", "consensus/log", "example.org/raft", ""},
		{"a package of the library", "consensus", "example.org/raft/sub", ""},
		{"the longer prefix decides", "consensus", "example.org/raft/wal", "log store"},
		{"elsewhere", "kv", "example.org/raft", "one home"},
		{"a name that only begins alike", "consensus", "example.org/raftish", "no home"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := Welcome(homes, tt.pkg, tt.path)
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("Welcome(%s, %s) = %q, want %q", tt.pkg, tt.path, got, tt.want)
			}
		})
	}
	if _, err := ParseHomes(strings.NewReader("example.org/raft consensus")); err == nil {
		t.Error("a home without a reason passed")
	}
}
