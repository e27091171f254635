#!/bin/sh
# usage: run by the package manager before removal (not before an upgrade): stops the agent.
set -e
case "${1:-}" in
  remove|0) if [ -d /run/systemd/system ]; then systemctl --no-reload disable --now ctl.service || true; fi ;;
esac
