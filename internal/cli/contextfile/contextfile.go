// Package contextfile holds the operator's contexts: named clusters, each with
// the addresses of its agents, where its token comes from, its TLS files, and
// the marks that keep hands off it. They are kept in one JSON file, of which
// this package is the only reader and writer.
//
// It connects to nothing and runs no command. Rules that keep it right: the
// file is private (0600) and is replaced whole, so a crash never leaves half
// of it; a field nobody knows is refused with its line, since a mistyped
// "readonly" would be an open door; a token is in it only where the operator
// insisted.
package contextfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ctl-sh/ctl/internal/lazyregexp"
)

// Context is one cluster as an operator reaches it.
type Context struct {
	// Addresses of agents, as --http-addr takes them. They are tried in
	// order when one cannot be reached. Never empty.
	Addresses []string `json:"addresses"`
	// Datacenter to ask; empty is the agent's own.
	Datacenter string `json:"datacenter,omitempty"`
	// At most one of the three says where the token comes from. Token is the
	// secret itself, readable by whoever reads the file.
	TokenFile    string `json:"token_file,omitempty"`
	TokenCommand string `json:"token_command,omitempty"`
	Token        string `json:"token,omitempty"`
	// TLS: files to trust and to show, the name to expect. SkipVerify
	// accepts any certificate.
	CAFile        string `json:"ca_file,omitempty"`
	CAPath        string `json:"ca_path,omitempty"`
	ClientCert    string `json:"client_cert,omitempty"`
	ClientKey     string `json:"client_key,omitempty"`
	TLSServerName string `json:"tls_server_name,omitempty"`
	SkipVerify    bool   `json:"skip_verify,omitempty"`
	// ReadOnly refuses every command that changes something.
	ReadOnly bool `json:"readonly,omitempty"`
	// Protected wants the context's name typed before something is changed.
	Protected bool `json:"protected,omitempty"`
	// Color marks the context where it is shown: one of Colors.
	Color string `json:"color,omitempty"`
}

// Colors are the names Color may have.
func Colors() []string {
	return []string{"red", "green", "yellow", "blue", "magenta", "cyan", "white"}
}

// File is all contexts and which one is used.
type File struct {
	Current  string              `json:"current,omitempty"`
	Previous string              `json:"previous,omitempty"`
	Contexts map[string]*Context `json:"contexts"`
}

// Path returns where the file is, from the environment: XDG_CONFIG_HOME, else
// APPDATA on Windows, else ~/.config. Empty without a home.
func Path(lookup func(string) (string, bool)) string {
	for _, place := range []struct{ env, below string }{
		{"XDG_CONFIG_HOME", ""}, {"APPDATA", ""}, {"HOME", ".config"},
	} {
		if dir, ok := lookup(place.env); ok && filepath.IsAbs(dir) {
			return filepath.Join(dir, place.below, "ctl", "config.json")
		}
	}
	return ""
}

// Load reads the file at path. One that is not there holds no contexts. Errors
// name the file and the line.
func Load(path string) (*File, error) {
	f := &File{Contexts: map[string]*Context{}}
	if path == "" {
		return f, nil
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read contexts: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(f); err != nil {
		return nil, fmt.Errorf("%s:%d: %w; mend the file of contexts, or move it away", path, lineOf(data, err, dec.InputOffset()), err)
	}
	if f.Contexts == nil {
		f.Contexts = map[string]*Context{}
	}
	for _, name := range f.Names() {
		c := f.Contexts[name]
		if c == nil {
			return nil, fmt.Errorf("%s: context %q is null; write an object or remove it", path, name)
		}
		if err := errors.Join(CheckName(name), c.Check()); err != nil {
			return nil, fmt.Errorf("%s: context %q: %w", path, name, err)
		}
	}
	if f.Current != "" && f.Contexts[f.Current] == nil {
		return nil, fmt.Errorf("%s: the current context %q is not among the contexts; choose one with `ctl context use`", path, f.Current)
	}
	return f, nil
}

// lineOf returns the line of data an error of decoding is about.
func lineOf(data []byte, err error, offset int64) int {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &kind):
		offset = kind.Offset
	case errors.Is(err, io.ErrUnexpectedEOF):
		offset = int64(len(data))
	}
	return 1 + bytes.Count(data[:min(int(offset), len(data))], []byte("\n"))
}

