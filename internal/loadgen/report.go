package loadgen

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"
)

// Measurement is one row of a report. Fields that do not apply are zero and
// left out.
type Measurement struct {
	Scenario string        `json:"scenario"`
	Case     string        `json:"case"`
	Clients  int           `json:"clients,omitempty"`
	Rate     float64       `json:"ops_per_second,omitempty"`
	Ops      int           `json:"ops,omitempty"`
	Errors   int           `json:"errors,omitempty"`
	Problem  string        `json:"problem,omitempty"` // one of the errors
	P50      time.Duration `json:"p50_ns,omitempty"`
	P99      time.Duration `json:"p99_ns,omitempty"`
	// CPU is the processor time of all agents for one operation.
	CPU time.Duration `json:"cpu_per_op_ns,omitempty"`
	// Times are single trials, of a start or a failover for example.
	Times []time.Duration `json:"times_ns,omitempty"`
	Bytes int64           `json:"bytes,omitempty"`
	Count int64           `json:"count,omitempty"` // goroutines, elections
	// Share is processor time taken while at rest, of one processor's.
	Share float64 `json:"cpu_share,omitempty"`
}

// WriteTable writes measurements as text, a table a scenario.
func WriteTable(w io.Writer, all []Measurement) error {
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].Scenario == all[0].Scenario {
			n++
		}
		if err := writeScenario(w, all[:n]); err != nil {
			return err
		}
		all = all[n:]
	}
	return nil
}

func writeScenario(w io.Writer, rows []Measurement) error {
	fmt.Fprintf(w, "\n%s\n", rows[0].Scenario)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	if rows[0].Clients > 0 {
		fmt.Fprintln(t, "case\tclients\tops/s\tp50 ms\tp99 ms\tCPU µs/op\terrors\t")
	}
	for _, m := range rows {
		if m.Clients > 0 {
			fmt.Fprintf(t, "%s\t%d\t%.0f\t%s\t%s\t%s\t%d\t\n", m.Case, m.Clients, m.Rate, millis(m.P50), millis(m.P99), micros(m.CPU), m.Errors)
		} else {
			fmt.Fprintf(t, "%s\t%s\t\n", m.Case, m.value())
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, m := range rows {
		if m.Problem != "" {
			fmt.Fprintf(w, "%s, %d clients: %s\n", m.Case, m.Clients, m.Problem)
		}
	}
	return nil
}

func (m Measurement) value() string {
	switch {
	case len(m.Times) > 0:
		sorted := sortedTimes(m.Times)
		return fmt.Sprintf("median %s ms, worst %s ms of %d", millis(percentile(sorted, 50)), millis(sorted[len(sorted)-1]), len(sorted))
	case m.Bytes != 0:
		return fmt.Sprintf("%.1f MiB", float64(m.Bytes)/(1<<20))
	case m.Share != 0:
		return fmt.Sprintf("%.2f %% of a processor", 100*m.Share)
	default:
		return strconv.FormatInt(m.Count, 10)
	}
}

func millis(d time.Duration) string {
	return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 2, 64)
}

func micros(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return strconv.FormatFloat(float64(d)/float64(time.Microsecond), 'f', 0, 64)
}
