package version

import (
	"testing"

	"github.com/ctl-sh/ctl/internal/buildinfo"
	"github.com/ctl-sh/ctl/internal/cli/clitest"
)

func TestVersion(t *testing.T) {
	release := buildinfo.Info{Version: "0.1.0", Commit: "0123abc", Date: "2026-11-23T10:00:00Z"}
	for _, c := range []struct {
		name  string
		build buildinfo.Info
		args  []string
		want  string
	}{
		{"release", release, []string{"version"}, `ctl v0.1.0
Revision 0123abc
Build Date 2026-11-23T10:00:00Z
Consul-compatible 1.21.4
Protocol 2 spoken by default, understands 2 to 3
`},
		{"nothing stamped", buildinfo.Info{Version: "0.1.0-dev"}, []string{"version"}, `ctl v0.1.0-dev
Consul-compatible 1.21.4
Protocol 2 spoken by default, understands 2 to 3
`},
		{"JSON", buildinfo.Info{Version: "0.1.0-rc1", Commit: "0123abc"}, []string{"version", "-format=json"}, `{
   "Version": "0.1.0",
   "Revision": "0123abc",
   "Prerelease": "rc1",
   "BuildDate": "",
   "Consul": "1.21.4",
   "RPC": {
      "Default": 2,
      "Min": 2,
      "Max": 3
   }
}
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := clitest.Do(t, NewCommand, clitest.Run{Args: c.args, Build: c.build})
			if got.Code != 0 || got.Err != "" || got.Out != c.want {
				t.Errorf("exit code %d, error %q, output\n%s, want\n%s", got.Code, got.Err, got.Out, c.want)
			}
		})
	}
	if got := clitest.Do(t, NewCommand, clitest.Run{Args: []string{"version", "x"}}); got.Code != 1 {
		t.Errorf("with an argument: exit code %d", got.Code)
	}
}
