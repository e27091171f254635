package config

import "strings"

// nearest finds the key that was probably meant by an unknown one: the same
// letters in another case, a small slip beside it, or the same name elsewhere.
// It returns the empty string if nothing is near.
func nearest(parent *Key, path, name string) string {
	prefix := strings.TrimSuffix(path, name)
	best, distance := "", max(2, len(name)/3)+1
	for _, k := range parent.under() {
		if squash(k.name()) == squash(name) {
			return prefix + k.name()
		}
		if k.Status == Deprecated {
			continue
		}
		if d := editDistance(name, k.name()); d < distance {
			best, distance = prefix+k.name(), d
		}
	}
	if best != "" && distance <= 2 {
		return best
	}
	for _, k := range keys().all {
		if k.Status != Deprecated && k.name() == name || squash(k.Path) == squash(path) {
			return k.Path
		}
	}
	return best
}

// squash drops what spellings differ in.
func squash(s string) string {
	return strings.NewReplacer("_", "", "-", "", ".", "").Replace(strings.ToLower(s))
}

// editDistance counts the single-letter changes, swaps of neighbours included,
// that make a into b.
func editDistance(a, b string) int {
	if len(a) > 100 || len(b) > 100 {
		return 100
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
