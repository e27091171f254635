package tui

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/ctl-sh/ctl/internal/tui/ui"
)

// clipboardPatience bounds a clipboard's program, which may wait for a display.
const clipboardPatience = 2 * time.Second

// copy puts text on the terminal's clipboard by OSC 52, which works through SSH
// and, with set-clipboard on, through tmux; and on the desktop's by its program,
// if there is one, since not every terminal does the first.
func (m *Model) copy(what, text string) tea.Cmd {
	shown := ui.Cut(ui.Clean(text), 60, m.theme.Glyphs.Ellipsis)
	byTerminal := func() tea.Msg { return copyMsg(text) }
	if len(m.c.Clipboard) == 0 {
		m.say(ui.Passing, "Copied the "+what+" to the terminal's clipboard (OSC 52): "+shown)
		return byTerminal
	}
	command := m.c.Clipboard
	name := filepath.Base(command[0])
	m.say(ui.Info, "Copying the "+what+" by "+name+" and OSC 52…")
	return tea.Batch(byTerminal, func() tea.Msg {
		if err := pipe(command, text); err != nil {
			return saidMsg{"Copied the " + what + " to the terminal's clipboard only (OSC 52): " + name + ": " + err.Error(), ui.Warning}
		}
		return saidMsg{"Copied the " + what + " by " + name + " and OSC 52: " + shown, ui.Passing}
	})
}

// pipe gives text to a program.
func pipe(command []string, text string) error {
	ctx, stop := context.WithTimeout(context.Background(), clipboardPatience)
	defer stop()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdin = strings.NewReader(text)
	// Such programs go on in the background, to serve the text: they are not
	// waited for. What they write goes nowhere, as a pipe would be waited for.
	cmd.WaitDelay = clipboardPatience
	err := cmd.Run()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("no end after %s", clipboardPatience)
	}
	return err
}
