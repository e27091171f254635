package changes

import (
	"encoding/json"
	"testing"
	"time"
)

// FuzzFrame holds the encoding of a frame to that of encoding/json.
func FuzzFrame(f *testing.F) {
	f.Add("put", "services", "web", uint64(7), "", "", "", "", 0, "", int64(0))
	f.Add("hello", "", "", uint64(0), "", "", "", "", 1, "n1", int64(1764165600123456789))
	f.Add("error", "kv:<a>&\"b\\", "\x00\xff\u2028é", uint64(1), "slow", "x.1", "denied", "no\n", -1, "\t", int64(-1))
	f.Fuzz(func(t *testing.T, kind, topic, key string, index uint64, reason, position, errKind, text string, version int, node string, at int64) {
		frame := Frame{Type: kind, Topic: topic, Key: key, Index: index, Reason: reason, Position: position, Kind: errKind, Text: text, Version: version, Node: node}
		if at != 0 {
			now := time.Unix(0, at).UTC()
			frame.Time = &now
		}
		if key != "" {
			frame.Row, _ = json.Marshal(map[string]string{key: text}) // strings: cannot fail
		}
		want, err := json.Marshal(&frame)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(frame.Append([]byte("x"))); got != "x"+string(want)+"\n" {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}
