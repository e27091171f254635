package config

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Files is what this package asks of the file system. OSFiles is the real one.
type Files interface {
	// Stat describes what a path leads to, links followed.
	Stat(path string) (fs.FileInfo, error)
	// ReadDir lists a directory.
	ReadDir(path string) ([]fs.DirEntry, error)
	// ReadFile reads a whole file.
	ReadFile(path string) ([]byte, error)
}

// OSFiles are the files of the machine. The zero value is ready to use.
type OSFiles struct{}

// Stat implements Files.
func (OSFiles) Stat(path string) (fs.FileInfo, error) { return os.Stat(path) }

// ReadDir implements Files.
func (OSFiles) ReadDir(path string) ([]fs.DirEntry, error) { return os.ReadDir(path) }

// ReadFile implements Files.
func (OSFiles) ReadFile(path string) ([]byte, error) { return os.ReadFile(path) }

// ReadSources reads the files and directories that -config-file and
// -config-dir name, in order. Of a directory it takes the files named .json and
// .hcl, sorted by name in byte order, not those of its sub-directories; each
// other file is skipped with a warning. A format ("json" or "hcl") is taken for
// every file, whatever its name. Files that are empty are skipped.
//
// The error, of type Problems, names every path that could not be read; the
// sources and warnings are those of the others.
func ReadSources(files Files, paths []string, format string) ([]Source, []Warning, error) {
	r := sourceReader{files: files, format: format}
	for _, p := range paths {
		r.path(p)
	}
	return r.sources, r.out.warnings, r.out.err()
}

type sourceReader struct {
	files   Files
	format  string
	sources []Source
	out     findings
}

func (r *sourceReader) path(path string) {
	info, err := r.files.Stat(path)
	switch {
	case err != nil:
		r.fail(path, err)
	case info.IsDir():
		r.dir(path)
	case r.format == "" && !known(path):
		r.out.problem(Origin{Source: path}, "", "rename it or give -config-format json or hcl",
			"file %s has unknown extension; must be .hcl or .json, or config format must be set", path)
	default:
		r.file(path)
	}
}

func (r *sourceReader) dir(path string) {
	entries, err := r.files.ReadDir(path)
	if err != nil {
		r.fail(path, err)
		return
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, e := range entries {
		p := filepath.Join(path, e.Name())
		info, err := r.files.Stat(p)
		switch {
		case err != nil:
			r.fail(p, err)
		case info.IsDir():
		case !known(p) && r.format == "":
			r.out.warn(Origin{Source: p}, "", "skipping file %s, extension must be .hcl or .json, or config format must be set", p)
		default:
			r.file(p)
		}
	}
}

func (r *sourceReader) file(path string) {
	data, err := r.files.ReadFile(path)
	switch {
	case err != nil:
		r.fail(path, err)
	case len(strings.TrimSpace(string(data))) > 0:
		r.sources = append(r.sources, Source{Name: path, Format: r.format, Data: data})
	}
}

func (r *sourceReader) fail(path string, err error) {
	r.out.problem(Origin{Source: path}, "", "check the path and that this user may read it", "cannot be read: %s", plainPathError(err))
}

// plainPathError is the error without the path, which the message has already.
func plainPathError(err error) string {
	if p, ok := err.(*fs.PathError); ok { //nolint:errorlint // only the outermost text repeats the path
		return p.Err.Error()
	}
	return err.Error()
}

func known(path string) bool {
	return strings.HasSuffix(path, ".json") || strings.HasSuffix(path, ".hcl")
}
