//go:build !windows

package iostreams

import "golang.org/x/sys/unix"

// terminalWidth reports whether fd is a terminal and how wide it is. The width
// is zero where the terminal does not know, as on a serial line.
func terminalWidth(fd uintptr) (columns int, terminal bool) {
	size, err := unix.IoctlGetWinsize(int(fd), unix.TIOCGWINSZ)
	if err != nil {
		return 0, false
	}
	return int(size.Col), true
}

// terminalLines returns the height of the terminal fd is, zero where that is not
// known.
func terminalLines(fd uintptr) int {
	size, err := unix.IoctlGetWinsize(int(fd), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Row)
}
