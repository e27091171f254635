#!/usr/bin/env bash
# usage: scripts/check-generated.sh      runs go generate and fails if it changed a file.
# Compares with the working tree, not with the last commit, so it can be used at any time.
set -euo pipefail
cd "$(dirname "$0")/.."
sums() { git ls-files -co --exclude-standard -z | xargs -0 sha256sum 2>/dev/null | sort -k2; }
before=$(mktemp) after=$(mktemp)
trap 'rm -f "$before" "$after"' EXIT
sums >"$before"
go generate ./...
sums >"$after"
if ! diff "$before" "$after" >/dev/null; then
  echo "these files are not what go generate writes (they are up to date now; commit them):" >&2
  diff "$before" "$after" | awk '/^[<>]/{print "  " $3}' | sort -u >&2
  exit 1
fi
