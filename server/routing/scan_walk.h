// A page of a walk through the partitions. Private to this folder.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "server/routing/router.h"

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

// Asks the owners of several partitions at once, more of them the emptier they are, and takes whole
// answers in order until the page is full; what was asked too much is dropped. So a cluster of few
// keys is walked in tens of round trips, not in thousands.
class Router::ScanWalk : public std::enable_shared_from_this<ScanWalk> {
 public:
  ScanWalk(Router* router, const v1::ScanRequest& request, cluster::NamespacePtr ns,
           absl::Duration deadline, v1::ScanResponse* response,
           absl::AnyInvocable<void(absl::Status)> done);
  void Run();

  // Walks partitions of this node from `cursor` on, until the page is full or a partition is not
  // ours. Fails only if the first one is not.
  static absl::Status Here(Router* router, const v1::ScanRequest& request,
                           const cluster::NamespacePtr& ns, ScanCursor cursor, bool one_partition,
                           v1::ScanResponse* response);

 private:
  struct Part {
    v1::ScanResponse response;
    absl::Status status;
  };
  void Ask(size_t index, ScanCursor cursor);
  void OnPart();
  // Takes the answers in order; what the page's end is, or nothing if the walk goes on.
  void Take();
  void Finish(absl::Status status);

  Router* const router_;
  const v1::ScanRequest& request_;
  const cluster::NamespacePtr ns_;
  const absl::Duration deadline_;
  const absl::Duration soft_deadline_;
  const uint32_t limit_;
  v1::ScanResponse* const response_;
  absl::AnyInvocable<void(absl::Status)> done_;
  ScanCursor cursor_;
  size_t bytes_ = 0;
  size_t window_ = 1;
  std::vector<Part> parts_;
  // Acquire and release: the last to finish sees what all others wrote.
  std::atomic<size_t> missing_{0};
};

}  // namespace atoll::routing
