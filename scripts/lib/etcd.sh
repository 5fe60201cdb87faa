# The etcd that a local cluster and the tests use: found, never installed.
# shellcheck shell=bash

# find_etcd: prints the path. First what was asked for, then the machine's own, else Debian's, unpacked.
find_etcd() {
  if [[ -n ${ATOLL_ETCD_BINARY:-} ]]; then
    [[ -x $ATOLL_ETCD_BINARY ]] || die -2 "ATOLL_ETCD_BINARY: $ATOLL_ETCD_BINARY cannot be run"
    printf '%s\n' "$ATOLL_ETCD_BINARY"
  elif command -v etcd >/dev/null; then
    command -v etcd
  else
    unpack_program usr/bin/etcd etcd-server
  fi
}
