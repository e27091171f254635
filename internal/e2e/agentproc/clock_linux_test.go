package agentproc

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

// TestMain is, as a child of TestStartWithClock, the program whose clock is
// wrong.
func TestMain(m *testing.M) {
	if os.Getenv("AGENTPROC_TELL_TIME") != "" {
		start := time.Now()
		<-time.After(20 * time.Millisecond)
		fmt.Println(start.Unix(), time.Since(start).Milliseconds())
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestStartWithClock(t *testing.T) {
	t.Parallel()
	if !CanShiftClock {
		t.Skip(errNoClock)
	}
	for _, offset := range []time.Duration{0, time.Hour, -3 * time.Minute} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "AGENTPROC_TELL_TIME=1")
		var out bytes.Buffer
		cmd.Stdout = &out
		if err := StartWithClock(cmd, offset); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		var wall, slept int64
		if _, err := fmt.Sscan(out.String(), &wall, &slept); err != nil {
			t.Fatalf("%q: %v", out.String(), err)
		}
		off := time.Until(time.Unix(wall, 0)) - offset
		if off.Abs() > 10*time.Second {
			t.Errorf("its clock is %v ahead, want %v", time.Until(time.Unix(wall, 0)), offset)
		}
		if slept < 20 || slept > 10_000 {
			t.Errorf("a sleep of 20 ms took %d ms by its monotonic clock", slept)
		}
	}
}
