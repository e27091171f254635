package kv

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/cli/clitest"
)

// TestProgress checks that commands count all they do: the last line of
// --progress json says how much.
func TestProgress(t *testing.T) {
	const two = `[{"Key":"a/1","Value":"MTI="},{"Key":"a/2","Value":"MzQ="}]`
	answers := map[string]clitest.Answer{
		"GET /v1/kv/a/?recurse=": {Body: two}, "GET /v1/kv/b/?recurse=": {Body: two},
		"PUT /v1/kv/a/1": {Body: "true"}, "PUT /v1/kv/a/2": {Body: "true"}, "DELETE /v1/kv/a/?recurse=": {Body: "true"},
		"GET /v1/kv/c/?recurse=": {Status: 404}, "PUT /v1/kv/c/1?cas=0&flags=0": {Body: "true"}, "PUT /v1/kv/c/2?cas=0&flags=0": {Body: "true"},
		"PUT /v1/kv/c/1?cas=0": {Body: "true"}, "PUT /v1/kv/c/2?cas=0": {Body: "true"},
	}
	for _, c := range []struct {
		args, what   string
		items, bytes float64
		total        any
	}{
		{"get -recurse a/", "Reading", 2, float64(len(two)), nil},
		{"export a/", "Exporting", 2, float64(len(two)), nil},
		{"ls -l a", "Reading", 2, float64(len(two)), nil},
		{"diff a/ b/", "Comparing", 4, float64(2 * len(two)), nil},
		{`import [{"key":"a/1","value":"MTI="},{"key":"a/2","value":"MzQ="}]`, "Importing", 2, 4, 2.0},
		{"delete -recurse a/", "Deleting", 0, 0, nil},
		{"cp -recurse a/ c/", "Copying", 2, 0, 2.0},
	} {
		t.Run(c.args, func(t *testing.T) {
			t.Parallel()
			agent := clitest.NewAgent(t, answers)
			got := clitest.Do(t, NewCommand, clitest.Run{Args: append(strings.Fields("kv "+c.args), "-progress=json"), Agent: agent})
			lines := strings.Split(strings.TrimSpace(got.Err), "\n")
			var last struct{ Progress map[string]any }
			if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
				t.Fatalf("%+v: %v", got, err)
			}
			for field, want := range map[string]any{"What": c.what, "Items": c.items, "Bytes": c.bytes, "TotalItems": c.total, "Ended": true} {
				if last.Progress[field] != want {
					t.Errorf("%s is %v, want %v", field, last.Progress[field], want)
				}
			}
		})
	}
}
