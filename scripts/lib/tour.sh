# What scripts/run shows of a healthy cluster: real commands, real output.
# shellcheck shell=bash

# shown COMMAND...: prints it as one would type it, and runs it.
shown() {
  local word line=
  for word in "$@"; do
    if [[ $word =~ ^[A-Za-z0-9_./:=,-]+$ ]]; then line+=" $word"; else line+=" $(_quoted "$word")"; fi
  done
  printf '%s    $%s%s\n' "$_bold" "$line" "$_off" >&2
  "$@" 2>&1 | sed 's/^/    /' >&2
}

show_tour() {
  local victim=n2 pid
  step "Values"
  shown atoll set greeting "hello from $(date +%H:%M:%S)" --ttl 1h
  shown atoll get greeting
  shown atoll mset fruit:1 apple fruit:2 banana fruit:3 cherry
  shown atoll mget fruit:1 fruit:2 fruit:3
  shown atoll explain greeting

  step "The cluster"
  shown atoll stats
  shown atoll ring

  pid=$(pid_of "$victim")
  step "Killing $victim (kill -9 $pid): what was acknowledged has a second copy"
  kill -KILL "$pid"
  wait_until 10 _is_gone "$victim" || true
  shown atoll mget fruit:1 fruit:2 fruit:3 --timeout 20s
  shown atoll get greeting --timeout 20s

  step "Restarting $victim"
  start_node "$victim"
  wait_for_node "$victim"
  wait_until_healthy 90
  write_cluster_env
  good "healthy again: every partition has its copies"

  step "A real request trace through the client library, every value checked"
  ATOLL_ENDPOINTS=$(cluster_endpoints) shown "$ATOLL_BIN/atoll-bench" replay \
    "$ATOLL_ROOT/bench/traces/cache2k_web07.trace.xz"
}
