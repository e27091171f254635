//go:build planted

package plant

import (
	"os"
	"slices"
	"strings"
	"sync"
)

// Enabled reports whether this build can plant faults.
const Enabled = true

var planted = sync.OnceValue(func() []string {
	return strings.Split(os.Getenv("CTL_PLANT"), ",")
})

// On reports whether CTL_PLANT names the fault. The variable is read once.
// Safe for concurrent use.
func On(name string) bool { return slices.Contains(planted(), name) }
