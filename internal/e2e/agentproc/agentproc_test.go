package agentproc

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	t.Parallel()
	const fields = " S 1 2 2 0 -1 4194560 1000 0 3 0 150 50 0 0 20 0 9 0 12345 800000 256 18446744073709551615"
	tests := []struct {
		name, stat string
		want       Usage
		wantErr    bool
	}{
		{"plain", "42 (ctl)" + fields, Usage{2 * time.Second, 256 * 4096}, false},
		{"a name with spaces and parentheses", "42 (a) (b c))" + fields, Usage{2 * time.Second, 256 * 4096}, false},
		{"no name", "42 ctl" + fields, Usage{}, true},
		{"too short", "42 (ctl) S 1 2", Usage{}, true},
		{"not a number", "42 (ctl) S 1 2 2 0 -1 0 0 0 0 0 x 50 0 0 20 0 9 0 1 8 256 1", Usage{}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseStat([]byte(tt.stat), 4096)
			if got != tt.want || (err != nil) != tt.wantErr {
				t.Errorf("parseStat = %+v, %v, want %+v, error %t", got, err, tt.want, tt.wantErr)
			}
		})
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		spec Spec
		want map[string]any
	}{
		{
			"a server",
			Spec{Name: "s", Dir: "d", Bind: "127.0.0.2", Server: true, Expect: 3, Join: []string{"127.0.0.3"}},
			map[string]any{"node_name": "s", "bind_addr": "127.0.0.2", "client_addr": "127.0.0.2", "log_level": "INFO",
				"data_dir": "d" + string(os.PathSeparator) + "data", "server": true, "bootstrap_expect": 3.0, "retry_join": []any{"127.0.0.3"}},
		},
		{
			"a dev agent has no data directory",
			Spec{Name: "s", Dir: "d", Bind: "127.0.0.2", Client: "127.0.0.1", Dev: true, Server: true, Expect: 1},
			map[string]any{"node_name": "s", "bind_addr": "127.0.0.2", "client_addr": "127.0.0.1", "log_level": "INFO"},
		},
		{
			"extra keys win",
			Spec{Name: "s", Dev: true, Extra: map[string]any{"log_level": "DEBUG"}},
			map[string]any{"node_name": "s", "bind_addr": "", "client_addr": "", "log_level": "DEBUG"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			data, err := tt.spec.Config()
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]any
			if err := json.Unmarshal(data, &got); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// TestProgramsAreShared finds what another package has built, and nothing that was
// built otherwise.
func TestProgramsAreShared(t *testing.T) {
	shared, dir := t.TempDir(), t.TempDir()
	t.Setenv(SharedPrograms, shared)
	if err := os.WriteFile(sharedName(shared, "", "-s -w"), []byte("built before"), 0o755); err != nil {
		t.Fatal(err)
	}
	bin, err := Build(t.Context(), filepath.Join(dir, "programs"), "")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(bin); err != nil || string(text) != "built before" {
		t.Errorf("%s holds %q, %v", bin, text, err)
	}
	if name := sharedName(shared, "", "-s -w"); name == sharedName(shared, "planted", "-s -w") || name == sharedName(shared, "", "-s") {
		t.Error("programs of other tags or flags have the same name")
	}
}

func TestLoopbackGivesEachCallItsOwn(t *testing.T) {
	t.Parallel()
	var a Allocator
	seen := map[string]bool{}
	for range 50 {
		for _, address := range a.Loopback(4) {
			if seen[address] {
				t.Fatalf("%s twice", address)
			}
			seen[address] = true
		}
	}
}
