package codec

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/tinylib/msgp/msgp"
)

func rich() *sample {
	return &sample{
		Key:   "ç/a b%",
		Value: []byte{0, 0xff, 1},
		Index: 1 << 63,
		Tags:  []string{"", "x"},
		Meta:  map[string]string{"a": "b"},
		Kids:  []sample{{Key: "kid"}},
	}
}

func mustEncode(tb testing.TB, m Message) []byte {
	tb.Helper()
	b, err := Encode(m)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestRoundTrip(t *testing.T) {
	for _, c := range []struct {
		name string
		in   *sample
	}{
		{"zero", &sample{}},
		{"every field", rich()},
		{"large value", &sample{Key: "k", Value: bytes.Repeat([]byte{7}, 512<<10)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := mustEncode(t, c.in)
			var got sample
			if err := Decode(b, &got); err != nil {
				t.Fatal(err)
			}
			clear(b) // the message must not depend on its source
			if !bytes.Equal(c.in.Value, got.Value) {
				t.Error("the value changed")
			}
			c.in.Value, got.Value = nil, nil // cmp is slow on half a megabyte
			if d := cmp.Diff(c.in, &got, cmpopts.EquateEmpty()); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestVersionsMix(t *testing.T) {
	var old sample
	if err := Decode(mustEncode(t, &newer{Key: "k", Added: []sample{*rich()}}), &old); err != nil || old.Key != "k" {
		t.Errorf("an old reader got %+v, %v from a new writer", old, err)
	}
	var now newer
	if err := Decode(mustEncode(t, rich()), &now); err != nil || now.Key != rich().Key || now.Added != nil {
		t.Errorf("a new reader got %+v, %v from an old writer", now, err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	whole := mustEncode(t, rich())
	for _, c := range []struct {
		name string
		in   []byte
		text string
	}{
		{"nothing", nil, "decode *codec.sample: "},
		{"cut short", whole[:len(whole)-1], "decode *codec.sample: "},
		{"one trailing byte", append(bytes.Clone(whole), 0), "1 trailing bytes after"},
		{"another type", msgp.AppendString(nil, "hello"), "decode *codec.sample: "},
		{"a field of another type", msgp.AppendString(msgp.AppendString(msgp.AppendMapHeader(nil, 1), "i"), "x"), "decode *codec.sample: "},
		{"array longer than the bytes", msgp.AppendArrayHeader(msgp.AppendString(msgp.AppendMapHeader(nil, 1), "c"), 1<<32-1), "decode *codec.sample: "},
		{"bytes longer than the bytes", append(msgp.AppendString(msgp.AppendMapHeader(nil, 1), "v"), 0xc6, 0xff, 0xff, 0xff, 0xff), "decode *codec.sample: "},
		{"nested without end", bytes.Repeat([]byte{0x91}, 1<<20), "decode *codec.sample: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := Decode(c.in, &sample{})
			if !failure.Is(err, failure.Invalid) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v, want an Invalid that says %q", err, c.text)
			}
		})
	}
}

// unencodable fails like a value no encoding exists for.
type unencodable struct{ sample }

func (*unencodable) MarshalMsg(b []byte) ([]byte, error) { return append(b, 1), errors.New("no") }

func TestEncodeFails(t *testing.T) {
	dst := []byte("kept")
	out, err := Append(dst, &unencodable{})
	if !failure.Is(err, failure.Internal) || string(out) != "kept" {
		t.Errorf("got %q, %v; want the slice as it was and an Internal", out, err)
	}
	if b, err := EncodeEntry(1, &unencodable{}); err == nil || b != nil {
		t.Errorf("EncodeEntry = %v, %v; want an error", b, err)
	}
}

func TestEntry(t *testing.T) {
	for _, c := range []struct {
		name string
		typ  uint8
		m    Message
	}{
		{"without a body", 0, nil},
		{"with a body", 7, rich()},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := EncodeEntry(c.typ, c.m)
			if err != nil {
				t.Fatal(err)
			}
			e, err := DecodeEntry(b)
			if err != nil || e.Type != c.typ {
				t.Fatalf("got type %d, %v; want %d", e.Type, err, c.typ)
			}
			if c.m == nil {
				if len(e.Body) != 0 {
					t.Errorf("body %v, want none", e.Body)
				}
				return
			}
			var got sample
			if err := Decode(e.Body, &got); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.m, &got, cmpopts.EquateEmpty()); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestEntryLimits(t *testing.T) {
	if _, err := DecodeEntry(nil); !failure.Is(err, failure.Invalid) {
		t.Errorf("empty entry: %v, want Invalid", err)
	}
	if _, err := DecodeEntry(make([]byte, MaxEntryBytes+1)); !failure.Is(err, failure.TooLarge) {
		t.Errorf("oversized entry: %v, want TooLarge", err)
	}
	if _, err := EncodeEntry(1, &sample{Value: make([]byte, MaxEntryBytes)}); !failure.Is(err, failure.TooLarge) {
		t.Errorf("oversized command: %v, want TooLarge", err)
	}
}

func TestEncodeAllocatesOnce(t *testing.T) {
	m := rich()
	for _, c := range []struct {
		name string
		f    func() ([]byte, error)
	}{
		{"message", func() ([]byte, error) { return Encode(m) }},
		{"entry", func() ([]byte, error) { return EncodeEntry(3, m) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := testing.AllocsPerRun(100, func() {
				if _, err := c.f(); err != nil {
					t.Fatal(err)
				}
			})
			if got != 1 {
				t.Errorf("%v allocations, want 1", got)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(mustEncode(f, rich()))
	f.Add(mustEncode(f, &sample{}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		var m sample
		if err := Decode(b, &m); err != nil {
			if !failure.Is(err, failure.Invalid) {
				t.Errorf("kind %v, want Invalid", failure.KindOf(err))
			}
			return
		}
		var again sample
		if err := Decode(mustEncode(t, &m), &again); err != nil {
			t.Fatalf("what was decoded does not round-trip: %v", err)
		}
		if d := cmp.Diff(&m, &again, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("(-first +second):\n%s", d)
		}
	})
}

func BenchmarkEncodeEntry(b *testing.B) {
	m := &sample{Key: "some/key", Value: make([]byte, 128), Index: 42}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := EncodeEntry(1, m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	enc := mustEncode(b, &sample{Key: "some/key", Value: make([]byte, 128), Index: 42})
	b.ReportAllocs()
	for b.Loop() {
		var m sample
		if err := Decode(enc, &m); err != nil {
			b.Fatal(err)
		}
	}
}
