package cli_test

import (
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/cli/clitest"
)

func TestPager(t *testing.T) {
	const mark = "sed s/^/page:/"
	topic := []string{"help", "exit-codes"}
	for _, c := range []struct {
		name     string
		args     []string
		env      map[string]string
		terminal bool
		paged    bool
	}{
		{"a topic that does not fit", topic, map[string]string{"CTL_PAGER": mark, "LINES": "5"}, true, true},
		{"help that does not fit", []string{"demo", "put", "-h"}, map[string]string{"CTL_PAGER": mark, "LINES": "5"}, true, true},
		{"PAGER alone", topic, map[string]string{"PAGER": mark, "LINES": "5"}, true, true},
		{"CTL_PAGER wins", topic, map[string]string{"PAGER": "false", "CTL_PAGER": mark, "LINES": "5"}, true, true},
		{"CTL_PAGER set to nothing", topic, map[string]string{"PAGER": mark, "CTL_PAGER": "", "LINES": "5"}, true, false},
		{"no pager named", topic, map[string]string{"LINES": "5"}, true, false},
		{"a pipe", topic, map[string]string{"CTL_PAGER": mark, "LINES": "5"}, false, false},
		{"what fits", topic, map[string]string{"CTL_PAGER": mark, "LINES": "500"}, true, false},
		{"a terminal of unknown height", topic, map[string]string{"CTL_PAGER": mark}, true, false},
		{"results", []string{"demo", "say"}, map[string]string{"CTL_PAGER": mark, "LINES": "1"}, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := clitest.Do(t, demo, clitest.Run{Args: c.args, Env: c.env, Terminal: c.terminal})
			if got.Code != 0 || got.Err != "" || got.Out == "" {
				t.Fatalf("%+v", got)
			}
			for line := range strings.Lines(got.Out) {
				if strings.HasPrefix(line, "page:") != c.paged {
					t.Fatalf("paged: %v, line %q", !c.paged, line)
				}
			}
		})
	}
	got := clitest.Do(t, demo, clitest.Run{Args: topic, Env: map[string]string{"CTL_PAGER": "exit 3", "LINES": "5"}, Terminal: true})
	if got.Code != 0 || got.Out == "" || got.Err != "Note: the pager \"exit 3\" (CTL_PAGER or PAGER) failed: exit status 3\n" {
		t.Errorf("a pager that fails: %+v", got)
	}
}
