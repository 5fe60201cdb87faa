// One arc's entries: the index, and what replication said of it.
//
// Thread safety: guarded by `mu`. Lock order: cleaner, partition, shard, pools.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/brief_lock.h"
#include "base/ids.h"
#include "server/store/index.h"
#include "server/store/store.h"
#include "server/store/tombstones.h"

namespace atoll::store {

class Shard;

struct alignas(64) Partition {
  // Few partitions have any: kept apart, so that 4096 empty ones are small.
  struct Memory {
    explicit Memory(TombstoneBudget* budget) : tombstones(budget) {}
    Tombstones tombstones;
    // The greatest version among deletions that were forgotten before they were committed, for want
    // of room. Until it is committed, any key without an entry may have been deleted by it.
    base::Version forgotten;
    absl::flat_hash_map<base::NamespaceId, base::Version> flushes;
    std::vector<Warmed> warmed;
  };

  // All that a look-up which finds its key touches is one line.
  mutable base::BriefLock mu;
  bool open ABSL_GUARDED_BY(mu) = false;
  bool retain_tombstones ABSL_GUARDED_BY(mu) = false;
  bool note_warmed ABSL_GUARDED_BY(mu) = false;
  std::unique_ptr<Memory> memory ABSL_GUARDED_BY(mu);
  uint64_t hits ABSL_GUARDED_BY(mu) = 0;
  Index index ABSL_GUARDED_BY(mu);
  uint64_t misses ABSL_GUARDED_BY(mu) = 0;
  Shard* shard ABSL_GUARDED_BY(mu) = nullptr;  // set when it is first opened
  base::Version committed ABSL_GUARDED_BY(mu);
  int64_t charged_bytes ABSL_GUARDED_BY(mu) = 0;  // to the arena: what is on the heap
  uint64_t live_bytes ABSL_GUARDED_BY(mu) = 0;
  uint64_t evictions ABSL_GUARDED_BY(mu) = 0;
  uint64_t expirations ABSL_GUARDED_BY(mu) = 0;
};

#ifndef ATOLL_OBSERVE_LOCKS
static_assert(sizeof(Partition) == 128);
#endif

}  // namespace atoll::store
