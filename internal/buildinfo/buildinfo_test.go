package buildinfo

import (
	"runtime/debug"
	"testing"
)

func TestFill(t *testing.T) {
	vcs := []debug.BuildSetting{
		{Key: "vcs.revision", Value: "0123456789abcdef"},
		{Key: "vcs.time", Value: "2026-11-23T10:00:00Z"},
		{Key: "vcs.modified", Value: "true"},
	}
	for _, c := range []struct {
		name     string
		stamped  Info
		settings []debug.BuildSetting
		want     string
	}{
		{"stamped by the linker", Info{Version: "1.2.3", Commit: "feed", Date: "2026-01-02T03:04:05Z"}, vcs, "ctl 1.2.3 (feed) built 2026-01-02T03:04:05Z"},
		{"taken from the Go tool", Info{Version: "1.2.3"}, vcs, "ctl 1.2.3 (0123456789ab) built 2026-11-23T10:00:00Z"},
		{"clean tree", Info{Version: "1.2.3"}, vcs[:1], "ctl 1.2.3 (0123456789ab)"},
		{"nothing known", Info{Version: "1.2.3"}, nil, "ctl 1.2.3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := c.stamped
			i.fill(c.settings)
			if got := i.String(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	dirty := Info{}
	if dirty.fill(vcs); dirty.Commit != "0123456789abcdef-dirty" {
		t.Errorf("commit of a modified tree is %q", dirty.Commit)
	}
	if Get().Version != Version || Version == "" {
		t.Errorf("Get().Version = %q, Version = %q", Get().Version, Version)
	}
}
