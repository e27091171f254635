package telemetry

import (
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// summaryQuantiles are the quantiles of samples, as Consul's dashboards ask for
// them.
var summaryQuantiles = []float64{0.5, 0.9, 0.99}

// WritePrometheus writes everything in Prometheus' text format, version 0.0.4,
// sorted by name. It fails only as w does; nothing is locked while w is written.
func (m *Metrics) WritePrometheus(w io.Writer) error {
	b := make([]byte, 0, 32<<10)
	m.export(func(f exported) { b = f.appendText(b) })
	_, err := w.Write(b)
	return err
}

func (f exported) appendText(b []byte) []byte {
	help := f.def.Help
	if help == "" {
		help = f.def.Name
	}
	b = append(append(append(b, "# HELP "...), f.text...), ' ')
	b = append(append(b, helpEscapes.Replace(help)...), '\n')
	b = append(append(append(b, "# TYPE "...), f.text...), ' ')
	b = append(append(b, f.def.Kind.textType()...), '\n')
	for _, s := range f.list {
		switch f.def.Kind {
		case CounterKind:
			b = appendTextLine(b, f.text, "", s.labels, s.counter.Total())
		case GaugeKind:
			b = appendTextLine(b, f.text, "", s.labels, s.gauge.Value())
		case SampleKind:
			b = s.appendSummary(b, f.text)
		}
	}
	return b
}

func (s *series) appendSummary(b []byte, name string) []byte {
	labels := append(slices.Clip(s.labels), Label{Name: "quantile"})
	for i, v := range s.sample.quantiles(summaryQuantiles) {
		labels[len(labels)-1].Value = strconv.FormatFloat(summaryQuantiles[i], 'g', -1, 64)
		b = appendTextLine(b, name, "", labels, v)
	}
	all := s.sample.stats.now()
	b = appendTextLine(b, name, "_sum", s.labels, all.sum)
	return appendTextLine(b, name, "_count", s.labels, float64(all.count))
}

func appendTextLine(b []byte, name, suffix string, labels []Label, v float64) []byte {
	b = append(append(b, name...), suffix...)
	for i, l := range labels {
		if i == 0 {
			b = append(b, '{')
		} else {
			b = append(b, ',')
		}
		b = append(append(b, labelName(l.Name)...), '=', '"')
		b = append(append(b, labelEscapes.Replace(l.Value)...), '"')
	}
	if len(labels) > 0 {
		b = append(b, '}')
	}
	b = append(b, ' ')
	switch {
	case math.IsInf(v, 0): // only a gauge: the rest refuses it
		b = strconv.AppendFloat(b, v, 'g', -1, 64)
	case v == math.Trunc(v) && math.Abs(v) < 1e15: // counts without exponent
		b = strconv.AppendInt(b, int64(v), 10)
	default:
		b = strconv.AppendFloat(b, v, 'g', -1, 64)
	}
	return append(b, '\n')
}

var (
	helpEscapes  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	labelEscapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

// textName maps a dotted name to Prometheus' alphabet.
func textName(name string) string { return alphabet(name, true) }

// labelName is textName for labels, which know no colon.
func labelName(name string) string { return alphabet(name, false) }

func alphabet(name string, colon bool) string {
	out := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == ':' && colon:
			return r
		default:
			return '_'
		}
	}, name)
	if out == "" || out[0] >= '0' && out[0] <= '9' {
		return "_" + out
	}
	return out
}
