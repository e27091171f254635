package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestEveryFlipAndEveryCutIsFound(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	if _, err := Read(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("Read of an absent file = %v", err)
	}
	for _, payload := range []string{"", "x", "some state\x00 with zeros\x00\x00"} {
		if err := Write(path, []byte(payload)); err != nil {
			t.Fatal(err)
		}
		got, err := Read(path)
		if err != nil || string(got) != payload {
			t.Fatalf("Read = %q, %v, want %q", got, err, payload)
		}
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for bit := range len(whole) * 8 {
			b := append([]byte(nil), whole...)
			b[bit/8] ^= 1 << (bit % 8)
			mustBeDamaged(t, path, b)
		}
		for n := range len(whole) {
			mustBeDamaged(t, path, whole[:n])
		}
	}
}

func mustBeDamaged(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path); !IsDamage(err) {
		t.Fatalf("Read of %x = %v, want damage", content, err)
	}
}
