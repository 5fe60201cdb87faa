// Gives replication the warm tier as it asks for it.
//
// Thread safety: all methods. The tier outlives it.
#pragma once

#include <utility>
#include <vector>

#include "server/replication/disk_tier.h"
#include "server/warm/warm_tier.h"

namespace atoll::server {

class WarmDisk final : public replication::DiskTier {
 public:
  explicit WarmDisk(warm::WarmTier* tier) : tier_(tier) {}

  void Load(base::PartitionId partition, uint32_t reset_epoch, LoadDone done) override {
    tier_->Load(partition, reset_epoch,
                [done = std::move(done)](absl::StatusOr<warm::DiskCopy> copy) mutable {
                  if (!copy.ok()) return done(copy.status());
                  done(replication::CopyState{.partition = copy->partition,
                                              .epoch = copy->epoch,
                                              .history = copy->history,
                                              .reset_epoch = copy->reset_epoch,
                                              .last_sequence = copy->last_sequence});
                });
  }
  void Drop(base::PartitionId partition) override { tier_->Drop(partition); }

  // Those that are fit to be revived: what a clean stop leaves on disk.
  static std::vector<warm::DiskCopy> InSync(const std::vector<replication::CopyState>& copies) {
    std::vector<warm::DiskCopy> fit;
    for (const replication::CopyState& copy : copies) {
      if (copy.in_sync) {
        fit.push_back(
            {copy.partition, copy.epoch, copy.history, copy.reset_epoch, copy.last_sequence});
      }
    }
    return fit;
  }

 private:
  warm::WarmTier* const tier_;
};

}  // namespace atoll::server
