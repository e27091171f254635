package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
)

const (
	pagerEnv       = "CTL_PAGER"
	commonPagerEnv = "PAGER"
)

// pagerCommand returns the operator's pager, empty for none: CTL_PAGER where it
// is set, also to nothing, else PAGER. Without either nothing is paged.
func (f *Factory) pagerCommand() string {
	if !f.Streams.OutTerminal || f.LookupEnv == nil {
		return ""
	}
	command, ok := f.LookupEnv(pagerEnv)
	if !ok {
		command, _ = f.LookupEnv(commonPagerEnv)
	}
	if command == "cat" {
		return ""
	}
	return command
}

// page shows what write writes in the operator's pager where it does not fit on
// the terminal, and writes it straight otherwise, or where the pager fails. It is for texts that are held
// anyway, never for what comes bit by bit.
func (f *Factory) page(write func(io.Writer)) error {
	command := f.pagerCommand()
	if command == "" {
		write(f.Streams.Out)
		return nil
	}
	var text bytes.Buffer
	write(&text)
	height := f.Streams.Height()
	if height == 0 || bytes.Count(text.Bytes(), []byte("\n")) < height {
		_, err := f.Streams.Out.Write(text.Bytes())
		return err
	}
	shell := []string{"sh", "-c"}
	if runtime.GOOS == "windows" {
		shell = []string{"cmd", "/C"}
	}
	// A pager may be left before the end of the text.
	cmd := exec.Command(shell[0], shell[1], command) //nolint:gosec // the operator's own
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(text.Bytes()), f.Streams.Out.Raw(), f.Streams.Err.Raw()
	cmd.Env = os.Environ()
	if _, set := os.LookupEnv("LESS"); !set {
		cmd.Env = append(cmd.Env, "LESS=FRX") // end where it fits, show colour, leave the text
	}
	if err := cmd.Run(); err != nil {
		fmt.Fprintf(f.Streams.Err, "Note: the pager %q (%s or %s) failed: %v\n", command, pagerEnv, commonPagerEnv, err)
		_, err := f.Streams.Out.Write(text.Bytes())
		return err
	}
	return nil
}
