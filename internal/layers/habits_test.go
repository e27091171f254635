package layers

import (
	"errors"
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// source is one Go file of the module.
type source struct {
	path string // from the module's root, with slashes
	file *ast.File
}

func (s source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

func (s source) generated() bool {
	return strings.HasSuffix(s.path, "_gen.go") || strings.HasSuffix(s.path, "_gen_test.go")
}

// sources returns all Go files, whatever their build tags. They are parsed once,
// and nobody changes them.
func sources(t *testing.T) (*token.FileSet, []source) {
	t.Helper()
	p := parsed()
	if p.err != nil {
		t.Fatal(p.err)
	}
	return p.fset, p.all
}

type tree struct {
	fset *token.FileSet
	all  []source
	err  error
}

var parsed = sync.OnceValue(func() (p tree) {
	p.fset = token.NewFileSet()
	for _, top := range []string{"cmd", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && d.Name() == "testdata":
				return filepath.SkipDir
			case d.IsDir() || !strings.HasSuffix(path, ".go"):
				return nil
			}
			f, err := parser.ParseFile(p.fset, path, nil, parser.ParseComments)
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(root, path)
			p.all = append(p.all, source{filepath.ToSlash(rel), f})
			return err
		})
		p.err = errors.Join(p.err, err)
	}
	return p
})

// calls calls yield for each call of pkg.fn in node, where pkg is a package
// imported under its own name.
func calls(node ast.Node, pkg string, yield func(call *ast.CallExpr, fn string)) {
	ast.Inspect(node, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok {
				if id, ok := sel.X.(*ast.Ident); ok && id.Name == pkg {
					yield(call, sel.Sel.Name)
				}
			}
		}
		return true
	})
}

func TestNoInitFunctions(t *testing.T) {
	t.Parallel()
	_, all := sources(t)
	for _, s := range all {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s has an init function: nothing registers or configures itself; assembly does it", s.path)
			}
		}
	}
}

// TestRegularExpressionsWait finds those that every start of the program would
// compile.
func TestRegularExpressionsWait(t *testing.T) {
	t.Parallel()
	fset, all := sources(t)
	for _, s := range all {
		if s.isTest() || s.file.Name.Name == "main" {
			continue
		}
		for _, d := range s.file.Decls {
			if d, ok := d.(*ast.GenDecl); ok {
				calls(d, "regexp", func(call *ast.CallExpr, fn string) {
					t.Errorf("%v: regexp.%s at package level runs at every start: take lazyregexp.New", fset.Position(call.Pos()), fn)
				})
			}
		}
	}
}

// TestSleepsInTests finds tests that wait on real time outside a synctest
// bubble. sleeps.txt lists "file function -- reason" for those that may.
func TestSleepsInTests(t *testing.T) {
	t.Parallel()
	allowed := exceptions(t, "sleeps.txt")
	eachPackageOfTests(t, func(files []*ast.File, name func(*ast.File) string, at func(token.Pos) token.Position) {
		for _, sl := range realSleeps(files) {
			if !allowed.has(name(sl.file), sl.fn) {
				t.Errorf("%v: %s sleeps: wait for a signal, or use testing/synctest", at(sl.pos), sl.fn.Name.Name)
			}
		}
	})
	allowed.report(t, "sleeps")
}

// sleep is a place in a test.
type sleep struct {
	file *ast.File
	fn   *ast.FuncDecl
	pos  token.Pos
}

// bubbles knows which functions of a package's tests run under fake time.
type bubbles struct {
	files   []*ast.File
	makers  []string // functions that open a bubble for their caller
	regions []ast.Node
}

// realSleeps returns the calls of time.Sleep in a package's test files that
// fake time does not cover: neither inside the call that opens a bubble, nor in
// a function that is only ever named inside bubbles.
func realSleeps(files []*ast.File) []sleep {
	b := newBubbles(files)
	var out []sleep
	b.eachFunc(func(f *ast.File, fn *ast.FuncDecl) {
		calls(fn, "time", func(call *ast.CallExpr, name string) {
			if name == "Sleep" && !b.covers(call) && !b.onlyInside(fn, nil) {
				out = append(out, sleep{f, fn, call.Pos()})
			}
		})
	})
	return out
}

func newBubbles(files []*ast.File) *bubbles {
	b := &bubbles{files: files}
	b.eachFunc(func(_ *ast.File, fn *ast.FuncDecl) {
		calls(fn, "synctest", func(*ast.CallExpr, string) {
			if !strings.HasPrefix(fn.Name.Name, "Test") {
				b.makers = append(b.makers, fn.Name.Name)
			}
		})
	})
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && b.opens(call) {
				b.regions = append(b.regions, call)
			}
			return true
		})
	}
	return b
}

func (b *bubbles) eachFunc(yield func(*ast.File, *ast.FuncDecl)) {
	for _, f := range b.files {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				yield(f, fn)
			}
		}
	}
}

func (b *bubbles) opens(call *ast.CallExpr) bool {
	switch fun := call.Fun.(type) {
	case *ast.Ident:
		return slices.Contains(b.makers, fun.Name)
	case *ast.SelectorExpr:
		id, ok := fun.X.(*ast.Ident)
		return ok && id.Name == "synctest" && fun.Sel.Name == "Test"
	}
	return false
}

