package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	mit    = "MIT License\n\nCopyright (c) 2020 A\n\nPermission is hereby granted, free of charge, to any person obtaining a copy\nof this software"
	apache = "                                 Apache License\n                           Version 2.0, January 2004"
	gpl    = "GNU GENERAL PUBLIC LICENSE\nVersion 3"
)

func TestLicenceOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want, err string }{
		{"by its words, whatever the lines", apache, "Apache-2.0", ""},
		{"MIT", mit, "MIT", ""},
		{"three clauses", "Redistribution and use in source and binary forms …\nNeither the name of X", "BSD-3-Clause", ""},
		{"two clauses", "Redistribution and use in\nsource and binary forms …", "BSD-2-Clause", ""},
		{"Mozilla, which names others", "Mozilla Public License, version 2.0 … GNU LESSER General Public License", "MPL-2.0", ""},
		{"none that is known", "Do what you like.", "", "none of the known"},
		{"one that binds", gpl, "", "none of the known"},
		{"one that binds, beside another", mit + gpl, "", "GNU GENERAL PUBLIC LICENSE"},
		{"one that ends later", apache + " Business Source License", "", "Business Source License"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := licenceOf(c.text)
			if got != c.want || (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%q, %v; want %q, %q", got, err, c.want, c.err)
			}
		})
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	at := func(files map[string]string) string {
		dir := t.TempDir()
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	a := module{"x/a", "v1.0.0", at(map[string]string{"LICENSE": mit, "readme": "no"})}
	b := module{"x/b", "v2.0.0", at(map[string]string{"LICENCE.md": strings.ReplaceAll(mit, "\n", "\r\n")})}
	c := module{"x/c", "v3.0.0", at(map[string]string{"COPYING": apache, "NOTICE.txt": "By C."})}
	got, err := render([]module{a, b, c})
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"  MIT            x/a v1.0.0\n", "  Apache-2.0     x/c v3.0.0\n", "\nx/a v1.0.0\nx/b v2.0.0\n\nMIT License\n", "Notice of x/c v3.0.0\n\nBy C.\n"} {
		if !strings.Contains(string(got), part) {
			t.Errorf("%q is not in\n%s", part, got)
		}
	}
	if n := strings.Count(string(got), "Permission is hereby granted"); n != 1 {
		t.Errorf("a text that two share stands there %d times", n)
	}
	for name, bad := range map[string]module{
		"no licence in its directory": {"x/d", "v1", at(map[string]string{"readme": "no"})},
		"none of the known licences":  {"x/e", "v1", at(map[string]string{"LICENSE": gpl})},
		"x/f":                         {"x/f", "v1", filepath.Join(t.TempDir(), "missing")},
	} {
		if _, err := render([]module{a, bad}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v, want %q", err, name)
		}
	}
}
