package changesapi

import (
	"encoding/json"
	"testing"
)

// TestRowsThatEncodeThemselves holds them to what encoding/json makes of them.
func TestRowsThatEncodeThemselves(t *testing.T) {
	for name, row := range map[string]serviceRow{
		"nothing":  {},
		"no tags":  {Name: "web", Tags: []string{}, Instances: 3, Passing: 2, Warning: -1, Critical: 1},
		"tags":     {Name: "web", Kind: "connect-proxy", Tags: []string{"v1", "", "a b"}},
		"escapes":  {Name: "<w>&\"\\\u2028\x01", Kind: "\xff", Tags: []string{"é\n"}},
		"greatest": {Instances: 1<<63 - 1, Critical: -1 << 63},
	} {
		t.Run(name, func(t *testing.T) {
			// A type of its own has no methods.
			type plain serviceRow
			want, err := json.Marshal(plain(row))
			if err != nil {
				t.Fatal(err)
			}
			if got := string(row.AppendJSON([]byte("x"))); got != "x"+string(want) {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}
