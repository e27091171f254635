package keygen

import (
	"encoding/base64"
	"testing"

	"github.com/ctl-sh/ctl/internal/cli/clitest"
)

func TestKeygen(t *testing.T) {
	seen := map[string]bool{}
	for range 3 {
		got := clitest.Do(t, NewCommand, clitest.Run{Args: []string{"keygen"}})
		key, err := base64.StdEncoding.DecodeString(got.Out[:len(got.Out)-1])
		if got.Code != 0 || got.Err != "" || err != nil || len(key) != KeyBytes {
			t.Errorf("exit code %d, key %q (%d bytes, %v), error %q", got.Code, got.Out, len(key), err, got.Err)
		}
		if seen[got.Out] {
			t.Errorf("the key %q came twice", got.Out)
		}
		seen[got.Out] = true
	}
	if got := clitest.Do(t, NewCommand, clitest.Run{Args: []string{"keygen", "x"}}); got.Code != 1 {
		t.Errorf("with an argument: exit code %d", got.Code)
	}
}
