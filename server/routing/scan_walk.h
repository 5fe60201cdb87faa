// A page of a walk through the partitions. Private to this folder.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/routing/router.h"
#include "server/routing/scan_turns.h"

namespace atoll::routing {

// Where a walk stands: big endian partition (2 bytes) and hash (8 bytes); empty at the start and at
// the end.
struct ScanCursor {
  uint32_t partition = 0;
  uint64_t hash = 0;

  static bool Parse(std::string_view text, ScanCursor* out);
  // Empty behind the last partition.
  std::string Text() const;
};

// A page of partitions of this node, from a cursor on, until it is full, its time is over, or a
// partition is not ours. Fails only if the first one is not.
class Router::PageHere {
 public:
  // `response` is filled, and lives as long as this. `limit` entries at most; `one_partition`: the
  // page ends with the first.
  PageHere(Router* router, const ScanCall& call, uint32_t limit, ScanCursor cursor,
           bool one_partition, v1::ScanResponse* response);
  // One page of the store. Whether this page is complete, or has failed.
  bool Step();
  // Complete as it is.
  void Cut();
  const absl::Status& status() const { return status_; }

 private:
  Router* const router_;
  const ScanCall& call_;
  const uint32_t limit_;
  const bool one_partition_;
  v1::ScanResponse* const response_;
  ScanCursor cursor_;
  size_t bytes_ = 0;
  bool first_ = true;  // no partition was walked to its end
  absl::Status status_;
};

// The page of a scan at its last hop.
class Router::LastHopScan final : public ScanTurns::Walk {
 public:
  LastHopScan(Router* router, ScanCall call, ScanCursor cursor, ScanDone done);
  bool Step() override;
  void End(absl::Status status) override;

 private:
  Router* const router_;
  const ScanCall call_;
  PageHere page_;
  // From the first turn on.
  absl::Duration page_end_ = absl::InfiniteDuration();
  absl::Status status_;
  ScanDone done_;
};

// Asks the owners of several partitions at once, more of them the emptier they are, and takes whole
// answers in order until the page is full; what was asked too much is dropped. So a cluster of few
// keys is walked in tens of round trips, not in thousands. Partitions of this node are walked by
// turns, one after the other.
class Router::ScanWalk : public ScanTurns::Walk, public std::enable_shared_from_this<ScanWalk> {
 public:
  // Counted in the router's `pages_` already.
  ScanWalk(Router* router, ScanCall call, ScanDone done);
  // UNAVAILABLE for a walk whose next attempt was dropped.
  ~ScanWalk() override;
  void Run();

  // --- ScanTurns::Walk: this node's parts ---
  bool Step() override;
  void End(absl::Status status) override;

 private:
  struct Part {
    v1::ScanResponse response;
    absl::Status status;
    bool here = false;
    ScanCursor from;
  };
  void Ask(size_t index, const ring::PlacementMap& map);
  void OnPart();
  // Takes the answers in order; what the page's end is, or nothing if the walk goes on.
  void Take();
  void Finish(absl::Status status);
  // Whether a part's answer ends where the next one's begins.
  static bool IsWhole(const Part& part);

  Router* const router_;
  const ScanCall call_;
  absl::Duration page_end_;  // if it has turns: from the first of them on
  const uint32_t limit_;
  ScanDone done_;
  ScanCursor cursor_;
  size_t bytes_ = 0;
  size_t window_ = 1;
  std::vector<Part> parts_;
  // Of the parts that are here: the one whose turn it is.
  size_t here_ = 0;
  std::optional<PageHere> page_;
  bool had_turns_ = false;
  // Acquire and release: the last to finish sees what all others wrote.
  std::atomic<size_t> missing_{0};
};

}  // namespace atoll::routing
