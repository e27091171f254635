package gossip

import (
	"slices"
	"testing"

	"github.com/tinylib/msgp/msgp"
)

func FuzzParseKeyAnswer(f *testing.F) {
	good := msgp.AppendMapHeader([]byte{keyAnswerType}, 4)
	good = msgp.AppendBool(msgp.AppendString(good, "Result"), true)
	good = msgp.AppendString(msgp.AppendString(good, "Message"), "")
	good = msgp.AppendString(msgp.AppendArrayHeader(msgp.AppendString(good, "Keys"), 1), "key")
	good = msgp.AppendString(msgp.AppendString(good, "PrimaryKey"), "key")
	k, err := parseKeyAnswer(good)
	if err != nil || k.Problem != "" || k.Primary != "key" || !slices.Equal(k.Keys, []string{"key"}) {
		f.Fatalf("got %+v, %v", k, err)
	}
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add([]byte{keyAnswerType, 0xdf, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{keyAnswerType, 0x81, 0xa4, 'K', 'e', 'y', 's', 0xdd, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, err := parseKeyAnswer(b); err == nil && k.Problem == "" && len(k.Keys) > len(b) {
			t.Errorf("%d keys in %d bytes", len(k.Keys), len(b))
		}
	})
}
