package logging

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// A Subscription is one reader of the log stream, with a level and a form of
// its own.
type Subscription struct {
	logs  *Logs
	level slog.Level
	json  bool
	queue *queue
	lines chan []byte
	quit  chan struct{}
	once  sync.Once
	wg    sync.WaitGroup
}

// Subscribe starts a stream of the lines logged from now on at level or above,
// whatever the level of the other outputs. The error is ParseLevel's, or says
// that l is closed. The caller must Close the subscription.
func (l *Logs) Subscribe(level string, json bool) (*Subscription, error) {
	parsed, err := ParseLevel(level)
	if err != nil {
		return nil, err
	}
	s := &Subscription{
		logs: l, level: parsed, json: json,
		queue: newQueue(maxMonitorBacklog),
		lines: make(chan []byte),
		quit:  make(chan struct{}),
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done {
		return nil, errors.New("logging is closed")
	}
	subs := append(slices.Clone(*l.subs.Load()), s)
	l.subs.Store(&subs)
	l.lowerFloor()
	s.wg.Go(s.run)
	return s, nil
}

// Lines returns the stream: whole lines with their newline, not to be changed.
// A reader that lags loses the oldest lines it has not seen; in their place it
// gets a warning that counts them. The channel closes after Close.
func (s *Subscription) Lines() <-chan []byte { return s.lines }

// Close ends the stream, dropping what was not read. It may be called by any
// goroutine, more than once.
func (s *Subscription) Close() {
	s.once.Do(func() {
		l := s.logs
		l.mu.Lock()
		subs := slices.DeleteFunc(slices.Clone(*l.subs.Load()), func(o *Subscription) bool { return o == s })
		l.subs.Store(&subs)
		l.lowerFloor()
		l.mu.Unlock()
		s.queue.close()
		close(s.quit)
	})
	s.wg.Wait()
}

// run carries lines from the queue to the reader.
func (s *Subscription) run() {
	defer close(s.lines)
	for {
		lines, dropped, ok := s.queue.take()
		if !ok {
			return
		}
		if dropped > 0 && !s.send(s.notice(dropped)) {
			return
		}
		for _, q := range lines {
			if !s.send(q.line) {
				return
			}
		}
	}
}

func (s *Subscription) send(line []byte) bool {
	select {
	case s.lines <- line:
		return true
	case <-s.quit:
		return false
	}
}

// notice says that lines are missing; slow readers must not take a gap for
// silence.
func (s *Subscription) notice(dropped int) []byte {
	r := slog.NewRecord(time.Now(), slog.LevelWarn, fmt.Sprintf("monitor: %d log lines dropped because this reader is too slow", dropped), 0)
	return newEntry(&handler{component: DefaultComponent}, r).line(s.json)
}
