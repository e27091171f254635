// Package ptyterm is a terminal for tests and measurements: a pseudo terminal
// whose other end somebody reads, or refuses to read.
//
// It does not understand what is written; a program that needs the screen uses
// tmux. Linux only: elsewhere Open fails.
package ptyterm

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Terminal is a pseudo terminal. Its methods may be called by any number of
// goroutines.
type Terminal struct {
	Master *os.File // what a person would see and type
	Slave  *os.File // what a program gets

	mu     sync.Mutex
	data   []byte
	total  int       // bytes read ever
	bursts int       // reads that brought something
	last   time.Time // when the last came
	more   chan struct{}
	held   bool
	cond   *sync.Cond
	done   chan struct{}
}

// Open returns a terminal of that size, which is read at once. The caller closes
// it.
func Open(columns, lines int) (*Terminal, error) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open a pseudo terminal: %w", err)
	}
	t := &Terminal{Master: master, more: make(chan struct{}, 1), done: make(chan struct{})}
	t.cond = sync.NewCond(&t.mu)
	if err := t.open(columns, lines); err != nil {
		master.Close()
		return nil, err
	}
	go t.read()
	return t, nil
}

// open unlocks and opens the slave. The master's descriptor is used through
// SyscallConn, since Fd would make it blocking and Close hang.
func (t *Terminal) open(columns, lines int) error {
	raw, err := t.Master.SyscallConn()
	if err != nil {
		return fmt.Errorf("open a pseudo terminal: %w", err)
	}
	var n int
	var inner error
	err = raw.Control(func(fd uintptr) {
		if inner = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); inner == nil {
			n, inner = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	})
	if err == nil {
		err = inner
	}
	if err != nil {
		return fmt.Errorf("unlock a pseudo terminal: %w", err)
	}
	if t.Slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		return fmt.Errorf("open a pseudo terminal: %w", err)
	}
	return t.Resize(columns, lines)
}

// Resize gives the terminal another size.
func (t *Terminal) Resize(columns, lines int) error {
	raw, err := t.Master.SyscallConn()
	if err != nil {
		return fmt.Errorf("resize a pseudo terminal: %w", err)
	}
	var inner error
	if err := raw.Control(func(fd uintptr) {
		inner = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(lines), Col: uint16(columns)})
	}); err != nil {
		return fmt.Errorf("resize a pseudo terminal: %w", err)
	}
	return inner
}

// kept bounds what is remembered of what was read.
const kept = 4 << 20

func (t *Terminal) read() {
	defer close(t.done)
	buf := make([]byte, 64<<10)
	for {
		t.mu.Lock()
		for t.held {
			t.cond.Wait()
		}
		t.mu.Unlock()
		n, err := t.Master.Read(buf)
		if err != nil {
			return
		}
		t.mu.Lock()
		t.data = append(t.data, buf[:n]...)
		if len(t.data) > kept {
			t.data = append([]byte(nil), t.data[len(t.data)-kept/2:]...)
		}
		t.total += n
		t.bursts++
		t.last = time.Now()
		t.mu.Unlock()
		select {
		case t.more <- struct{}{}:
		default:
		}
	}
}

// Hold stops to read, as a frozen terminal does, until Release.
func (t *Terminal) Hold() {
	t.mu.Lock()
	t.held = true
	t.mu.Unlock()
}

// Release reads again.
func (t *Terminal) Release() {
	t.mu.Lock()
	t.held = false
	t.mu.Unlock()
	t.cond.Broadcast()
}

// Read returns what was written since the last Forget.
func (t *Terminal) Read() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Clone(t.data)
}

// Forget forgets what was written so far.
func (t *Terminal) Forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.data = nil
}

// Traffic returns how many bytes and how many bursts came ever, and when the
// last did.
func (t *Terminal) Traffic() (total, bursts int, last time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.total, t.bursts, t.last
}

// Await waits until text has been written since the last Forget, and reports
// whether that was in time.
func (t *Terminal) Await(text string, patience time.Duration) bool {
	late := time.After(patience)
	for {
		if bytes.Contains(t.Read(), []byte(text)) {
			return true
		}
		select {
		case <-t.more:
		case <-t.done:
			return bytes.Contains(t.Read(), []byte(text))
		case <-late:
			return false
		}
	}
}

// Type presses keys, as the bytes a terminal sends.
func (t *Terminal) Type(keys string) error {
	_, err := t.Master.WriteString(keys)
	return err
}

// Settings returns the terminal's settings, to be compared.
func (t *Terminal) Settings() (unix.Termios, error) {
	s, err := unix.IoctlGetTermios(int(t.Slave.Fd()), unix.TCGETS)
	if err != nil {
		return unix.Termios{}, fmt.Errorf("read the settings of a pseudo terminal: %w", err)
	}
	return *s, nil
}

// Close ends the terminal.
func (t *Terminal) Close() {
	t.Release()
	t.Slave.Close()
	t.Master.Close()
	<-t.done
}
