package cli

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ctl-sh/ctl/internal/iostreams"
	"github.com/spf13/cobra"
)

const (
	progressFlag = "progress"

	progressAuto = "auto" // a bar, where standard error is a terminal
	progressJSON = "json" // a JSON object a line, on standard error
	progressNone = "none"
)

const (
	// barTime is how often a bar is drawn, and barDelay how long work lasts
	// before there is one: what is over at once needs none.
	barTime  = 200 * time.Millisecond
	barDelay = 600 * time.Millisecond
	// reportTime is how often a line of JSON is written.
	reportTime = time.Second
	// rateTime is how far the rate looks back.
	rateTime = 10 * time.Second
	// barWidth is how many characters fill up.
	barWidth = 20
)

// Progress is the flag --progress of a command whose work can last.
type Progress struct {
	f    *Factory
	mode string
}

// Progress gives cmd the flag.
func (f *Factory) Progress(cmd *cobra.Command) *Progress {
	p := &Progress{f: f}
	words := []string{progressAuto, progressJSON, progressNone}
	flag := &choice{value: progressAuto, words: words, set: func(s string) { p.mode = s }}
	cmd.Flags().Var(flag, progressFlag, "`HOW` to show progress on standard error: auto (a bar, on a terminal), json or none")
	// Names are fixed; this fails only for a flag that does not exist.
	_ = cmd.RegisterFlagCompletionFunc(progressFlag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	return p
}

// Work is something that lasts. Of its totals, the first that is known says how
// much is done.
type Work struct {
	What string // such as "Importing"
	Unit string // what is counted, such as "keys"; empty where only bytes are

	Items int64         // in all; 0 where nobody knows
	Bytes int64         // in all; 0 where nobody knows
	Time  time.Duration // it takes in all; 0 where nobody knows

	// Listed says that it writes a line of results for every item: where those
	// are seen there is no bar.
	Listed bool
}

// Bar shows how far some work is. Its methods may be called by any goroutine.
type Bar struct {
	work         Work
	items, bytes atomic.Int64
	line         *iostreams.StatusLine
	start        time.Time
	samples      []sample
	stop         chan struct{}
	drawing      sync.WaitGroup
	report       bool // as JSON
}

// sample is how far the work was at a time.
type sample struct {
	at           time.Time
	items, bytes int64
}

// Start begins to show w. End must be called, on every path; one bar is shown
// at a time.
func (p *Progress) Start(w Work) *Bar {
	b := &Bar{work: w, start: time.Now(), stop: make(chan struct{})}
	b.samples = []sample{{at: b.start}}
	streams := p.f.Streams
	every := barTime
	switch {
	case p.mode == progressJSON:
		b.report, every = true, reportTime
	case p.mode == progressNone, !streams.CanDraw(), w.Listed && streams.OutTerminal:
		return b
	}
	b.line = streams.OpenStatusLine()
	b.drawing.Go(func() { b.run(every) })
	return b
}

// Add says that more is done: so many items, and so many bytes. A nil Bar does
// not mind.
func (b *Bar) Add(items, bytes int64) {
	if b == nil {
		return
	}
	b.items.Add(items)
	b.bytes.Add(bytes)
}

// End takes the bar away. As JSON, it tells how far the work came.
func (b *Bar) End() {
	if b.line == nil {
		return
	}
	close(b.stop)
	b.drawing.Wait()
	if b.report {
		b.line.Print(b.json(true))
	}
	b.line.Close()
	b.line = nil
}

func (b *Bar) run(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-b.stop:
			return
		case <-tick.C:
		}
		switch {
		case b.report:
			b.line.Print(b.json(false))
		case time.Since(b.start) >= barDelay:
			s := b.state()
			b.line.Draw(s.text(b.work, b.line.Width()))
		}
	}
}

// state is how far the work is, and how fast.
type state struct {
	items, bytes       int64
	itemRate, byteRate float64 // a second
	percent            int     // below zero where nobody knows
	elapsed, left      time.Duration
	knowsLeft          bool
}

func (b *Bar) state() state {
	now := sample{time.Now(), b.items.Load(), b.bytes.Load()}
	b.samples = append(b.samples, now)
	for len(b.samples) > 2 && now.at.Sub(b.samples[1].at) >= rateTime {
		b.samples = b.samples[1:]
	}
	return b.measure(b.samples[0], now)
}

