package logging

import (
	"fmt"
	"log/slog"
	"strings"
)

// LevelTrace is below slog.LevelDebug: every packet and every round.
const LevelTrace = slog.LevelDebug - 4

// Levels lists the names ParseLevel knows, lowest first.
func Levels() []string { return []string{"TRACE", "DEBUG", "INFO", "WARN", "ERR", "ERROR"} }

// ParseLevel returns the level of a name, in any case. ERR and ERROR are the
// same. The error's text is one clients know.
func ParseLevel(name string) (slog.Level, error) {
	switch strings.ToUpper(name) {
	case "TRACE":
		return LevelTrace, nil
	case "DEBUG":
		return slog.LevelDebug, nil
	case "INFO":
		return slog.LevelInfo, nil
	case "WARN":
		return slog.LevelWarn, nil
	case "ERR", "ERROR":
		return slog.LevelError, nil
	default:
		return 0, fmt.Errorf("Invalid log level: %s. Valid log levels are: %v", name, Levels()) //nolint:staticcheck // Consul's text
	}
}

// LevelName returns the name of the level that l falls into.
func LevelName(l slog.Level) string {
	switch {
	case l < slog.LevelDebug:
		return "TRACE"
	case l < slog.LevelInfo:
		return "DEBUG"
	case l < slog.LevelWarn:
		return "INFO"
	case l < slog.LevelError:
		return "WARN"
	default:
		return "ERROR"
	}
}
