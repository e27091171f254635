package layers

import (
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// page is one page of the documentation.
type page struct {
	path string // from the module's root, with slashes
	text string
}

// pages reads all Markdown files of the tree, those at its top too.
func pages(t *testing.T) []page {
	t.Helper()
	var all []page
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		switch {
		// What git ignores is nobody's documentation.
		case d.IsDir() && (d.Name() == "testdata" || slices.Contains([]string{".git", "bin", "build", "dist"}, rel)):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(rel, ".md"):
			return nil
		}
		text, err := os.ReadFile(p)
		all = append(all, page{rel, string(text)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Fatalf("only %d pages: is %s the module's root?", len(all), root)
	}
	return all
}

var (
	fence  = regexp.MustCompile("(?ms)^ *```.*?^ *```")
	ticked = regexp.MustCompile("`[^`\n]*`")
	link   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	title  = regexp.MustCompile(`(?m)^#+ +(.+)$`)
)

// links returns where a page links to: not what looks like a link in code.
func (p page) links() []string {
	prose := ticked.ReplaceAllString(fence.ReplaceAllString(p.text, ""), "")
	var to []string
	for _, m := range link.FindAllStringSubmatch(prose, -1) {
		to = append(to, m[1])
	}
	return to
}

// anchors returns the names of a page's headings, as they stand behind # in links.
func (p page) anchors() []string {
	var names []string
	for _, m := range title.FindAllStringSubmatch(fence.ReplaceAllString(p.text, ""), -1) {
		names = append(names, anchor(m[1]))
	}
	return names
}

// anchor is the name that hosts of Markdown give a heading: lower case, hyphens
// for spaces, no other punctuation.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

// TestLinksLead follows every link within the documentation, down to the
// heading.
func TestLinksLead(t *testing.T) {
	t.Parallel()
	all := pages(t)
	byPath := map[string]page{}
	for _, p := range all {
		byPath[p.path] = p
	}
	followed := 0
	for _, p := range all {
		for _, to := range p.links() {
			if strings.HasPrefix(to, "https://") || strings.HasPrefix(to, "mailto:") {
				continue
			}
			file, heading, anchored := strings.Cut(to, "#")
			target := p.path
			if file != "" {
				target = path.Join(path.Dir(p.path), file)
			}
			if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(target))); err != nil {
				t.Errorf("%s links to %s: there is no %s", p.path, to, target)
			} else if anchored && !slices.Contains(byPath[target].anchors(), heading) {
				t.Errorf("%s links to %s: %s has no such heading", p.path, to, target)
			}
			followed++
		}
	}
	if followed < 100 {
		t.Errorf("only %d links found: are they still recognised?", followed)
	}
}

func TestLinksAndAnchorsAreFound(t *testing.T) {
	t.Parallel()
	p := page{text: "# One `two`, three-four!\nsee [a](b.md#c) and [d](../e)\n`m[0](x)`\n```\n# no heading\n[no](link)\n```\n[f](#g)\n"}
	if got, want := p.links(), []string{"b.md#c", "../e", "#g"}; !slices.Equal(got, want) {
		t.Errorf("links %q, want %q", got, want)
	}
	if got, want := p.anchors(), []string{"one-two-three-four"}; !slices.Equal(got, want) {
		t.Errorf("anchors %q, want %q", got, want)
	}
}

// TestPagesAreFound demands that whoever begins at docs/README.md, or at the
// list of decisions or of commands, finds every page.
func TestPagesAreFound(t *testing.T) {
	t.Parallel()
	all := pages(t)
	linked := map[string]bool{}
	for _, p := range all {
		if path.Base(p.path) != "README.md" {
			continue
		}
		for _, to := range p.links() {
			file, _, _ := strings.Cut(to, "#")
			linked[path.Join(path.Dir(p.path), file)] = true
		}
	}
	for _, p := range all {
		if strings.HasPrefix(p.path, "docs/") && !strings.HasPrefix(p.path, "docs/changelog/") && path.Base(p.path) != "README.md" && !linked[p.path] {
			t.Errorf("%s is in no list: add it to docs/README.md or to the README.md of its directory", p.path)
		}
	}
}

// TestPagesNamedInCodeExist looks for pages that messages and comments send
// people to.
func TestPagesNamedInCodeExist(t *testing.T) {
	t.Parallel()
	named := regexp.MustCompile(`\bdocs/[a-zA-Z0-9/_-]+\.md`)
	_, all := sources(t)
	for _, s := range all {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(s.path)))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range named.FindAllString(string(text), -1) {
			if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(name))); err != nil {
				t.Errorf("%s sends readers to %s, which is not there", s.path, name)
			}
		}
	}
}

// TestChangesAreFiled holds the files of changes to the form that a release
// collects: the headings of a changelog, each followed by something.
func TestChangesAreFiled(t *testing.T) {
	t.Parallel()
	known := []string{"### Added", "### Changed", "### Fixed", "### Removed", "### Security"}
	for _, p := range pages(t) {
		if !strings.HasPrefix(p.path, "docs/changelog/unreleased/") || path.Base(p.path) == "README.md" {
			continue
		}
		said := true
		for i, line := range strings.Split(p.text, "\n") {
			switch {
			case strings.HasPrefix(line, "#") || i == 0:
				if !slices.Contains(known, line) {
					t.Errorf("%s:%d: %q: begin with one of %q", p.path, i+1, line, known)
				}
				if !said {
					t.Errorf("%s:%d: the heading before says nothing", p.path, i+1)
				}
				said = false
			case strings.TrimSpace(line) != "":
				said = true
			}
		}
		if !said {
			t.Errorf("%s: its last heading says nothing", p.path)
		}
	}
}

// TestDecisionsAreNumbered keeps the numbers of decisions apart.
func TestDecisionsAreNumbered(t *testing.T) {
	t.Parallel()
	numbered := regexp.MustCompile(`^\d{4}-[a-z0-9-]+\.md$`)
	by := map[string]string{}
	for _, p := range pages(t) {
		dir, name := path.Split(p.path)
		if dir != "docs/decisions/" || name == "README.md" {
			continue
		}
		if !numbered.MatchString(name) {
			t.Errorf("%s: decisions are named NNNN-what-was-decided.md", p.path)
			continue
		}
		if other := by[name[:4]]; other != "" {
			t.Errorf("%s and %s have one number", other, p.path)
		}
		by[name[:4]] = p.path
	}
}

// TestShellScripts runs shellcheck over every script. It is skipped where there
// is none, unless tests may not be skipped.
func TestShellScripts(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("shellcheck")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal("shellcheck is not installed: scripts/test-deps.sh installs it")
	} else if err != nil {
		t.Skip("shellcheck is not installed: scripts/test-deps.sh installs it")
	}
	scripts := []string{".ci/run"}
	err = filepath.WalkDir(filepath.Join(root, "scripts"), func(p string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(p, ".sh") {
			rel, _ := filepath.Rel(root, p) // p is below root
			scripts = append(scripts, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scripts {
		text, err := os.ReadFile(filepath.Join(root, s))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.SplitN(string(text), "\n", 3)
		if !strings.HasPrefix(lines[0], "#!") || len(lines) < 2 || !strings.HasPrefix(lines[1], "# usage: ") {
			t.Errorf("%s: begin with the interpreter, and a line \"# usage: …\"", s)
		}
	}
	cmd := exec.Command(program, scripts...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("shellcheck: %v\n%s", err, out)
	}
}
