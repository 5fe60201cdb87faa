# The local cluster: one etcd and three nodes, each remembered by a record in .atoll/run, so that only what was
# started here is ever stopped.
# shellcheck shell=bash

ATOLL_BIN=${ATOLL_BIN:-$ATOLL_ROOT/build/release/bin}
nodes=(n1 n2 n3)

# One `scripts/run` or `scripts/stop` at a time. Held until the script ends; what it starts closes the descriptor.
lock_cluster() {
  mkdir -p "$ATOLL_STATE/run" "$ATOLL_STATE/logs"
  exec 9>"$ATOLL_STATE/run/lock"
  flock -n 9 || {
    say "Another scripts/run or scripts/stop is at work here; waiting for it"
    flock 9
  }
}

# What tells a process from a later one of the same number.
_birth_of() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  stat=${stat##*) }
  # The 22nd field of the line, the 20th behind the name: the start, in ticks since boot.
  printf '%s %s\n' "$(cat /proc/sys/kernel/random/boot_id)" "$(awk '{print $20}' <<<"$stat")"
}

# start_process NAME COMMAND...: in a session of its own, its words in .atoll/logs/NAME.log.
start_process() {
  local name=$1 pid
  shift
  setsid "$@" >>"$ATOLL_STATE/logs/$name.log" 2>&1 </dev/null 9>&- &
  pid=$!
  disown "$pid"
  printf '%s %s\n' "$pid" "$(_birth_of "$pid")" >"$ATOLL_STATE/run/$name.pid"
}

# pid_of NAME: prints it and succeeds while the process that we started lives.
pid_of() {
  local pid birth
  read -r pid birth 2>/dev/null <"$ATOLL_STATE/run/$1.pid" || return 1
  [[ $(_birth_of "$pid") == "$birth" ]] || return 1
  # A zombie waits for its parent to notice; it runs no more.
  [[ $(awk '/^State:/ {print $2}' "/proc/$pid/status" 2>/dev/null) != Z ]] || return 1
  printf '%s\n' "$pid"
}

# wait_until SECONDS COMMAND...
wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.1
  done
}

