package layers

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// leastGuard is how long a test that runs in real time must be ready to wait for
// what has to happen: the machine may be busy with ten other tests.
const leastGuard = 30 * time.Second

// measuring are the directories whose tests start real agents, one suite at a
// time, and look at them every so often.
var measuring = []string{"internal/e2e/", "internal/compat/", "internal/chaos/"}

// TestNothingDependsOnSpeed finds tests outside synctest bubbles that fail on a
// slow machine: they wait for less than leastGuard, or complain of what took
// long. guards.txt lists "file function -- reason" for those that may.
func TestNothingDependsOnSpeed(t *testing.T) {
	t.Parallel()
	const why = "a busy machine is slower: wait for at least %v, or use testing/synctest"
	allowed := exceptions(t, "guards.txt")
	eachPackageOfTests(t, func(files []*ast.File, name func(*ast.File) string, at func(token.Pos) token.Position) {
		for _, top := range measuring {
			if strings.HasPrefix(name(files[0]), top) {
				return
			}
		}
		for _, h := range hasty(files) {
			if !allowed.has(name(h.file), h.fn) {
				t.Errorf("%v: %s depends on speed: "+why, at(h.pos), h.fn.Name.Name, leastGuard)
			}
		}
	})
	allowed.report(t, "depends on speed")
}

// hasty returns the places in a package's test files that depend on speed in
// real time.
func hasty(files []*ast.File) []sleep {
	b, durations := newBubbles(files), constants(files)
	short := func(e ast.Expr) bool {
		d, ok := durations.value(e)
		return ok && d < leastGuard
	}
	var out []sleep
	b.eachFunc(func(f *ast.File, fn *ast.FuncDecl) {
		taken := map[string]bool{} // variables that hold a time that something took
		ast.Inspect(fn, func(n ast.Node) bool {
			found := false
			switch n := n.(type) {
			case *ast.CallExpr:
				found = guards(n, short)
			case *ast.AssignStmt:
				for i := range min(len(n.Lhs), len(n.Rhs)) {
					if id, ok := n.Lhs[i].(*ast.Ident); ok && isSince(n.Rhs[i]) {
						taken[id.Name] = true
					}
				}
			case *ast.BinaryExpr:
				id, ok := n.X.(*ast.Ident)
				found = (n.Op == token.GTR || n.Op == token.GEQ) && (isSince(n.X) || ok && taken[id.Name])
			}
			if found && !b.covers(n) && !b.onlyInside(fn, nil) {
				out = append(out, sleep{f, fn, n.Pos()})
			}
			return true
		})
	})
	return out
}

// guards reports whether call ends a wait after a short time.
func guards(call *ast.CallExpr, short func(ast.Expr) bool) bool {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || len(call.Args) == 0 {
		return false
	}
	last := call.Args[len(call.Args)-1]
	pkg, _ := sel.X.(*ast.Ident)
	switch name := sel.Sel.Name; {
	case strings.HasPrefix(name, "Set") && strings.HasSuffix(name, "Deadline"), name == "WithDeadline":
		add, ok := last.(*ast.CallExpr) // time.Now().Add(d)
		return ok && len(add.Args) == 1 && short(add.Args[0])
	case pkg == nil:
		return false
	case pkg.Name == "time":
		return (name == "After" || name == "NewTimer") && short(last)
	}
	return pkg.Name == "context" && sel.Sel.Name == "WithTimeout" && short(last)
}

func isSince(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := sel.X.(*ast.Ident)
	return ok && pkg.Name == "time" && sel.Sel.Name == "Since"
}

// durations are the constants of a package's tests, as they are written.
type durations map[string]ast.Expr

func constants(files []*ast.File) durations {
	all := durations{}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			if d, ok := n.(*ast.GenDecl); ok && d.Tok == token.CONST {
				for _, s := range d.Specs {
					if v, ok := s.(*ast.ValueSpec); ok && len(v.Names) == len(v.Values) {
						for i, id := range v.Names {
							all[id.Name] = v.Values[i]
						}
					}
				}
			}
			return true
		})
	}
	return all
}

