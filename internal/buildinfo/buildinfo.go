// Package buildinfo holds what a build says about itself.
//
// Release builds stamp Version, Commit and Date:
//
//	-ldflags "-X github.com/ctl-sh/ctl/internal/buildinfo.Version=1.2.3 -X ….Commit=… -X ….Date=…"
//
// A build without the stamps takes commit and date from what the Go tool
// recorded, if it recorded any.
package buildinfo

import (
	"fmt"
	"runtime/debug"
	"sync"
)

// ConsulCompat is the Consul version whose HTTP API and output ctl follows. It
// is what agent/self reports as Config.Version, because clients compare it.
const ConsulCompat = "1.21.4"

// Stamped by the linker, which can set nothing but variables; never assigned
// elsewhere. Read them through Get, which fills in what was not stamped.
var (
	Version = "0.1.0-dev" // semantic version without a leading v
	Commit  = ""          // full VCS revision
	Date    = ""          // RFC 3339, UTC
)

// Info is what is known about a build. Commit and Date may be empty.
type Info struct {
	Version string // semantic version without a leading v
	Commit  string // full VCS revision, with "-dirty" for a modified tree
	Date    string // RFC 3339, UTC
}

// Get returns what is known about the running build. It is cheap after the
// first call and safe for concurrent use.
var Get = sync.OnceValue(func() Info {
	i := Info{Version: Version, Commit: Commit, Date: Date}
	if b, ok := debug.ReadBuildInfo(); ok {
		i.fill(b.Settings)
	}
	return i
})

// fill takes from the Go tool's record what the linker did not stamp.
func (i *Info) fill(settings []debug.BuildSetting) {
	vcs := make(map[string]string, len(settings))
	for _, s := range settings {
		vcs[s.Key] = s.Value
	}
	if i.Commit == "" {
		i.Commit = vcs["vcs.revision"]
		if i.Commit != "" && vcs["vcs.modified"] == "true" {
			i.Commit += "-dirty"
		}
	}
	if i.Date == "" {
		i.Date = vcs["vcs.time"]
	}
}

// String returns one line for people: version, short commit, date.
func (i Info) String() string {
	s := "ctl " + i.Version
	if i.Commit != "" {
		s += fmt.Sprintf(" (%.12s)", i.Commit)
	}
	if i.Date != "" {
		s += " built " + i.Date
	}
	return s
}
