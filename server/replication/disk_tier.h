// What replication asks of the warm tier: to bring a partition's copy back from disk, and to forget
// it. Implemented in warm/, which starts no use of a copy on its own word (R7, R9).
//
// Thread safety: methods may be called by any thread. They must not call back into the replicator
// but by `done`, and must not block on disk: the caller is the thread that delivers maps.
#pragma once

#include <cstdint>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "base/ids.h"

namespace atoll::replication {

// What a copy is; what is written beside it on disk at a clean stop.
struct CopyState {
  base::PartitionId partition;
  base::Epoch epoch;
  uint64_t history = 0;
  uint32_t reset_epoch = 0;
  uint64_t last_sequence = 0;
  bool primary = false;
  // Of a member of the ISR that has all of it in memory: fit to be revived.
  bool in_sync = false;
};

class DiskTier {
 public:
  virtual ~DiskTier() = default;

  // This node was given the partition with nobody else's memory to copy from (R9). Puts the
  // entries of the copy on disk into the store, each with the version that it has, and tells what
  // the copy is. The partition is open, empty, and gets no other writes until `done`, which is
  // called once, on any thread. NOT_FOUND: no copy, or one of another `reset_epoch`, which is then
  // dropped; the partition starts empty. Another error is logged and treated the same.
  using LoadDone = absl::AnyInvocable<void(absl::StatusOr<CopyState>)>;
  virtual void Load(base::PartitionId partition, uint32_t reset_epoch, LoadDone done) = 0;

  // The copy on disk is worth nothing any more: the process's own is in sync, or the partition was
  // reset or has left this node.
  virtual void Drop(base::PartitionId partition) = 0;
};

}  // namespace atoll::replication
