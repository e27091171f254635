//go:build !linux

// Command bench measures the dashboard; on Linux only.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "bench-tui: pseudo terminals are measured on Linux only")
	os.Exit(1)
}
