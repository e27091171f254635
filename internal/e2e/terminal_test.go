package e2e

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// tmuxKeys are keys whose names tmux and the scripts write differently.
var tmuxKeys = map[string]string{
	"enter": "Enter", "esc": "Escape", "space": "Space", "tab": "Tab", "up": "Up", "down": "Down", "left": "Left", "right": "Right",
	"end": "End", "home": "Home", "backspace": "BSpace",
}

const screenTick = 50 * time.Millisecond

// tmux runs a command on the script's own tmux server.
func tmux(ts *testscript.TestScript, args ...string) (string, error) {
	cmd := exec.Command("tmux", append([]string{"-S", ts.MkAbs("tmux"), "-f", "/dev/null"}, args...)...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "CTL_HTTP_ADDR", "EDITOR", "CTL", "A1", "A2", "A3", "A4"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	cmd.Env = append(cmd.Env, "LANG=C.UTF-8", "TERM=xterm-256color")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// terminal runs ctl on a terminal of that size. The terminal outlives it, so
// that what it leaves behind can be seen.
func terminal(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 2, "terminal COLUMNSxLINES ARGS...")
	onTerminal(ts, args[0], ts.Getenv("CTL")+" "+strings.Join(args[1:], " ")+`; echo "ended with $?"; exec cat`)
}

// shell runs a shell, or any program, on a terminal of that size.
func shell(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 2, "shell COLUMNSxLINES PROGRAM ARGS...")
	onTerminal(ts, args[0], "exec "+strings.Join(args[1:], " "))
}

func onTerminal(ts *testscript.TestScript, size, line string) {
	columns, lines, ok := strings.Cut(size, "x")
	if !ok {
		ts.Fatalf("%q is no size such as 120x40", size)
	}
	ts.Defer(func() { _, _ = tmux(ts, "kill-server") }) // may have ended
	// The server of a session before may be about to end.
	poll(ts, "open a terminal", screenTick, func() error {
		out, err := tmux(ts, "new-session", "-d", "-x", columns, "-y", lines, line)
		if err != nil {
			return fmt.Errorf("tmux: %w: %s", err, out)
		}
		return nil
	})
}

// press presses keys by their names; any other text is typed.
func press(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 1, "press KEY...")
	for _, key := range args {
		send := []string{"send-keys", "-l", "--", key}
		if name, ok := tmuxKeys[key]; ok {
			send = []string{"send-keys", name}
		} else if rest, ok := strings.CutPrefix(key, "ctrl+"); ok {
			send = []string{"send-keys", "C-" + rest}
		}
		if out, err := tmux(ts, send...); err != nil {
			ts.Fatalf("tmux: %v: %s", err, out)
		}
	}
}

// resize gives the terminal another size.
func resize(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 2, "resize COLUMNS LINES")
	if out, err := tmux(ts, "resize-window", "-x", args[0], "-y", args[1]); err != nil {
		ts.Fatalf("tmux: %v: %s", err, out)
	}
}

// picture puts what the terminal shows into the tour of the dashboard, in the
// place that has its name. Without -pictures it only sees that there is such a
// place.
func picture(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 1, "picture NAME")
	screen, err := tmux(ts, "capture-pane", "-p")
	if err != nil {
		ts.Fatalf("tmux: %v: %s", err, screen)
	}
	data, err := os.ReadFile(tour)
	ts.Check(err)
	before, rest, ok := strings.Cut(string(data), "<!-- picture "+args[0]+" -->\n```text\n")
	_, after, closed := strings.Cut(rest, "```\n")
	if !ok || !closed {
		ts.Fatalf("%s has no place for the picture %s", tour, args[0])
	}
	if !*pictures {
		return
	}
	for i := 1; i <= 4; i++ {
		// The addresses of a run are nobody else's; those shown are as long,
		// so that the columns stay.
		at := ts.Getenv("A" + strconv.Itoa(i))
		screen = strings.ReplaceAll(screen, at, example[len(at)]+strconv.Itoa(i))
	}
	lines := strings.Split(strings.TrimRight(screen, "\n"), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	text := before + "<!-- picture " + args[0] + " -->\n```text\n" + strings.Join(lines, "\n") + "\n```\n" + after
	ts.Check(os.WriteFile(tour, []byte(text), 0o644))
}

// example is an address by its length, without the last digit.
var example = map[int]string{9: "10.0.0.1", 10: "10.0.10.1", 11: "10.10.10.1", 12: "10.10.10.10", 13: "10.10.100.10", 14: "10.100.100.10", 15: "172.100.100.10"}

// tour is the page with the pictures, from this package's directory.
const tour = "../../docs/tutorials/dashboard.md"

var pictures = flag.Bool("pictures", false, "make the pictures of the tour of the dashboard anew")

// shows waits until all texts are on the terminal, or none with a !.
func shows(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, false, args, 1, "[!] shows TEXT...")
	var screen string
	defer func() { ts.Logf("%s", screen) }()
	poll(ts, "shows "+strings.Join(args, ", "), screenTick, func() error {
		var err error
		if screen, err = tmux(ts, "capture-pane", "-p"); err != nil {
			return fmt.Errorf("tmux: %w: %s", err, screen)
		}
		for _, text := range args {
			if strings.Contains(screen, text) == neg {
				return errors.New("the terminal shows\n" + screen)
			}
		}
		return nil
	})
}
