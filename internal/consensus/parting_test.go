package consensus

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
)

func TestAnOrderlyStopIsNoError(t *testing.T) {
	cut := errors.New("msgpack decode error: " + (&net.OpError{Op: "read", Net: "tcp", Err: net.ErrClosed}).Error()) // the type is lost
	for _, c := range []struct {
		name   string
		closed bool
		err    error
		want   string
	}{
		{"a connection breaks", false, cut, "[ERROR]"},
		{"a connection breaks because the node closed it", true, cut, "[DEBUG]"},
		{"something else breaks while the node stops", true, errors.New("no space left on device"), "[ERROR]"},
	} {
		var out strings.Builder
		p := &parting{Logger: hclog.New(&hclog.LoggerOptions{Output: &out, Level: hclog.Debug})}
		p.closed.Store(c.closed)
		p.Error("failed to heartbeat to", "peer", "10.0.0.2:8300", "error", c.err)
		if got := out.String(); !strings.Contains(got, c.want) || !strings.Contains(got, c.err.Error()) {
			t.Errorf("%s: logged %q, want %s", c.name, got, c.want)
		}
	}
}
