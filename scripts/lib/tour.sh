# What scripts/run shows of a healthy cluster: real commands, real output.
# shellcheck shell=bash

# The bench program on the local cluster.
atoll-bench() { ATOLL_ENDPOINTS=$(cluster_endpoints) "$ATOLL_BIN/atoll-bench" "$@" 9>&-; }

# shown COMMAND...: prints it as one would type it, and runs it. Its progress bar is left to a terminal.
shown() {
  local word line=
  for word in "$@"; do
    if [[ $word =~ ^[A-Za-z0-9_./:=,-]+$ ]]; then line+=" $word"; else line+=" $(_quoted "$word")"; fi
  done
  printf '\n%s    $%s%s\n' "$_bold" "$line" "$_off" >&2
  if [[ $1 == atoll ]]; then
    ATOLL_OUTPUT=table "$@" 2>&1 | sed 's/^/    /' >&2
  else
    (cd "$ATOLL_ROOT" && "$@") >&2
  fi
}

show_tour() {
  local victim pid
  step "Values"
  shown atoll set greeting "hello from $(date +%H:%M:%S)" --ttl 1h
  shown atoll get greeting
  shown atoll mset fruit:1 apple fruit:2 banana fruit:3 cherry
  shown atoll mget fruit:1 fruit:2 fruit:3
  shown atoll explain greeting

  step "The cluster"
  shown atoll stats
  shown atoll ring

  # The node that owns the greeting.
  victim=$(atoll explain greeting --output raw | awk '$1 == "primary" {print $2}')
  pid=$(pid_of "$victim")
  step "Killing $victim, the owner of greeting (kill -9 $pid): what was acknowledged has a second copy"
  kill -KILL "$pid"
  wait_until 10 _is_gone "$victim" || true
  shown atoll get greeting --timeout 20s
  shown atoll mget fruit:1 fruit:2 fruit:3 --timeout 20s

  step "Restarting $victim"
  start_node "$victim"
  wait_for_node "$victim"
  wait_until_healthy 90
  write_cluster_env
  good "healthy again: every partition has its copies"

  step "A real request trace through the client library, every value checked"
  shown atoll-bench replay bench/traces/cache2k_web07.trace.xz
}
