#!/usr/bin/env bash
# usage: scripts/fuzz.sh [NAME...]      fuzzes the targets of these names, or all, one after the other.
# FUZZTIME is the time of each (default 1m, or a number of executions as 100000x). What is found stands in testdata/fuzz of
# its package and is a test from then on. Ends with the number of executions, and with 1 if anything was found.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
go=${GO:-go}
total=0 failed=0
while IFS=: read -r file _ line; do
  target=${line#func } target=${target%%(*}
  [ $# -eq 0 ] || [[ " $* " == *" $target "* ]] || continue
  log=$(mktemp)
  "$go" test "./$(dirname "$file")" -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-1m}" >"$log" 2>&1 || failed=1
  execs=$(grep -o 'execs: [0-9]*' "$log" | tail -1 | cut -d' ' -f2)
  total=$((total + ${execs:-0}))
  printf '%-55s %s\n' "$(dirname "$file") $target" "${execs:-0} executions"
  grep -vE '^fuzz: elapsed|^PASS|^ok ' "$log"
  rm -f "$log"
done < <(grep -rn --include='*_test.go' '^func Fuzz' internal cmd)
echo "$total executions"
exit $failed
