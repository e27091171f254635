package cli

import (
	"fmt"
	"io"
	"strings"
)

// Topic is a page of help that is about no single command.
type Topic struct {
	Name, Short string
	// write writes the page, in lines of at most helpWidth characters.
	write func(io.Writer)
}

// Write writes the topic's page.
func (t Topic) Write(w io.Writer) { t.write(w) }

// Topics lists the topics of `ctl help TOPIC`, in the order help shows them.
func Topics() []Topic {
	return []Topic{
		{"environment", "Variables that are read, and what wins", writeEnvironment},
		{"exit-codes", "What exit codes mean", writeExitCodes},
		{"formatting", "Formats of output: -o json, templates and others", func(w io.Writer) { io.WriteString(w, formatting) }},
		{"coming-from-consul", "What stays and what differs for users of Consul", func(w io.Writer) { io.WriteString(w, comingFromConsul) }},
	}
}

func topic(name string) (Topic, bool) {
	for _, t := range Topics() {
		if t.Name == name {
			return t, true
		}
	}
	return Topic{}, false
}

func writeEnvironment(w io.Writer) {
	fmt.Fprintln(w, wrap(`How a command reaches an agent. An option is stronger than CTL_*, that is stronger than CONSUL_*, that is stronger than the context in use, and that is stronger than the default. "ctl config explain" says where every setting comes from.

An empty variable counts as not set. Of tokens of the same strength a file wins, then a command. A context named with --context is as strong as an option. Where an option or a variable names another address, the context in use is left aside whole.`, helpWidth))
	fmt.Fprintln(w)
	for _, s := range Settings() {
		if s.Hidden || s.Env == "" {
			continue
		}
		names := ctlPrefix + s.Env
		if !s.OwnOnly {
			names += ", " + consulPrefix + s.Env
		}
		usage, _, _ := strings.Cut(strings.ReplaceAll(s.Usage, "`", ""), " (default")
		if !s.NoFlag {
			usage += " (--" + s.Name + ")"
		}
		definition(w, names, usage)
	}
	for _, v := range OtherVariables() {
		definition(w, v.Name, v.Meaning)
	}
}

func writeExitCodes(w io.Writer) {
	fmt.Fprint(w, wrap(`Exit codes are those of Consul's commands. Codes marked "detailed" are used with --exit-codes detailed or CTL_EXIT_CODES=detailed, and always by commands Consul does not have; without, these failures exit 1.`, helpWidth)+"\n\n")
	for _, c := range ExitCodes() {
		text := wrap(strings.ReplaceAll(c.Meaning, "`", ""), helpWidth-7)
		fmt.Fprintf(w, "  %3d  %s\n", c.Code, strings.ReplaceAll(text, "\n", "\n       "))
	}
}

// definition writes a term and, indented below it, what it means.
func definition(w io.Writer, term, meaning string) {
	fmt.Fprintf(w, "  %s\n      %s\n", term, strings.ReplaceAll(wrap(meaning, helpWidth-6), "\n", "\n      "))
}

const formatting = `Commands that show something have -o FORMAT; -format and --format are the same.

  pretty   what is shown without -o: the text of Consul's command, the same on
           a terminal and in a pipe
  table    a table, also where pretty is none
  wide     the table with all columns
  json     the answer of the HTTP API, names and all
  yaml     the same as YAML
  jsonl    a JSON object for every row, one a line
  name     what names a row, one a line
  go-template=TEMPLATE, go-template-file=FILE
           a Go template over the JSON; beside Go's own functions there are
           json, join SEPARATOR LIST, upper, lower and base64decode

--jq EXPRESSION filters the JSON in the language of jq, which need not be
installed; -o json need not be given. Every result is a line, text without
quotes; with -o json results are indented. With -o jsonl the expression is
applied to every row by itself, which needs no memory for all of them, and with
--watch to every new version. It has no access to files and to the environment.

With json, yaml and jsonl, errors are a JSON object on standard error, with
Class, Message, Status, Address, AddressFrom, Context and Hint.

Commands whose work can last show how far they are on standard error, if that
is a terminal. --progress json writes it there as a line of JSON every second,
whose last has Ended; --progress none writes nothing.

Reads with --watch go on: on a terminal the screen is painted anew with every
change; otherwise every change is a line of JSON.

Examples:
  ctl members -o wide
  ctl kv get -recurse -o jsonl config/
  ctl catalog nodes -o name
  ctl members --jq '.[] | select(.Status != 1) | .Name'
  ctl catalog services --jq keys
  ctl members -o go-template='{{range .}}{{.Name}} {{.Addr}}{{"\n"}}{{end}}'

Colour is for terminals: --color always|never|auto decides, then NO_COLOR,
CLICOLOR_FORCE and CLICOLOR. Nothing is said by colour alone.
`

const comingFromConsul = `Replace "consul" by "ctl": commands, options with one dash or two, CONSUL_*
variables, texts and exit codes are the same. Beyond that:

  -o and -format     every listing as table, wide, json, yaml, jsonl, name or
                     template ("ctl help formatting")
  contexts           name clusters, not variables ("ctl context")
  --dry-run, --yes   on every command that changes something
  --watch            on reads: show changes as they come
  exit codes         --exit-codes detailed tells failures apart
                     ("ctl help exit-codes")
  options anywhere   before the command and behind its arguments, too, except
                     where data follows ("kv put")

What differs on purpose:

  version            begins with ctl's own version; the version of Consul it is
                     compatible with has a line of its own
  kv put -base64     wrong base64 writes nothing
  kv import          all of it is checked before the first key is written
  kv delete -recurse needs its prefix; to delete all keys, ""
  unknown command    exits 127 as Consul's, and asks "did you mean"

The page docs/how-to/coming-from-consul.md has more: agents, configuration,
what is not there yet.
`