// Save writes the file, for its owner alone, with the directory if that is
// missing. The old one is there until the new one is complete.
func (f *File) Save(path string) error {
	if path == "" {
		return errors.New("there is no place for contexts: set HOME or XDG_CONFIG_HOME")
	}
	data, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("encode contexts: %w", err)
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("write contexts: %w", err)
	}
	temp, err := os.CreateTemp(dir, ".config-*.json") // made with mode 0600
	if err != nil {
		return fmt.Errorf("write contexts: %w", err)
	}
	_, err = temp.Write(append(data, '\n'))
	err = errors.Join(err, temp.Sync(), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write contexts: %w", errors.Join(err, os.Remove(temp.Name())))
	}
	return nil
}

// Names returns the names of all contexts, sorted.
func (f *File) Names() []string { return slices.Sorted(maps.Keys(f.Contexts)) }

// Get returns the context name, which must be there.
func (f *File) Get(name string) (*Context, error) {
	if c := f.Contexts[name]; c != nil {
		return c, nil
	}
	if len(f.Contexts) == 0 {
		return nil, fmt.Errorf("there is no context %q, and no other; make one with `ctl context add`", name)
	}
	return nil, fmt.Errorf("there is no context %q; there are: %s", name, strings.Join(f.Names(), ", "))
}

// Use makes name the current context and the one before it the previous.
func (f *File) Use(name string) error {
	if _, err := f.Get(name); err != nil {
		return err
	}
	if name != f.Current {
		f.Previous, f.Current = f.Current, name
	}
	return nil
}

// Remove forgets the context name. If it was the current one, none is now.
func (f *File) Remove(name string) error {
	if _, err := f.Get(name); err != nil {
		return err
	}
	delete(f.Contexts, name)
	f.renamed(name, "")
	return nil
}

// Rename gives the context from the name to, which must be free.
func (f *File) Rename(from, to string) error {
	c, err := f.Get(from)
	if err != nil {
		return err
	}
	if err := CheckName(to); err != nil {
		return err
	}
	if f.Contexts[to] != nil {
		return fmt.Errorf("there is a context %q already", to)
	}
	delete(f.Contexts, from)
	f.Contexts[to] = c
	f.renamed(from, to)
	return nil
}

func (f *File) renamed(from, to string) {
	if f.Current == from {
		f.Current = to
	}
	if f.Previous == from {
		f.Previous = to
	}
}

var nameForm = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)

// CheckName says what is wrong with a name. "true" and "false" are none,
// because --yes=true must not name a context.
func CheckName(name string) error {
	if !nameForm().MatchString(name) || name == "true" || name == "false" {
		return fmt.Errorf("%q is no name for a context: up to 64 letters, digits and . _ @ -, the first a letter or digit; not true or false", name)
	}
	return nil
}

// Check says what is wrong with the context by itself, without looking at
// files or the network.
func (c *Context) Check() error {
	var problems []error
	if len(c.Addresses) == 0 || slices.Contains(c.Addresses, "") {
		problems = append(problems, errors.New("addresses: at least one address is needed, and none may be empty"))
	}
	given := 0
	for _, s := range []string{c.Token, c.TokenFile, c.TokenCommand} {
		if s != "" {
			given++
		}
	}
	if given > 1 {
		problems = append(problems, errors.New("only one of token_file, token_command and token may be set"))
	}
	if (c.ClientCert == "") != (c.ClientKey == "") {
		problems = append(problems, errors.New("client_cert and client_key belong together"))
	}
	if c.Color != "" && !slices.Contains(Colors(), c.Color) {
		problems = append(problems, fmt.Errorf("color %q is not one of: %s", c.Color, strings.Join(Colors(), ", ")))
	}
	return errors.Join(problems...)
}

// Settings returns what the context says about reaching an agent, by the names
// of the settings of package cli. What it says nothing about is left out.
func (c *Context) Settings() map[string]string {
	all := map[string]string{
		"http-addr": c.Addresses[0], "datacenter": c.Datacenter,
		"token": c.Token, "token-file": c.TokenFile, "token-command": c.TokenCommand,
		"ca-file": c.CAFile, "ca-path": c.CAPath, "client-cert": c.ClientCert, "client-key": c.ClientKey,
		"tls-server-name": c.TLSServerName,
	}
	if c.SkipVerify {
		all["http-ssl-verify"] = "false"
	}
	maps.DeleteFunc(all, func(_, value string) bool { return value == "" })
	return all
}
