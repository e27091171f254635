package kvapi

import (
	"encoding/json"
	"testing"

	"github.com/ctl-sh/ctl/internal/kv"
)

func FuzzAppendEntry(f *testing.F) {
	f.Add("a/key", "", []byte("value"), uint64(1), uint64(2))
	f.Add("ç <&> \"\\\u2028\xff\x00", "session", []byte{}, uint64(0), uint64(1<<63))
	f.Fuzz(func(t *testing.T, key, session string, value []byte, lock, index uint64) {
		entries := []*kv.Entry{
			{Key: key, Session: session, Value: value, LockIndex: lock, Flags: index, CreateIndex: lock, ModifyIndex: index},
			{Key: key},
		}
		want, err := json.Marshal(entries)
		if err != nil {
			t.Fatal(err)
		}
		if got := appendEntries(nil, entries); string(got) != string(want) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		list := []string{key, session}
		if want, err = json.Marshal(list); err != nil {
			t.Fatal(err)
		}
		if got := appendStrings(nil, list); string(got) != string(want) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}
