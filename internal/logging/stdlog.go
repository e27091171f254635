package logging

import (
	"context"
	"log"
	"log/slog"
	"strings"
)

// StdLog returns a standard logger whose lines go to l. A prefix "[LEVEL] ", as
// serf and memberlist write it, becomes the level; what has none is INFO. The
// rest, with the library's name in front, is the message.
func StdLog(l *slog.Logger) *log.Logger {
	return log.New(&lineWriter{logger: l, level: slog.LevelInfo, infer: true}, "", 0)
}

// lineWriter logs every Write as one record.
type lineWriter struct {
	logger *slog.Logger
	level  slog.Level // where a line does not say
	infer  bool       // whether it may
}

// Write implements io.Writer. It never fails.
func (w *lineWriter) Write(p []byte) (int, error) {
	line, level := strings.TrimRight(string(p), "\r\n"), w.level
	if found, rest, ok := cutLevel(line); ok {
		line = rest
		if w.infer {
			level = found
		}
	}
	w.logger.Log(context.Background(), level, line)
	return len(p), nil
}

// cutLevel splits "[WARN] memberlist: …" into level and rest.
func cutLevel(line string) (slog.Level, string, bool) {
	if !strings.HasPrefix(line, "[") {
		return 0, line, false
	}
	name, rest, ok := strings.Cut(line[1:], "]")
	if !ok {
		return 0, line, false
	}
	level, err := ParseLevel(name)
	if err != nil {
		return 0, line, false
	}
	return level, strings.TrimLeft(rest, " "), true
}
