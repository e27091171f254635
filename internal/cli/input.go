package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// ReadData returns what a data argument stands for: the bytes of a file for
// @path, standard input for "-", and otherwise the argument itself. It blocks
// on standard input until its end, and says so if that is a terminal.
// Source: Consul's command line, data arguments.
func (f *Factory) ReadData(arg string) ([]byte, error) {
	switch {
	case arg == "-":
		if f.Streams.InTerminal {
			fmt.Fprintln(f.Streams.Err, "Reading from standard input; end with Ctrl-D (Ctrl-Z on Windows).")
		}
		data, err := io.ReadAll(f.Streams.In)
		if err != nil {
			return nil, fmt.Errorf("read standard input: %w", err)
		}
		return data, nil
	case strings.HasPrefix(arg, "@"):
		data, err := os.ReadFile(arg[1:])
		if err != nil {
			return nil, fmt.Errorf("read file: %w", err)
		}
		return data, nil
	default:
		return []byte(arg), nil
	}
}
