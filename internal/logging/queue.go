package logging

import (
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// How much may wait for each kind of reader before the oldest lines go. A
// megabyte is some ten thousand lines.
const (
	maxFileBacklog    = 4 << 20
	maxSyslogBacklog  = 1 << 20
	maxMonitorBacklog = 256 << 10
)

// closeTimeout bounds how long Close waits for one output.
const closeTimeout = 3 * time.Second

// queued is a formatted line and its level.
type queued struct {
	line  []byte
	level slog.Level
}

// queue stands between whoever logs, who must never wait, and one reader, who
// may be slow. When more than max bytes wait, the oldest lines are dropped and
// counted.
type queue struct {
	max  int
	wake chan struct{} // holds one token while the reader has something to look at

	mu      sync.Mutex
	lines   []queued
	bytes   int
	dropped int
	closed  bool
}

func newQueue(max int) *queue {
	return &queue{max: max, wake: make(chan struct{}, 1)}
}

// push adds a line; on a closed queue it does nothing.
func (q *queue) push(l queued) {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return
	}
	q.lines = append(q.lines, l)
	q.bytes += len(l.line)
	for q.bytes > q.max && len(q.lines) > 1 {
		q.bytes -= len(q.lines[0].line)
		q.lines[0] = queued{} // the array behind may live on
		q.lines = q.lines[1:]
		q.dropped++
	}
	q.mu.Unlock()
	q.notify()
}

// close lets the reader have what is left and then ends it.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.notify()
}

func (q *queue) notify() {
	select {
	case q.wake <- struct{}{}:
	default: // it is awake already
	}
}

// take blocks for lines and returns all there are, with the number of lines
// dropped before the first of them. It reports false when the queue is closed
// and empty. One goroutine only.
func (q *queue) take() (lines []queued, dropped int, ok bool) {
	for {
		q.mu.Lock()
		lines, dropped, closed := q.lines, q.dropped, q.closed
		q.lines, q.bytes, q.dropped = nil, 0, 0
		q.mu.Unlock()
		if len(lines) > 0 {
			return lines, dropped, true
		}
		if closed {
			return nil, 0, false
		}
		<-q.wake
	}
}

// sink is what an output writes to. Its methods are called by one goroutine.
type sink interface {
	// write writes lines; dropped lines were lost before the first. It keeps
	// its errors to itself and reports them on the other outputs. When quit
	// closes it must soon return.
	write(lines []queued, dropped int, quit <-chan struct{})
	close() error
}

// output is a sink with its queue and the goroutine between the two.
type output struct {
	queue *queue
	sink  sink
	quit  chan struct{}
	wg    sync.WaitGroup
	err   error // of sink.close; read after wg.Wait
}

func newOutput(s sink, backlog int) *output {
	return &output{queue: newQueue(backlog), sink: s, quit: make(chan struct{})}
}

func (o *output) start() {
	o.wg.Go(func() {
		for {
			lines, dropped, ok := o.queue.take()
			if !ok {
				o.err = o.sink.close()
				return
			}
			o.sink.write(lines, dropped, o.quit)
		}
	})
}

// close lets the sink write what is queued and waits for it, but not for ever.
func (o *output) close(name string) error {
	o.queue.close()
	close(o.quit)
	done := make(chan struct{})
	go func() { // ends with the output's goroutine, which a hanging disk may hold
		o.wg.Wait()
		close(done)
	}()
	t := time.NewTimer(closeTimeout)
	defer t.Stop()
	select {
	case <-done:
		return o.err
	case <-t.C:
		return fmt.Errorf("%s: still writing after %v; the last lines may be missing", name, closeTimeout)
	}
}
