// Command licences writes the licences of what is linked into ctl, which
// whoever gets the program must get with it.
//
//	go run ./internal/licences THIRD-PARTY-LICENSES
//
// It asks go which modules the released program is built from on each system,
// and takes their texts from the module cache. A text that it does not know, or
// none, is an error: a licence that ctl can be distributed under is a decision
// that nobody takes by adding an import.
package main

//go:generate go run . ../../THIRD-PARTY-LICENSES

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// systems are those of the releases (goreleaser.yaml). Processors make no
// difference.
var systems = []string{"linux", "darwin", "windows", "freebsd"}

// tags are those the released program is built with, as in the Makefile.
const tags = "grpcnotrace"

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: licences FILE")
		os.Exit(1)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "licences:", err)
		os.Exit(1)
	}
}

func write(file string) error {
	modules, err := linked()
	if err != nil {
		return err
	}
	text, err := render(modules)
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}

// module is a module of which something is linked in.
type module struct {
	path, version string
	dir           string // where its files are
}

// linked returns the modules that the program is built from on any system,
// sorted, with Go's own library at the end.
func linked() ([]module, error) {
	const format = "{{with .Module}}{{if not .Main}}{{.Path}}\t{{.Version}}\t{{.Dir}}{{end}}{{end}}"
	seen := map[string]module{}
	for _, system := range systems {
		out, err := goCommand(system, "list", "-deps", "-tags", tags, "-f", format, "github.com/ctl-sh/ctl/cmd/ctl")
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(out) {
			if f := strings.Split(strings.TrimSpace(line), "\t"); len(f) == 3 {
				seen[f[0]] = module{f[0], f[1], f[2]}
			}
		}
	}
	root, err := goCommand("", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	list := slices.SortedFunc(maps.Values(seen), func(a, b module) int { return strings.Compare(a.path, b.path) })
	return append(list, module{path: "Go, its standard library and runtime", dir: strings.TrimSpace(root)}), nil
}

func goCommand(system string, args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	if system != "" {
		cmd.Env = append(cmd.Environ(), "GOOS="+system, "GOARCH=amd64", "CGO_ENABLED=0")
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return string(out), nil
}

// licences are those that ctl may be distributed with, and words only their
// texts have.
var licences = []struct{ name, words string }{
	{"Apache-2.0", "Apache License Version 2.0"},
	{"MPL-2.0", "Mozilla Public License"},
	{"MIT", "Permission is hereby granted, free of charge, to any person obtaining a copy"},
	{"BSD-3-Clause", "Neither the name of"},
	{"BSD-2-Clause", "Redistribution and use in source and binary forms"},
}

// refused are licences of which a text must not speak as its own.
var refused = []string{"GNU GENERAL PUBLIC LICENSE", "GNU AFFERO", "GNU LESSER", "Business Source License", "Server Side Public License"}

// licenceOf names the licence of a text.
func licenceOf(text string) (string, error) {
	folded := strings.Join(strings.Fields(text), " ")
	for _, l := range licences {
		if !strings.Contains(strings.ToLower(folded), strings.ToLower(l.words)) {
			continue
		}
		// The Mozilla licence names others as secondary ones.
		for _, r := range refused {
			if l.name != "MPL-2.0" && strings.Contains(folded, r) {
				return "", fmt.Errorf("it speaks of the %s", r)
			}
		}
		return l.name, nil
	}
	return "", fmt.Errorf("its text is none of the known licences")
}

// texts returns the licence of a module and what else it wants passed on.
func (m module) texts() (licence, notice string, err error) {
	entries, err := os.ReadDir(m.dir)
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", m.path, err)
	}
	read := func(name string) (string, error) {
		b, err := os.ReadFile(filepath.Join(m.dir, name))
		return strings.TrimSpace(strings.ReplaceAll(string(b), "\r\n", "\n")), err
	}
	for _, e := range entries {
		name := strings.ToUpper(e.Name())
		switch {
		case e.IsDir():
			continue
		case strings.HasPrefix(name, "LICEN") || strings.HasPrefix(name, "COPYING"):
			var text string
			if text, err = read(e.Name()); licence != "" {
				text = licence + "\n\n" + text
			}
			licence = text
		case strings.HasPrefix(name, "NOTICE"):
			notice, err = read(e.Name())
		}
		if err != nil {
			return "", "", fmt.Errorf("%s: %w", m.path, err)
		}
	}
	if licence == "" {
		return "", "", fmt.Errorf("%s has no licence in its directory", m.path)
	}
	return licence, notice, nil
}

// render makes the file: a list of all, and every text once.
func render(modules []module) ([]byte, error) {
	var list, notices strings.Builder
	holders := map[string][]string{} // of each text
	original := map[string]string{}  // the text, by itself without regard to space
	var order []string
	for _, m := range modules {
		text, notice, err := m.texts()
		if err != nil {
			return nil, err
		}
		name, err := licenceOf(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w: see internal/licences", m.path, err)
		}
		title := strings.TrimSpace(m.path + " " + m.version)
		fmt.Fprintf(&list, "  %-14s %s\n", name, title)
		key := strings.Join(strings.Fields(text), " ")
		if original[key] == "" {
			original[key] = text
			order = append(order, key)
		}
		holders[key] = append(holders[key], title)
		if notice != "" {
			fmt.Fprintf(&notices, "%s\nNotice of %s\n\n%s\n\n", rule, title, notice)
		}
	}
	var b bytes.Buffer
	b.WriteString(preface)
	b.WriteString(list.String() + "\n")
	for _, key := range order {
		fmt.Fprintf(&b, "%s\n%s\n\n%s\n\n", rule, strings.Join(holders[key], "\n"), original[key])
	}
	b.WriteString(notices.String())
	return append(bytes.TrimRight(b.Bytes(), "\n"), '\n'), nil
}

var rule = strings.Repeat("=", 80)

const preface = `ctl is under the Apache License 2.0 (LICENSE). The program has in it what
others wrote, under the licences below. This file is written by go generate
(internal/licences).

The source of each module is at the address that its path is, in the version
named; nothing of it was changed.

`
