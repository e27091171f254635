package completion

import (
	"bytes"
	"errors"
	"io"

	"github.com/spf13/cobra"
)

// writeBash writes cobra's script, changed so that it needs nothing but bash:
// it calls functions of the package bash-completion, which are used where they
// are there.
func writeBash(root *cobra.Command, w io.Writer) error {
	var b bytes.Buffer
	if err := root.GenBashCompletionV2(&b, true); err != nil {
		return err
	}
	script := b.Bytes()
	for _, change := range []struct{ old, now string }{
		{"    _get_comp_words_by_ref \"$@\" cur prev words cword\n", "    __ctl_words \"$@\"\n"},
		{"_filedir", "__ctl_filedir"},
	} {
		if !bytes.Contains(script, []byte(change.old)) {
			return errors.New("the script for bash is not the one known here: no " + change.old)
		}
		script = bytes.ReplaceAll(script, []byte(change.old), []byte(change.now))
	}
	_, err := w.Write(append([]byte(withoutPackage), script...))
	return err
}

// withoutPackage does what bash-completion would. Bash breaks words at = and :,
// which belong to the words here, and the last word is that up to the cursor.
const withoutPackage = `# Functions of the package bash-completion, or what is needed of them.
__ctl_words()
{
    if declare -F _get_comp_words_by_ref >/dev/null 2>&1; then
        _get_comp_words_by_ref "$@" cur prev words cword
        return
    fi
    local rest=$COMP_LINE lead word i n=-1
    words=()
    for ((i = 0; i < ${#COMP_WORDS[@]}; i++)); do
        word=${COMP_WORDS[i]}
        lead=${rest%%[^[:blank:]]*}
        rest=${rest#"$lead"}
        rest=${rest#"$word"}
        if [[ -z $lead && $n -ge 0 && ( -z ${word//[=:]/} || ${words[n]} == *[=:] ) ]]; then
            words[n]+=$word
        else
            n=$((n + 1))
            words[n]=$word
        fi
        ((i == COMP_CWORD)) && cword=$n
    done
    rest=${COMP_LINE:COMP_POINT}
    cur=${words[cword]%"${rest%%[[:blank:]]*}"}
    words[cword]=$cur
    prev=
    ((cword > 0)) && prev=${words[cword-1]}
    return 0
}

__ctl_filedir()
{
    if declare -F _filedir >/dev/null 2>&1; then
        _filedir "$@"
        return
    fi
    local kind=-f
    [[ ${1-} == -d ]] && kind=-d
    compopt -o filenames 2>/dev/null
    IFS=$'\n' read -ra COMPREPLY -d '' < <(compgen "$kind" -- "$cur")
    return 0
}

`
