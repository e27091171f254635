package check

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/ctl-sh/ctl/internal/cli"
)

const (
	formatText       = "text"
	formatNagios     = "nagios"
	formatPrometheus = "prometheus"
	formatJSON       = "json"
)

func formats() []string { return []string{formatText, formatNagios, formatPrometheus, formatJSON} }

func (o *options) write(overall status, results []result) error {
	var b strings.Builder
	document := struct {
		Status status
		Code   int
		Checks []result
	}{overall, int(overall), results}
	switch {
	case o.filter.On():
		return o.filter.Write(o.f.Streams.Out, document, "")
	case o.format == formatNagios:
		writeNagios(&b, overall, results)
	case o.format == formatPrometheus:
		writePrometheus(&b, overall, results)
	case o.format == formatJSON:
		return cli.WriteJSON(o.f.Streams.Out, document)
	default:
		for _, r := range results {
			fmt.Fprintf(&b, "%-8s  %s: %s\n", r.Status, r.Check, oneLine(r.Message))
		}
		fmt.Fprintf(&b, "%s\n", overall)
	}
	_, err := io.WriteString(o.f.Streams.Out, b.String())
	return err
}

// oneLine is text without what would end a line or begin performance data.
func oneLine(text string) string {
	return strings.NewReplacer("\n", " ", "\r", " ", "|", "/").Replace(strings.TrimSpace(text))
}

// writeNagios writes the line of a plugin: what is wrong, or that nothing is,
// then performance data; the lines after it have every check.
func writeNagios(w io.Writer, overall status, results []result) {
	var wrong, perf []string
	for _, r := range results {
		if r.Status != ok {
			wrong = append(wrong, r.Check+": "+oneLine(r.Message))
		}
		if r.Value != nil {
			label := strings.NewReplacer("'", "''", "=", "_").Replace(r.Check)
			perf = append(perf, fmt.Sprintf("'%s'=%s;%s;%s", label, decimal(*r.Value), r.Warning, r.Critical))
		}
	}
	text := strings.Join(wrong, "; ")
	if text == "" {
		text = fmt.Sprintf("%d checks passed", len(results))
	}
	fmt.Fprintf(w, "CTL %s - %s | %s\n", overall, text, strings.Join(perf, " "))
	for _, r := range results {
		fmt.Fprintf(w, "%s: %s: %s\n", r.Status, r.Check, oneLine(r.Message))
	}
}

func decimal(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func writePrometheus(w io.Writer, overall status, results []result) {
	fmt.Fprintln(w, "# HELP ctl_check_status State of a check: 0 ok, 1 warning, 2 critical, 3 unknown.")
	fmt.Fprintln(w, "# TYPE ctl_check_status gauge")
	for _, r := range results {
		fmt.Fprintf(w, "ctl_check_status{check=\"%s\"} %d\n", label(r.Check), r.Status)
	}
	fmt.Fprintln(w, "# HELP ctl_check_value What a check looked at: servers that can be lost, entries behind, failed members, passing instances.")
	fmt.Fprintln(w, "# TYPE ctl_check_value gauge")
	for _, r := range results {
		if r.Value != nil {
			fmt.Fprintf(w, "ctl_check_value{check=\"%s\"} %s\n", label(r.Check), decimal(*r.Value))
		}
	}
	fmt.Fprintln(w, "# HELP ctl_check_overall The worst state of all checks, in which unknown is less than critical.")
	fmt.Fprintln(w, "# TYPE ctl_check_overall gauge")
	fmt.Fprintf(w, "ctl_check_overall %d\n", overall)
}

// label escapes the value of a label.
func label(text string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(text)
}
