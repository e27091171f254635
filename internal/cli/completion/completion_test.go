package completion

import (
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/cli/clitest"
)

func TestCompletion(t *testing.T) {
	for shell, contains := range map[string]string{
		"bash":       "complete -o default -F __start_ctl ctl",
		"zsh":        "#compdef ctl",
		"fish":       "complete -c ctl",
		"powershell": "Register-ArgumentCompleter -CommandName 'ctl'",
	} {
		t.Run(shell, func(t *testing.T) {
			got := clitest.Do(t, NewCommand, clitest.Run{Args: []string{"completion", shell}})
			if got.Code != 0 || got.Err != "" || !strings.Contains(got.Out, contains) {
				t.Errorf("exit code %d, error %q, script of %d bytes lacks %q", got.Code, got.Err, len(got.Out), contains)
			}
			if got := clitest.Do(t, NewCommand, clitest.Run{Args: []string{"completion", shell, "x"}}); got.Code != 1 {
				t.Errorf("with an argument: exit code %d", got.Code)
			}
		})
	}
	if got := clitest.Do(t, NewCommand, clitest.Run{Args: []string{"completion", "tcsh"}}); got.Code != 1 || !strings.Contains(got.Err, `unknown command "tcsh"`) {
		t.Errorf("unknown shell: exit code %d, error %q", got.Code, got.Err)
	}
}