var units = map[string]time.Duration{
	"Nanosecond": 1, "Microsecond": time.Microsecond, "Millisecond": time.Millisecond, "Second": time.Second, "Minute": time.Minute, "Hour": time.Hour,
}

// value returns what e comes to, and false for what is not constant.
func (d durations) value(e ast.Expr) (time.Duration, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		n, err := strconv.ParseInt(e.Value, 0, 64)
		return time.Duration(n), err == nil
	case *ast.SelectorExpr:
		unit, ok := units[e.Sel.Name]
		return unit, ok
	case *ast.Ident:
		c, ok := d[e.Name]
		if !ok {
			return 0, false
		}
		return d.value(c)
	case *ast.BinaryExpr:
		x, okX := d.value(e.X)
		y, okY := d.value(e.Y)
		switch {
		case !okX || !okY:
		case e.Op == token.MUL:
			return x * y, true
		case e.Op == token.QUO && y != 0:
			return x / y, true
		case e.Op == token.ADD:
			return x + y, true
		}
	}
	return 0, false
}

func TestHasteIsFound(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, code string
		want       int
	}{
		{"a short guard", "func TestX(t *testing.T) { <-time.After(29 * time.Second) }", 1},
		{"a generous one", "func TestX(t *testing.T) { <-time.After(time.Second * 30) }", 0},
		{"a constant", "const patience = time.Minute / 3\nfunc TestX(t *testing.T) { time.NewTimer(patience) }", 1},
		{"a deadline", "func TestX(t *testing.T) { c.SetReadDeadline(time.Now().Add(time.Second)) }", 1},
		{"a context", "func TestX(t *testing.T) { context.WithTimeout(t.Context(), time.Second) }", 1},
		{"in a bubble", "func TestX(t *testing.T) { synctest.Test(t, func(t *testing.T) { <-time.After(1) }) }", 0},
		{"what is not constant", "func TestX(t *testing.T) { <-time.After(c.wait) }", 0},
		{"too slow", "func TestX(t *testing.T) { if took := time.Since(start); took > time.Hour { t.Error() } }", 1},
		{"too slow, in one", "func TestX(t *testing.T) { if time.Since(start) >= limit { t.Error() } }", 1},
		{"too fast is a fault everywhere", "func TestX(t *testing.T) { if took := time.Since(start); took < time.Second { t.Error() } }", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, err := parser.ParseFile(token.NewFileSet(), "x_test.go", "package x\n"+tt.code, 0)
			if err != nil {
				t.Fatal(err)
			}
			if got := len(hasty([]*ast.File{f})); got != tt.want {
				t.Errorf("found %d places, want %d", got, tt.want)
			}
		})
	}
}

// eachPackageOfTests calls yield with the test files of each package.
func eachPackageOfTests(t *testing.T, yield func(files []*ast.File, name func(*ast.File) string, at func(token.Pos) token.Position)) {
	t.Helper()
	fset, all := sources(t)
	byDir, names := map[string][]*ast.File{}, map[*ast.File]string{}
	for _, s := range all {
		if s.isTest() {
			dir := filepath.Dir(s.path)
			byDir[dir] = append(byDir[dir], s.file)
			names[s.file] = s.path
		}
	}
	for _, files := range byDir {
		yield(files, func(f *ast.File) string { return names[f] }, fset.Position)
	}
}

// permits are the functions that a file lets be, and whether they need it.
type permits struct {
	file string
	used map[string]bool
}

// exceptions reads lines "file function... -- reason".
func exceptions(t *testing.T, file string) permits {
	t.Helper()
	homes, err := ParseHomes(open(t, file))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	p := permits{file, map[string]bool{}}
	for _, h := range homes {
		for _, fn := range h.Packages {
			p.used[h.Prefix+" "+fn] = false
		}
	}
	return p
}

func (p permits) has(file string, fn *ast.FuncDecl) bool {
	key := file + " " + fn.Name.Name
	_, ok := p.used[key]
	if ok {
		p.used[key] = true
	}
	return ok
}

// report fails for those that do not need it.
func (p permits) report(t *testing.T, does string) {
	t.Helper()
	for key, used := range p.used {
		if !used {
			t.Errorf("%s allows %s, of which none %s: take it out", p.file, key, does)
		}
	}
}
