#!/usr/bin/env bash
# usage: scripts/demo.sh      three servers and a client on 127.0.0.2 to 127.0.0.5.
# Starts them from configs/cluster, waits for a leader, says what to try, stops all on Ctrl-C.
# CTL names the binary (default bin/ctl); DEMO_DIR keeps data and logs there instead of a
# temporary directory; DEMO_ONCE=1 stops again as soon as the cluster serves.
set -euo pipefail
cd "$(dirname "$0")/.."
ctl=${CTL:-bin/ctl}
ctl=$(cd "$(dirname "$ctl")" && pwd)/$(basename "$ctl")
[ -x "$ctl" ] || { echo "no binary at $ctl: run make build first" >&2; exit 1; }

agents=(server1 server2 server3 client)
addresses=(127.0.0.2 127.0.0.3 127.0.0.4 127.0.0.5)
if [ "$(uname -s)" = Darwin ]; then
  for a in "${addresses[@]}"; do
    ifconfig lo0 | grep -q "inet $a " || { echo "on macOS first run: for i in 2 3 4 5; do sudo ifconfig lo0 alias 127.0.0.\$i; done" >&2; exit 1; }
  done
fi

dir=${DEMO_DIR:-}
if [ -z "$dir" ]; then dir=$(mktemp -d "${TMPDIR:-/tmp}/ctl-demo.XXXXXX"); temporary=1; fi
mkdir -p "$dir"

pids=()
stop() {
  trap - INT TERM EXIT
  echo; echo "stopping"
  # Servers last: the client leaves while there is a cluster to leave.
  for ((i=${#pids[@]}-1; i>=0; i--)); do kill -TERM "${pids[$i]}" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  if [ -n "${temporary:-}" ]; then rm -rf "$dir"; fi
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

for name in "${agents[@]}"; do
  mkdir -p "$dir/$name"
  "$ctl" agent -config-dir "configs/cluster/$name" -data-dir "$dir/$name/data" -log-file "$dir/$name/log/" >"$dir/$name.out" 2>&1 &
  pids+=($!)
done

echo -n "waiting for a leader "
deadline=$((SECONDS + 30))
until "$ctl" kv put -http-addr="http://${addresses[3]}:8500" demo/ready yes >/dev/null 2>&1; do
  for i in "${!pids[@]}"; do
    if ! kill -0 "${pids[$i]}" 2>/dev/null; then
      echo; echo "${agents[$i]} stopped; its output:" >&2; tail -n 20 "$dir/${agents[$i]}.out" >&2; exit 1
    fi
  done
  if [ $SECONDS -ge $deadline ]; then echo; echo "no leader after 30 s; logs are in $dir" >&2; unset temporary; exit 1; fi
  echo -n .; sleep 0.2
done
echo " ready"
"$ctl" members -http-addr="http://${addresses[3]}:8500"

if [ -n "${DEMO_ONCE:-}" ]; then exit 0; fi

cat <<TEXT

Four agents run: servers on 127.0.0.2, .3 and .4, a client on 127.0.0.5.
In another terminal:

  export CTL_HTTP_ADDR=http://127.0.0.5:8500       # talk to the client agent
  $ctl members                                     # who is here
  $ctl operator raft list-peers                    # who leads
  $ctl kv put greeting hello                       # write through the client
  $ctl kv get -http-addr=http://127.0.0.3:8500 greeting
                                                   # read it at a server
  $ctl monitor                                     # follow the log

Watch the cluster survive: kill -9 one of ${pids[*]:0:3}, then read and write again.
Logs: $dir/*.out        Ctrl-C stops everything.
TEXT
wait
