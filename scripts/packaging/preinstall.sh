#!/bin/sh
# usage: run by the package manager before the files are laid down: the ctl user and group.
set -e
getent group ctl >/dev/null || groupadd --system ctl
getent passwd ctl >/dev/null ||
  useradd --system --gid ctl --home-dir /var/lib/ctl --no-create-home --shell /usr/sbin/nologin ctl