# Ports: a set of ten for each node from 7850 on, the same for all while the cluster's first port stays; the etcd of
# the cluster takes two of the first ten. The first set that is free, and it is kept in .atoll/run/base_port.
_is_busy() { (: <>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

_ports_from() {
  local i
  for i in 0 10 20; do
    printf '%s\n' $(($1 + i)) $(($1 + i + 1)) $(($1 + i + 5))
  done
  printf '%s\n' $(($1 + 8)) $(($1 + 9))
}

choose_ports() {
  local base port busy
  for ((base = 7850; base < 8850; base += 30)); do
    busy=
    for port in $(_ports_from "$base"); do
      if _is_busy "$port"; then
        busy=$port
        break
      fi
    done
    if [[ -z $busy ]]; then
      echo "$base" >"$ATOLL_STATE/run/base_port"
      return 0
    fi
    say "Port $busy is busy; trying the next set"
  done
  die "no free set of ports from 7850 to 8850"
}

base_port() { cat "$ATOLL_STATE/run/base_port"; }
client_address() { echo "127.0.0.1:$(($(base_port) + 10 * (${1#n} - 1)))"; }
peer_address() { echo "127.0.0.1:$(($(base_port) + 10 * (${1#n} - 1) + 1))"; }
admin_address() { echo "127.0.0.1:$(($(base_port) + 10 * (${1#n} - 1) + 5))"; }
etcd_address() { echo "127.0.0.1:$(($(base_port) + 9))"; }
etcd_peer_address() { echo "127.0.0.1:$(($(base_port) + 8))"; }

_etcd_answers() {
  (
    exec 3<>"/dev/tcp/127.0.0.1/${1##*:}" && printf 'GET /health HTTP/1.0\r\n\r\n' >&3 && grep -q '"health":"true"' <&3
  ) 2>/dev/null
}

start_etcd() {
  start_process etcd "$1" --name local --data-dir "$ATOLL_STATE/etcd" --logger zap --log-level warn \
    --listen-client-urls "http://$(etcd_address)" --advertise-client-urls "http://$(etcd_address)" \
    --listen-peer-urls "http://$(etcd_peer_address)" --initial-advertise-peer-urls "http://$(etcd_peer_address)" \
    --initial-cluster "local=http://$(etcd_peer_address)"
  wait_until 20 _etcd_answers "$(etcd_address)" || {
    tail -n 20 "$ATOLL_STATE/logs/etcd.log" >&2
    die "etcd did not start; its words are above"
  }
}

start_node() {
  local name=$1
  rm -f "$ATOLL_STATE/run/$name.ports"
  start_process "$name" "$ATOLL_BIN/atolld" --node-name "$name" --etcd "$(etcd_address)" --data-dir "$ATOLL_STATE/$name" \
    --listen "client=$(client_address "$name")" --listen "peer=$(peer_address "$name")" \
    --listen "admin=$(admin_address "$name")" --ports-file "$ATOLL_STATE/run/$name.ports" \
    --memory 256MiB --initial-nodes "${#nodes[@]}"
}

_node_is_up_or_gone() { [[ -s $ATOLL_STATE/run/$1.ports ]] || ! pid_of "$1" >/dev/null; }

# wait_for_node NAME: until it takes calls.
wait_for_node() {
  wait_until 60 _node_is_up_or_gone "$1" && pid_of "$1" >/dev/null || {
    tail -n 20 "$ATOLL_STATE/logs/$1.log" >&2
    die "$1 did not start; the end of .atoll/logs/$1.log is above"
  }
}

cluster_endpoints() {
  local name list=()
  for name in "${nodes[@]}"; do list+=("$(client_address "$name")"); done
  (IFS=, && echo "${list[*]}")
}

_quoted() { printf "'%s'" "${1//\'/\'\\\'\'}"; }

# What `. .atoll/cluster.env` gives a shell, so that the programs need no flags.
write_cluster_env() {
  local name pids=() folders=() admins=()
  for name in "${nodes[@]}"; do
    pids+=("$(pid_of "$name" || echo 0)")
    folders+=("$ATOLL_STATE/$name")
    admins+=("$(admin_address "$name")")
  done
  {
    echo "# Written by scripts/run. Nodes stand in their order: ${nodes[*]}; a pid of 0 is a node that does not run."
    echo "export ATOLL_ENDPOINTS=$(cluster_endpoints)"
    echo "export ATOLL_NODE_PIDS='${pids[*]}'"
    echo "export ATOLL_NODE_ADMIN='${admins[*]}'"
    echo "export ATOLL_NODE_DATA=$(_quoted "$(IFS=: && echo "${folders[*]}")")"
    echo "export ATOLL_ETCD=$(etcd_address)"
    echo "export ATOLL_ETCD_PID=$(pid_of etcd || echo 0)"
  } >"$ATOLL_STATE/cluster.env.new"
  mv "$ATOLL_STATE/cluster.env.new" "$ATOLL_STATE/cluster.env"
}

# The CLI on the local cluster.
atoll() { ATOLL_ENDPOINTS=$(cluster_endpoints) "$ATOLL_BIN/atoll" "$@" 9>&-; }

# wait_until_healthy SECONDS: every node up, every partition with all of its copies.
wait_until_healthy() {
  say "waiting until every partition has its copies"
  atoll health --replicated --nodes "${#nodes[@]}" --wait "$1s" --output raw >"$ATOLL_STATE/logs/health.log" 2>&1 && return 0
  cat "$ATOLL_STATE/logs/health.log" >&2
  die "the cluster is not healthy after $1 s; logs are in .atoll/logs"
}

# True while all of it runs, and runs the programs as they are built now.
cluster_runs() {
  local name pid
  pid_of etcd >/dev/null || return 1
  for name in "${nodes[@]}"; do
    pid=$(pid_of "$name") || return 1
    [[ /proc/$pid/exe -ef $ATOLL_BIN/atolld ]] || return 1
  done
}

_is_gone() { ! pid_of "$1" >/dev/null; }

# _stop SECONDS NAME...: SIGTERM to all at once, and SIGKILL to what outlives the time.
_stop() {
  local seconds=$1 name pid
  shift
  for name in "$@"; do
    pid=$(pid_of "$name") || continue
    say "stopping $name (pid $pid)"
    kill -TERM "$pid" 2>/dev/null || true
  done
  for name in "$@"; do
    if ! wait_until "$seconds" _is_gone "$name"; then
      pid=$(pid_of "$name") || continue
      warn "$name did not stop within $seconds s and is killed: what it had not written is lost"
      kill -KILL "$pid" 2>/dev/null || true
      wait_until 10 _is_gone "$name" || true
    fi
    rm -f "$ATOLL_STATE/run/$name.pid" "$ATOLL_STATE/run/$name.ports"
  done
}

# Nodes before etcd: they hand over their roles and write that they stopped cleanly.
stop_cluster() {
  _stop 45 "${nodes[@]}"
  _stop 15 etcd
  rm -f "$ATOLL_STATE/cluster.env"
}
