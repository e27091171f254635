package tui

import "os"

// notifyResize does nothing: the library finds out itself.
func notifyResize(chan<- os.Signal) {}