// measure returns the state at now, with the rates since was.
func (b *Bar) measure(was, now sample) state {
	s := state{items: now.items, bytes: now.bytes, percent: -1, elapsed: now.at.Sub(b.start)}
	if seconds := now.at.Sub(was.at).Seconds(); seconds > 0 {
		s.itemRate = float64(now.items-was.items) / seconds
		s.byteRate = float64(now.bytes-was.bytes) / seconds
	}
	done, all, rate := float64(s.elapsed), float64(b.work.Time), float64(time.Second)
	switch {
	case b.work.Items > 0:
		done, all, rate = float64(s.items), float64(b.work.Items), s.itemRate
	case b.work.Bytes > 0:
		done, all, rate = float64(s.bytes), float64(b.work.Bytes), s.byteRate
	}
	if all <= 0 {
		return s
	}
	done = min(done, all)
	s.percent = int(100 * done / all)
	if rate > 0 {
		s.left, s.knowsLeft = time.Duration((all-done)/rate*float64(time.Second)), true
	}
	return s
}

// text is the state on one line of at most width characters: where that is
// short, without the bar.
func (s state) text(w Work, width int) string {
	var parts []string
	count := func(done, all int64, unit func(int64) string) {
		if all > 0 {
			parts = append(parts, unit(done)+" of "+unit(all))
		} else {
			parts = append(parts, unit(done))
		}
	}
	if w.Unit != "" {
		count(s.items, w.Items, grouped)
		parts[0] += " " + w.Unit
	}
	if s.bytes > 0 || w.Bytes > 0 {
		count(s.bytes, w.Bytes, byteSize)
	}
	switch {
	case w.Unit != "" && s.items > 0:
		parts = append(parts, grouped(int64(s.itemRate))+"/s")
	case s.bytes > 0:
		parts = append(parts, byteSize(int64(s.byteRate))+"/s")
	}
	if s.knowsLeft {
		parts = append(parts, round(s.left)+" left")
	} else {
		parts = append(parts, round(s.elapsed))
	}
	text := strings.Join(parts, ", ")
	if s.percent < 0 {
		return w.What + ": " + text
	}
	full := s.percent * barWidth / 100
	bar := fmt.Sprintf("%s [%s%s] %3d%%  %s", w.What, strings.Repeat("#", full), strings.Repeat("-", barWidth-full), s.percent, text)
	if len(bar) > width {
		return fmt.Sprintf("%s %d%%, %s", w.What, s.percent, text)
	}
	return bar
}

// progressReport is a state for programs.
type progressReport struct {
	What           string
	Unit           string `json:",omitempty"`
	Items          int64
	TotalItems     int64 `json:",omitempty"`
	Bytes          int64
	TotalBytes     int64 `json:",omitempty"`
	ItemsPerSecond float64
	BytesPerSecond float64
	Percent        *int `json:",omitempty"` // left out where nobody knows
	ElapsedSeconds float64
	SecondsLeft    *float64 `json:",omitempty"`
	Ended          bool     // nothing comes behind it
}

// json is the state as a line of JSON, the last one with the rates of it all.
func (b *Bar) json(last bool) string {
	s := b.state()
	if last {
		s = b.measure(sample{at: b.start}, b.samples[len(b.samples)-1])
	}
	r := progressReport{What: b.work.What, Unit: b.work.Unit, Items: s.items, TotalItems: b.work.Items, Bytes: s.bytes, TotalBytes: b.work.Bytes,
		ItemsPerSecond: s.itemRate, BytesPerSecond: s.byteRate, ElapsedSeconds: s.elapsed.Seconds(), Ended: last}
	if s.percent >= 0 {
		r.Percent = &s.percent
	}
	if left := s.left.Seconds(); s.knowsLeft && !last {
		r.SecondsLeft = &left
	}
	data, err := json.Marshal(struct{ Progress progressReport }{r})
	if err != nil {
		return "" // of numbers and words
	}
	return string(data)
}

// round is a time as people read it: whole seconds.
func round(d time.Duration) string { return d.Round(time.Second).String() }

// grouped is n with its thousands apart.
func grouped(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// byteSize is a number of bytes in the unit that fits.
func byteSize(n int64) string {
	if n < 1<<10 {
		return strconv.FormatInt(n, 10) + " B"
	}
	size, units := float64(n)/(1<<10), []string{"KiB", "MiB", "GiB", "TiB"}
	for len(units) > 1 && size >= 1<<10 {
		size, units = size/(1<<10), units[1:]
	}
	return fmt.Sprintf("%.1f %s", size, units[0])
}
