package agentproc

import "errors"

var errNoSignal = errors.New("windows has no such signal")

// terminate kills: Windows has no SIGTERM.
func (p *Process) terminate() error { return p.cmd.Process.Kill() }

// Pause is not possible on Windows.
func (p *Process) Pause() error { return errNoSignal }

// Resume is not possible on Windows.
func (p *Process) Resume() error { return errNoSignal }
