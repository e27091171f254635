//go:build !planted

package plant

// Enabled reports whether this build can plant faults.
const Enabled = false

// On reports whether the named fault is planted: never, in this build.
func On(string) bool { return false }
