package page

import (
	"strings"

	"github.com/ctl-sh/ctl/internal/iostreams"
)

// YAML writes v as YAML, with the names, the values and the order it has as
// JSON.
func YAML(v any) string {
	var b strings.Builder
	if err := iostreams.WriteYAML(&b, v); err != nil {
		return "cannot be shown as YAML: " + err.Error()
	}
	return b.String()
}
