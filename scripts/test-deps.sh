#!/usr/bin/env bash
# usage: scripts/test-deps.sh      makes sure the tools that tests call are there.
# Network namespaces (ip, bridge) for isolating servers; strace for stalling a disk; dig to ask DNS; git for the generated-files check; openssl as the second opinion on certificates; zsh and fish beside bash, whose completion is tried; shellcheck for the scripts here.
# MariaDB, HAProxy and dnsmasq for the tests with programs that others wrote; their services are not started.
set -euo pipefail
[ "$(uname -s)" = Linux ] || exit 0
declare -A package=([dig]=dnsutils [ip]=iproute2 [bridge]=iproute2 [tc]=iproute2 [git]=git [openssl]=openssl [shellcheck]=shellcheck [strace]=strace [tmux]=tmux [zsh]=zsh [fish]=fish
  [mariadbd]=mariadb-server [mariadb]=mariadb-client [haproxy]=haproxy [dnsmasq]=dnsmasq-base)
missing=()
for tool in "${!package[@]}"; do
  command -v "$tool" >/dev/null || [ -x "/usr/sbin/$tool" ] || [ -x "/sbin/$tool" ] || missing+=("${package[$tool]}")
done
[ ${#missing[@]} -eq 0 ] && exit 0
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "tests want these packages, which this user cannot install: ${missing[*]}" >&2
  [ "${CI:-}" = true ] && exit 1
  exit 0
fi
# Packages ask this file whether their service may be started.
if [ ! -e /usr/sbin/policy-rc.d ]; then
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
  chmod +x /usr/sbin/policy-rc.d
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
