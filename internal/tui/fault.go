package tui

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// Faults takes the faults of everything that works for a dashboard, so that it
// ends with the terminal given back and a report written, whatever part it was.
// It may be used by any number of goroutines.
type Faults struct{ all chan fault }

// NewFaults returns a Faults without any.
func NewFaults() *Faults { return &Faults{make(chan fault, 1)} }

// fault is a panic that was caught.
type fault struct {
	value any
	stack []byte
}

// Report takes a fault: what was recovered, and the stack at that time. It never
// blocks; only the first one counts.
func (f *Faults) Report(value any, stack []byte) {
	select {
	case f.all <- fault{value, stack}:
	default: // what follows from the first one is no news
	}
}

// report writes the report and returns the error to end with. Where there is no
// place for the report it goes to w.
func (f fault) report(dir, version string, w io.Writer) error {
	text := fmt.Sprintf("%s %s/%s %s\n\n%v\n\n%s", version, runtime.GOOS, runtime.GOARCH, runtime.Version(), f.value, f.stack)
	file, err := writeReport(dir, text)
	if err != nil {
		fmt.Fprintln(w, text)
		return fmt.Errorf("%w: %v; please report it with what stands above and what `ctl debug` collects (%w)", ErrPanic, f.value, err)
	}
	return fmt.Errorf("%w: %v; please report it with %s and what `ctl debug` collects", ErrPanic, f.value, file)
}

// writeReport writes a file that only the operator can read: a fault may name what
// was on the screen.
func writeReport(dir, text string) (string, error) {
	if dir == "" {
		return "", fmt.Errorf("there is no directory for reports")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make the directory of reports: %w", err)
	}
	file := filepath.Join(dir, "dashboard-fault-"+time.Now().UTC().Format("20060102-150405")+".txt")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("write a report: %w", err)
	}
	return file, nil
}