func (b *bubbles) covers(n ast.Node) bool {
	return slices.ContainsFunc(b.regions, func(r ast.Node) bool { return r.Pos() <= n.Pos() && n.End() <= r.End() })
}

// onlyInside reports whether fn is named somewhere, and everywhere inside a
// bubble or inside another such function. seen ends recursion.
func (b *bubbles) onlyInside(fn *ast.FuncDecl, seen []*ast.FuncDecl) bool {
	if slices.Contains(seen, fn) {
		return true
	}
	seen = append(seen, fn)
	uses, outside := 0, false
	b.eachFunc(func(_ *ast.File, user *ast.FuncDecl) {
		ast.Inspect(user, func(n ast.Node) bool {
			id, ok := n.(*ast.Ident)
			if !ok || id.Name != fn.Name.Name || id == user.Name {
				return true
			}
			uses++
			outside = outside || !b.covers(id) && !b.onlyInside(user, seen)
			return true
		})
	})
	return uses > 0 && !outside
}

func TestRealSleepsAreFound(t *testing.T) {
	t.Parallel()
	const maker = "func bubble(t *testing.T, f func()) { synctest.Test(t, func(*testing.T) { f() }) }\n"
	tests := []struct {
		name, code string
		want       int
	}{
		{"bare", "func TestX(t *testing.T) { time.Sleep(1) }", 1},
		{"in a bubble", "func TestX(t *testing.T) { synctest.Test(t, func(t *testing.T) { time.Sleep(1) }) }", 0},
		{"beside a bubble", "func TestX(t *testing.T) { synctest.Test(t, nil); time.Sleep(1) }", 1},
		{"in a goroutine", "func TestX(t *testing.T) { go func() { time.Sleep(1) }() }", 1},
		{"in a bubble opened by a helper", maker + "func TestX(t *testing.T) { bubble(t, func() { time.Sleep(1) }) }", 0},
		{"in a function used in bubbles", maker + "func wait() { time.Sleep(1) }\nfunc TestX(t *testing.T) { bubble(t, func() { wait() }) }", 0},
		{"in a function used outside, too", maker + "func wait() { time.Sleep(1) }\nfunc TestX(t *testing.T) { bubble(t, func() { wait() }); wait() }", 1},
		{"two functions deep", maker + "func a() { time.Sleep(1) }\nfunc b() { a() }\nfunc TestX(t *testing.T) { bubble(t, b) }", 0},
		{"in a function nobody calls", "func wait() { time.Sleep(1) }", 1},
		{"none", "func TestX(t *testing.T) { <-time.After(1) }", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, err := parser.ParseFile(token.NewFileSet(), "x_test.go", "package x\n"+tt.code, 0)
			if err != nil {
				t.Fatal(err)
			}
			if got := len(realSleeps([]*ast.File{f})); got != tt.want {
				t.Errorf("found %d sleeps, want %d", got, tt.want)
			}
		})
	}
}

// TestRulesReadNoClock keeps the clock out of what every server applies: it
// would differ from server to server.
func TestRulesReadNoClock(t *testing.T) {
	t.Parallel()
	table, err := ParseTable(open(t, "layers.txt"))
	if err != nil {
		t.Fatal(err)
	}
	clock := []string{"Now", "Since", "Until", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Sleep"}
	fset, all := sources(t)
	for _, s := range all {
		pkg := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(s.path)), "internal/")
		if s.isTest() || table[pkg].Floor != nounFloor && pkg != "store" {
			continue
		}
		calls(s.file, "time", func(call *ast.CallExpr, name string) {
			if slices.Contains(clock, name) {
				t.Errorf("%v: time.%s in replicated rules: decide it on the leader and put it into the command", fset.Position(call.Pos()), name)
			}
		})
	}
}

// TestBuildTagsAreSystems keeps build tags to operating systems and the planted
// faults: what is not built by default is not tested by default.
func TestBuildTagsAreSystems(t *testing.T) {
	t.Parallel()
	known := []string{"linux", "darwin", "windows", "freebsd", "openbsd", "netbsd", "unix", "planted", "race"}
	_, all := sources(t)
	for _, s := range all {
		for _, group := range s.file.Comments {
			for _, c := range group.List {
				if !constraint.IsGoBuild(c.Text) {
					continue
				}
				expr, err := constraint.Parse(c.Text)
				if err != nil {
					t.Errorf("%s: %v", s.path, err)
					continue
				}
				expr.Eval(func(tag string) bool {
					if !slices.Contains(known, tag) {
						t.Errorf("%s: build tag %q: tags are for operating systems", s.path, tag)
					}
					return true
				})
			}
		}
	}
}

// TestGeneratedFilesSaySo holds generated files to the name and the header.
func TestGeneratedFilesSaySo(t *testing.T) {
	t.Parallel()
	_, all := sources(t)
	for _, s := range all {
		if ast.IsGenerated(s.file) != s.generated() {
			t.Errorf("%s: generated files are named *_gen.go and say %q; others neither", s.path, "Code generated … DO NOT EDIT.")
		}
	}
}
