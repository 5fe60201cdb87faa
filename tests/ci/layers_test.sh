#!/usr/bin/env bash
# The layer check refuses what it should, and nothing else: each case is a tree of one file.
#   layers_test.sh PATH_OF_THE_CHECK
set -euo pipefail
check=$1
failures=0

# expect OUTCOME FILE INCLUDE
expect() {
  local outcome=$1 file=$2 include=$3 tree actual=allowed
  tree=$(mktemp -d)
  mkdir -p "$tree/$(dirname "$file")"
  printf '#include %s\n' "$include" >"$tree/$file"
  "$check" "$tree" >/dev/null 2>&1 || actual=refused
  rm -rf "$tree"
  if [[ $actual != "$outcome" ]]; then
    echo "FAILED: $file including $include was $actual, expected: $outcome"
    failures=$((failures + 1))
  fi
}

expect allowed base/a.h '"base/clock.h"'
expect refused base/a.h '"ring/hash_ring.h"'
expect refused base/a.h '"atoll/v1/cache.pb.h"'
expect allowed ring/a.cc '"atoll/v1/topology.pb.h"'
expect refused ring/a.cc '"rpc/channel.h"'
expect allowed server/cluster/a.cc '"ring/placement_map.h"'
expect refused server/cluster/a.cc '"server/store/store.h"'
expect refused server/store/a.cc '"server/cluster/cluster_view.h"'
expect refused server/store/a.cc '<rocksdb/db.h>'
expect allowed server/warm/a.cc '<rocksdb/db.h>'
expect allowed server/replication/a.cc '"server/store/store.h"'
expect refused server/replication/a.cc '"server/routing/router.h"'
expect allowed server/routing/a.cc '"server/replication/replicator.h"'
expect refused server/routing/a.cc '"server/service/cache_service.h"'
expect allowed server/service/a.cc '"server/routing/router.h"'
expect refused server/service/a.cc '"server/node.h"'
expect allowed server/node.cc '"server/service/cache_service.h"'
expect refused server/node.cc '"client/router.h"'
expect refused client/a.cc '"server/node.h"'
expect refused client/a.cc '"atoll/internal/v1/peer.pb.h"'
expect allowed client/a.cc '"atoll/client.h"'
expect refused client/include/atoll/client.h '<grpcpp/grpcpp.h>'
expect allowed client/include/atoll/client.h '<grpcpp/security/credentials.h>'
expect refused client/include/atoll/client.h '"base/clock.h"'
expect allowed cli/a.cc '"atoll/client.h"'
expect refused cli/a.cc '"ring/hash_ring.h"'
expect refused cli/a.cc '"atoll/v1/cache.pb.h"'
expect allowed tests/cli/a.cc '"server/node.h"'
expect allowed server/cluster/a.cc '<vector>'

((failures == 0)) && echo "layers: every case as expected"
exit $((failures > 0))
