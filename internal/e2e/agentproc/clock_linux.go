package agentproc

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// CanShiftClock reports whether StartWithClock works here: it has the code for
// one processor.
const CanShiftClock = runtime.GOARCH == "amd64"

// StartWithClock starts cmd as (*exec.Cmd).Start does, with a wall clock that is
// ahead of the machine's by the offset, in whole seconds.
//
// What runs is the program as it is released: nothing in it knows of this. A
// Linux program reads its clocks from code that the kernel maps into it, the
// vDSO. While the new process stops at its first instruction, its own copy of
// that code is replaced by a call of the kernel that adds the offset to
// CLOCK_REALTIME and leaves CLOCK_MONOTONIC as it is, which is what a wrong wall
// clock is. So all of the program's dates, certificates' and answers' among
// them, are shifted, as on a machine without a time service. The times that the
// kernel writes, as of files, are not; and a program that asks the kernel
// without the vDSO would not be fooled (Go's does not).
//
// Source: vdso(7), ptrace(2), proc(5).
func StartWithClock(cmd *exec.Cmd, offset time.Duration) error {
	if !CanShiftClock {
		return errNoClock
	}
	runtime.LockOSThread() // a process is traced by a thread
	defer runtime.UnlockOSThread()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Ptrace = true
	if err := cmd.Start(); err != nil {
		return err
	}
	pid := cmd.Process.Pid
	err := awaitStop(pid)
	if err == nil {
		err = shiftClock(pid, offset)
	}
	if err == nil {
		err = syscall.PtraceDetach(pid)
	}
	if err != nil {
		_ = cmd.Process.Kill() // it does what was asked of it, or is gone
		_ = cmd.Wait()
		return fmt.Errorf("shift the clock of process %d: %w", pid, err)
	}
	return nil
}

// awaitStop waits until the new program is loaded and stopped.
func awaitStop(pid int) error {
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(pid, &status, syscall.WALL, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("wait for its start: %w", err)
		case !status.Stopped():
			return fmt.Errorf("it did not start: wait status %#x", int(status))
		}
		return nil
	}
}

func shiftClock(pid int, offset time.Duration) error {
	base, err := vdsoBase(pid)
	if err != nil {
		return err
	}
	mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer mem.Close()
	image := make([]byte, 8192) // the vDSO's code and tables; its size is one or two pages
	n, err := mem.ReadAt(image, int64(base))
	if n < 4096 {
		return fmt.Errorf("read the vDSO: %w", err)
	}
	at, err := clockFunction(image[:n])
	if err != nil {
		return err
	}
	// mov eax, 228 (clock_gettime); syscall; test edi, edi (CLOCK_REALTIME);
	// jnz +7; add qword [rsi], offset; ret
	code := []byte{0xb8, 228, 0, 0, 0, 0x0f, 0x05, 0x85, 0xff, 0x75, 0x07, 0x48, 0x81, 0x06, 0, 0, 0, 0, 0xc3}
	binary.LittleEndian.PutUint32(code[14:], uint32(int32(offset/time.Second)))
	if _, err := mem.WriteAt(code, int64(base+at)); err != nil {
		return fmt.Errorf("write to the vDSO: %w", err)
	}
	return nil
}

// vdsoBase returns where the kernel mapped the vDSO, from the process's
// auxiliary vector.
func vdsoBase(pid int) (uint64, error) {
	const atSysinfoEHDR = 33
	vector, err := os.ReadFile(fmt.Sprintf("/proc/%d/auxv", pid))
	if err != nil {
		return 0, err
	}
	for ; len(vector) >= 16; vector = vector[16:] {
		if binary.LittleEndian.Uint64(vector) == atSysinfoEHDR {
			return binary.LittleEndian.Uint64(vector[8:]), nil
		}
	}
	return 0, errors.New("the kernel maps no vDSO")
}

// clockFunction returns the offset of clock_gettime in the vDSO's image.
func clockFunction(image []byte) (uint64, error) {
	f, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return 0, fmt.Errorf("parse the vDSO: %w", err)
	}
	symbols, err := f.DynamicSymbols()
	if err != nil {
		return 0, fmt.Errorf("parse the vDSO: %w", err)
	}
	for _, s := range symbols {
		if s.Name == "__vdso_clock_gettime" {
			return s.Value, nil
		}
	}
	return 0, errors.New("the vDSO has no clock_gettime")
}
