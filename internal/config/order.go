package config

import (
	"maps"
	"slices"
)

// sortedKeys returns the keys of m in order, so that messages have one.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
