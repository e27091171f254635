#!/usr/bin/env bash
# usage: go list ./... | scripts/except.sh [-only] PATTERN...
# Drops (or, with -only, keeps) the packages under the ./dir/... patterns.
set -euo pipefail
only=
if [ "${1:-}" = -only ]; then only=1; shift; fi
expr=
for p in "$@"; do
  p=${p#.}; p=${p%/...}
  expr="$expr${expr:+|}$p(/|\$)"
done
if [ -n "$only" ]; then grep -E -- "$expr"; else grep -vE -- "$expr"; fi
