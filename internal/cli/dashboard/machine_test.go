package dashboard

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/cli"
)

func TestClipboard(t *testing.T) {
	for _, c := range []struct {
		name, system, env, found, want string
	}{
		{"none without a desktop", "linux", "", "xclip wl-copy", ""},
		{"X11", "linux", "DISPLAY=:0", "xclip xsel", "/bin/xclip -selection clipboard"},
		{"X11 with the other program", "linux", "DISPLAY=:0", "xsel", "/bin/xsel --clipboard --input"},
		{"Wayland before X11", "linux", "WAYLAND_DISPLAY=w DISPLAY=:0", "xclip wl-copy", "/bin/wl-copy"},
		{"Wayland without its program", "linux", "WAYLAND_DISPLAY=w DISPLAY=:0", "xclip", "/bin/xclip -selection clipboard"},
		{"none that is installed", "linux", "DISPLAY=:0", "", ""},
		{"a Mac", "darwin", "", "pbcopy", "/bin/pbcopy"},
		{"Windows' own would spoil what is not ASCII", "windows", "", "clip.exe", ""},
		{"not the desktop of the machine reached by SSH", "linux", "SSH_CONNECTION=x DISPLAY=:0", "xclip", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := map[string]string{}
			for e := range strings.FieldsSeq(c.env) {
				name, value, _ := strings.Cut(e, "=")
				env[name] = value
			}
			o := &options{f: &cli.Factory{LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}}
			got := o.clipboard(c.system, func(name string) (string, error) {
				if !slices.Contains(strings.Fields(c.found), name) {
					return "", errors.New("not found")
				}
				return "/bin/" + name, nil
			})
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
