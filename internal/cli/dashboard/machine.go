package dashboard

import (
	"fmt"
	"os"
	"path/filepath"
)

// editor is the operator's editor, as other programs choose it.
func (o *options) editor() string {
	for _, name := range []string{"VISUAL", "EDITOR"} {
		if v := o.env(name); v != "" {
			return v
		}
	}
	return "vi"
}

// clipboard is the program that puts text on the clipboard of the operator's
// desktop, if this machine has one. Through SSH it is another machine's desktop.
// Windows' clip.exe is not among them: it reads another encoding than ours and
// would spoil what the terminal has copied well.
func (o *options) clipboard(system string, find func(name string) (path string, err error)) []string {
	if o.env("SSH_CONNECTION") != "" || o.env("SSH_TTY") != "" {
		return nil
	}
	for _, c := range []struct {
		here    bool
		command []string
	}{
		{system == "darwin", []string{"pbcopy"}},
		{o.env("WAYLAND_DISPLAY") != "", []string{"wl-copy"}},
		{o.env("DISPLAY") != "", []string{"xclip", "-selection", "clipboard"}},
		{o.env("DISPLAY") != "", []string{"xsel", "--clipboard", "--input"}},
	} {
		if !c.here {
			continue
		}
		if path, err := find(c.command[0]); err == nil {
			return append([]string{path}, c.command[1:]...)
		}
	}
	return nil
}

// kept is the directory of that name where texts are kept: with what survives a
// restart, because a draft should, and a report.
func (o *options) kept(name string) string {
	if dir := o.env("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "ctl", name)
	}
	if home := o.env("HOME"); home != "" {
		return filepath.Join(home, ".local", "state", "ctl", name)
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("ctl-%s-%d", name, os.Getuid()))
}
