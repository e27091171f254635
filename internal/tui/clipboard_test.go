package tui

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/ctl-sh/ctl/internal/tui/tuitest"
)

func TestCopySaysByWhat(t *testing.T) {
	file := filepath.Join(t.TempDir(), "clipboard")
	for _, c := range []struct {
		name    string
		command []string
		shows   string
		want    string // in the desktop's clipboard
	}{
		{"the terminal alone", nil, "Copied the value of greeting to the terminal's clipboard (OSC 52): hello", ""},
		{"a program as well", []string{"/bin/sh", "-c", `cat >"$0"`, file}, "Copied the value of greeting by sh and OSC 52: hello", "hello\nworld"},
		{"a program that fails", []string{"/bin/sh", "-c", "exit 3"}, "to the terminal's clipboard only (OSC 52): sh: exit status 3", ""},
		{"a program that is gone", []string{"/nowhere/xclip"}, "to the terminal's clipboard only (OSC 52): xclip: ", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDriver(t, tuitest.Live(), "kv/greeting")
			d.c.Clipboard = c.command
			d.press("c")
			d.shows(c.shows)
			if d.copy != "hello\nworld" {
				t.Errorf("the terminal has %q", d.copy)
			}
			if c.want == "" {
				return
			}
			if got, err := os.ReadFile(file); err != nil || string(got) != c.want {
				t.Errorf("the program has %q, %v", got, err)
			}
		})
	}
}
