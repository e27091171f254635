package layers

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Table is layers.txt: by package, below internal/ (cmd/ctl keeps its name).
type Table map[string]Row

// Row is one package of a Table.
type Row struct {
	Floor   int
	Imports []string // packages it may import; "*" is every package of a lower floor
}

// ParseTable reads lines "floor package import...". Empty lines and lines that
// start with # do not count. Named imports must be in the table and not on a
// higher floor.
func ParseTable(r io.Reader) (Table, error) {
	t := Table{}
	err := lines(r, func(fields []string) error {
		floor, err := strconv.Atoi(fields[0])
		if err != nil || len(fields) < 2 {
			return fmt.Errorf("want: floor package import...; have %q", fields)
		}
		name := fields[1]
		if _, twice := t[name]; twice {
			return fmt.Errorf("%s stands here twice", name)
		}
		t[name] = Row{Floor: floor, Imports: fields[2:]}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return t, t.check()
}

func (t Table) check() error {
	for name, row := range t {
		for _, imported := range row.Imports {
			if imported == "*" {
				continue
			}
			other, ok := t[imported]
			switch {
			case !ok:
				return fmt.Errorf("%s may import %s, which is not in the table", name, imported)
			case other.Floor > row.Floor:
				return fmt.Errorf("%s on floor %d may import %s on floor %d: imports run downwards", name, row.Floor, imported, other.Floor)
			}
		}
	}
	return nil
}

// Allows returns why pkg may not import other, or "" if it may. Both are names
// of the table.
func (t Table) Allows(pkg, other string) string {
	row, ok := t[pkg]
	if !ok {
		return fmt.Sprintf("%s is not in layers.txt: give it a floor", pkg)
	}
	to, ok := t[other]
	switch {
	case !ok:
		return fmt.Sprintf("%s imports %s, which is not in layers.txt: give it a floor", pkg, other)
	case slices.Contains(row.Imports, other):
		return ""
	case to.Floor > row.Floor:
		return fmt.Sprintf("%s (floor %d) imports %s (floor %d): imports run downwards; declare an interface where it is used instead", pkg, row.Floor, other, to.Floor)
	case slices.Contains(row.Imports, "*") && to.Floor < row.Floor:
		return ""
	default:
		return fmt.Sprintf("%s imports %s, which its line in layers.txt does not name", pkg, other)
	}
}

// Home is one foreign library and the packages that may import it.
type Home struct {
	Prefix   string // of the import path
	Packages []string
	Reason   string
}

// ParseHomes reads lines "prefix package... -- reason".
func ParseHomes(r io.Reader) ([]Home, error) {
	var homes []Home
	err := lines(r, func(fields []string) error {
		at := slices.Index(fields, "--")
		if at < 2 || at == len(fields)-1 {
			return fmt.Errorf("want: prefix package... -- reason; have %q", fields)
		}
		homes = append(homes, Home{fields[0], fields[1:at], strings.Join(fields[at+1:], " ")})
		return nil
	})
	return homes, err
}

// Welcome returns why pkg may not import the foreign path, or "". The longest
// matching prefix decides. A package name that ends in /... stands for
// everything below it, too, and * for every package.
func Welcome(homes []Home, pkg, path string) string {
	var home Home
	for _, h := range homes {
		if within(path, h.Prefix) && len(h.Prefix) > len(home.Prefix) {
			home = h
		}
	}
	if home.Prefix == "" {
		return fmt.Sprintf("%s imports %s, which has no home in homes.txt", pkg, path)
	}
	for _, p := range home.Packages {
		if p == "*" || p == pkg || strings.HasSuffix(p, "/...") && within(pkg, strings.TrimSuffix(p, "/...")) {
			return ""
		}
	}
	return fmt.Sprintf("%s imports %s: %s (its home: %s)", pkg, path, home.Reason, strings.Join(home.Packages, ", "))
}

func within(path, prefix string) bool { return path == prefix || strings.HasPrefix(path, prefix+"/") }

// lines calls do with the fields of every line that says something.
func lines(r io.Reader, do func(fields []string) error) error {
	scanner := bufio.NewScanner(r)
	for n := 1; scanner.Scan(); n++ {
		fields := strings.Fields(scanner.Text())
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if err := do(fields); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	return scanner.Err()
}
