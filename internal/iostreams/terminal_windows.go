package iostreams

import "golang.org/x/sys/windows"

// terminalWidth reports whether fd is a console and how wide its window is.
// The width of a console's input side is not known and zero.
func terminalWidth(fd uintptr) (columns int, terminal bool) {
	h := windows.Handle(fd)
	var mode uint32
	if err := windows.GetConsoleMode(h, &mode); err != nil {
		return 0, false
	}
	var info windows.ConsoleScreenBufferInfo
	if err := windows.GetConsoleScreenBufferInfo(h, &info); err != nil {
		return 0, true
	}
	return int(info.Window.Right-info.Window.Left) + 1, true
}

// terminalLines returns the height of the window of the console fd is, zero where
// that is not known.
func terminalLines(fd uintptr) int {
	var info windows.ConsoleScreenBufferInfo
	if err := windows.GetConsoleScreenBufferInfo(windows.Handle(fd), &info); err != nil {
		return 0
	}
	return int(info.Window.Bottom-info.Window.Top) + 1
}
