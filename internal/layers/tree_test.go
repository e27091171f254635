package layers

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const (
	modulePath = "github.com/ctl-sh/ctl/"
	root       = "../.."
)

// systems are those whose imports are checked: build tags hide some on others.
var systems = []string{"linux", "darwin", "windows", "freebsd"}

type listed struct {
	ImportPath string
	Doc        string
	Imports    []string
}

// packages lists the module's packages as a system sees them, by their name in
// the table.
func packages(t *testing.T, goos string) map[string]listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Doc,Imports", "./...")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH=amd64", "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list for %s: %v", goos, err)
	}
	all := map[string]listed{}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p listed
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all[name(p.ImportPath)] = p
	}
}

func name(importPath string) string {
	return strings.TrimPrefix(strings.TrimPrefix(importPath, modulePath), "internal/")
}

func open(t *testing.T, file string) *os.File {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestImportsFollowTheTable(t *testing.T) {
	t.Parallel()
	table, err := ParseTable(open(t, "layers.txt"))
	if err != nil {
		t.Fatalf("layers.txt: %v", err)
	}
	homes, err := ParseHomes(open(t, "homes.txt"))
	if err != nil {
		t.Fatalf("homes.txt: %v", err)
	}
	seen := map[string]bool{}
	reasons := map[string]bool{}
	used := map[string]bool{}
	for _, goos := range systems {
		for pkg, p := range packages(t, goos) {
			seen[pkg] = true
			if _, ok := table[pkg]; !ok {
				reasons[pkg+" is not in layers.txt: give it a floor"] = true
				continue
			}
			for _, imported := range p.Imports {
				reason := ""
				switch {
				case strings.HasPrefix(imported, modulePath):
					used[pkg+" "+name(imported)] = true
					reason = table.Allows(pkg, name(imported))
				case strings.Contains(strings.Split(imported, "/")[0], "."):
					reason = Welcome(homes, pkg, imported)
				default:
					reason = refuseStandard(table, pkg, imported)
				}
				if reason != "" {
					reasons[reason] = true
				}
			}
		}
	}
	for _, reason := range sorted(reasons) {
		t.Error(reason)
	}
	for pkg, row := range table {
		if !seen[pkg] {
			t.Errorf("layers.txt has %s, which does not exist", pkg)
		}
		for _, imported := range row.Imports {
			if imported != "*" && !used[pkg+" "+imported] {
				t.Errorf("layers.txt lets %s import %s, which it does not: take it out", pkg, imported)
			}
		}
	}
}

// nounFloor is the floor of the replicated rules.
const nounFloor = 2

// refuseStandard keeps the replicated state machine deterministic and commands
// outside: the walls the compiler can see. And it keeps out what costs every
// method that nobody calls.
func refuseStandard(table Table, pkg, imported string) string {
	if imported == "text/template" || imported == "html/template" || imported == "net/rpc" {
		return pkg + " imports " + imported + ", which calls methods by name, so that the linker keeps them all: for templates take github.com/DataDog/datadog-agent/pkg/template"
	}
	if table[pkg].Floor != nounFloor {
		return ""
	}
	if imported == "os" || imported == "net" || strings.HasPrefix(imported, "net/") ||
		strings.HasPrefix(imported, "math/rand") || imported == "crypto/rand" {
		return pkg + " imports " + imported + ": replicated rules know no network, file or chance; decide it on the leader and put it into the command"
	}
	return ""
}

func TestEveryPackageHasAComment(t *testing.T) {
	t.Parallel()
	for pkg, p := range packages(t, "linux") {
		if strings.TrimSpace(p.Doc) == "" {
			t.Errorf("%s has no package comment: what it is for, what it is not for, the rules that keep it right", pkg)
		}
		base := path.Base(pkg)
		if slices.Contains([]string{"util", "utils", "common", "helpers", "shared", "types", "models", "misc", "manager"}, base) {
			t.Errorf("%s: name what is shared", pkg)
		}
	}
}

func sorted(set map[string]bool) []string {
	var out []string
	for s := range set {
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}
