package logging

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/hashicorp/go-hclog"
)

// HCLog returns l as raft and its relatives want it. Their level changes are
// ignored: levels are set in one place. Named loggers extend the component with
// a dot.
func HCLog(l *slog.Logger) hclog.Logger {
	name := ""
	if h, ok := l.Handler().(*handler); ok {
		name = h.component
	}
	return &hcLogger{slog: l, name: name}
}

// hcLogger implements hclog.Logger.
type hcLogger struct {
	slog *slog.Logger
	name string
	args []any // what With added, for ImpliedArgs
}

// Log implements hclog.Logger.
func (h *hcLogger) Log(level hclog.Level, msg string, args ...any) {
	if level != hclog.Off {
		h.log(fromHCLog(level), msg, args)
	}
}

// Trace implements hclog.Logger.
func (h *hcLogger) Trace(msg string, args ...any) { h.log(LevelTrace, msg, args) }

// Debug implements hclog.Logger.
func (h *hcLogger) Debug(msg string, args ...any) { h.log(slog.LevelDebug, msg, args) }

// Info implements hclog.Logger.
func (h *hcLogger) Info(msg string, args ...any) { h.log(slog.LevelInfo, msg, args) }

// Warn implements hclog.Logger.
func (h *hcLogger) Warn(msg string, args ...any) { h.log(slog.LevelWarn, msg, args) }

// Error implements hclog.Logger.
func (h *hcLogger) Error(msg string, args ...any) { h.log(slog.LevelError, msg, args) }

func (h *hcLogger) log(level slog.Level, msg string, args []any) {
	ctx := context.Background()
	if !h.slog.Enabled(ctx, level) {
		return
	}
	r := slog.NewRecord(time.Now(), level, msg, 0)
	r.AddAttrs(attrsOf(args)...)
	_ = h.slog.Handler().Handle(ctx, r) // ours never fails
}

// IsTrace implements hclog.Logger.
func (h *hcLogger) IsTrace() bool { return h.enabled(LevelTrace) }

// IsDebug implements hclog.Logger.
func (h *hcLogger) IsDebug() bool { return h.enabled(slog.LevelDebug) }

// IsInfo implements hclog.Logger.
func (h *hcLogger) IsInfo() bool { return h.enabled(slog.LevelInfo) }

// IsWarn implements hclog.Logger.
func (h *hcLogger) IsWarn() bool { return h.enabled(slog.LevelWarn) }

// IsError implements hclog.Logger.
func (h *hcLogger) IsError() bool { return h.enabled(slog.LevelError) }

func (h *hcLogger) enabled(l slog.Level) bool { return h.slog.Enabled(context.Background(), l) }

// ImpliedArgs implements hclog.Logger.
func (h *hcLogger) ImpliedArgs() []any { return slices.Clone(h.args) }

// With implements hclog.Logger.
func (h *hcLogger) With(args ...any) hclog.Logger {
	c := *h
	c.args = append(slices.Clip(h.args), args...)
	c.slog = slog.New(h.slog.Handler().WithAttrs(attrsOf(args)))
	return &c
}

// Name implements hclog.Logger.
func (h *hcLogger) Name() string { return h.name }

// Named implements hclog.Logger.
func (h *hcLogger) Named(name string) hclog.Logger {
	if h.name != "" {
		name = h.name + "." + name
	}
	return h.ResetNamed(name)
}

// ResetNamed implements hclog.Logger.
func (h *hcLogger) ResetNamed(name string) hclog.Logger {
	c := *h
	c.name = name
	c.slog = h.slog.With(KeyComponent, name)
	return &c
}

// SetLevel implements hclog.Logger and does nothing.
func (h *hcLogger) SetLevel(hclog.Level) {}

// GetLevel implements hclog.Logger.
func (h *hcLogger) GetLevel() hclog.Level {
	for l := hclog.Trace; l < hclog.Error; l++ {
		if h.enabled(fromHCLog(l)) {
			return l
		}
	}
	return hclog.Error
}

// StandardLogger implements hclog.Logger.
func (h *hcLogger) StandardLogger(o *hclog.StandardLoggerOptions) *log.Logger {
	return log.New(h.StandardWriter(o), "", 0)
}

// StandardWriter implements hclog.Logger.
func (h *hcLogger) StandardWriter(o *hclog.StandardLoggerOptions) io.Writer {
	w := &lineWriter{logger: h.slog, level: slog.LevelInfo, infer: true}
	if o != nil && o.ForceLevel != hclog.NoLevel {
		w.level, w.infer = fromHCLog(o.ForceLevel), false
	}
	return w
}

func fromHCLog(l hclog.Level) slog.Level {
	switch l {
	case hclog.Trace:
		return LevelTrace
	case hclog.Debug:
		return slog.LevelDebug
	case hclog.Warn:
		return slog.LevelWarn
	case hclog.Error, hclog.Off:
		return slog.LevelError
	default:
		return slog.LevelInfo
	}
}

// attrsOf turns alternating keys and values into attributes. A value without a
// key keeps hclog's name for it.
func attrsOf(args []any) []slog.Attr {
	attrs := make([]slog.Attr, 0, (len(args)+1)/2)
	for len(args) >= 2 {
		key, ok := args[0].(string)
		if !ok {
			key = fmt.Sprint(args[0])
		}
		attrs = append(attrs, slog.Attr{Key: key, Value: valueOf(args[1])})
		args = args[2:]
	}
	if len(args) == 1 {
		attrs = append(attrs, slog.Attr{Key: hclog.MissingKey, Value: valueOf(args[0])})
	}
	return attrs
}

// valueOf renders at once whatever may change after the call: raft logs itself,
// and its String tells the state of that moment.
func valueOf(v any) slog.Value {
	switch x := v.(type) {
	case hclog.Format:
		if len(x) == 0 {
			return slog.StringValue("")
		}
		if f, ok := x[0].(string); ok {
			return slog.StringValue(fmt.Sprintf(f, x[1:]...))
		}
		return slog.StringValue(fmt.Sprint(x...))
	case hclog.Quote:
		return slog.StringValue(string(x))
	case hclog.Hex:
		return slog.StringValue("0x" + strconv.FormatInt(int64(x), 16))
	case hclog.Octal:
		return slog.StringValue("0" + strconv.FormatInt(int64(x), 8))
	case hclog.Binary:
		return slog.StringValue("0b" + strconv.FormatInt(int64(x), 2))
	case time.Duration, time.Time:
		return slog.AnyValue(x)
	case error, fmt.Stringer:
		return slog.StringValue(fmt.Sprint(x))
	default:
		// raft logs pointers to server ids and addresses.
		if p := reflect.ValueOf(x); p.Kind() == reflect.Pointer && !p.IsNil() && p.Elem().Kind() == reflect.String {
			return slog.StringValue(p.Elem().String())
		}
		return slog.AnyValue(x)
	}
}
