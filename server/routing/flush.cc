// Router::Flush: every partition of a namespace, on every node. Atomic per partition only.

#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "base/mutex.h"
#include "base/status.h"
#include "server/routing/router.h"

namespace atoll::routing {
namespace {

using FlushDone = absl::AnyInvocable<void(absl::StatusOr<uint32_t>)>;

// Adds up what several parts answer; the first failure is the answer.
class Sum {
 public:
  Sum(size_t parts, FlushDone done) : missing_(parts), done_(std::move(done)) {}

  void Add(absl::StatusOr<uint32_t> part) ABSL_LOCKS_EXCLUDED(mu_) {
    FlushDone done;
    absl::StatusOr<uint32_t> answer = 0u;
    {
      base::MutexLock lock(mu_);
      if (part.ok()) {
        total_ += *part;
      } else if (failure_.ok()) {
        failure_ = part.status();
      }
      if (--missing_ > 0) return;
      done = std::move(done_);
      if (failure_.ok()) {
        answer = total_;
      } else {
        answer = base::WithReason(
            absl::Status(failure_.code(),
                         absl::StrCat(failure_.message(), "; flushed ", total_, " of ",
                                      base::kPartitionCount, " partitions")),
            base::Reason(failure_));
      }
    }
    done(std::move(answer));
  }

 private:
  base::Mutex mu_;
  size_t missing_ ABSL_GUARDED_BY(mu_);
  uint32_t total_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Status failure_ ABSL_GUARDED_BY(mu_);
  FlushDone done_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

void Router::FlushHere(const cluster::NamespacePtr& ns, absl::Duration deadline, FlushDone done) {
  const cluster::MapPtr map = view_->map();
  std::vector<base::PartitionId> ours;
  for (size_t p = 0; p < map->partitions.size(); ++p) {
    if (map->partitions[p].primary == view_->self()) {
      ours.emplace_back(static_cast<uint16_t>(p));
    }
  }
  if (ours.empty()) return done(0u);
  auto sum = std::make_shared<Sum>(ours.size(), std::move(done));
  for (const base::PartitionId partition : ours) {
    replicator_->Flush(partition, ns->id, deadline, [sum](absl::Status status) {
      if (status.ok()) return sum->Add(1u);
      sum->Add(std::move(status));
    });
  }
}

void Router::Flush(const cluster::NamespacePtr& ns, Hop hop, absl::Duration deadline,
                   FlushDone done) {
  if (hop == Hop::kLast) return FlushHere(ns, deadline, std::move(done));
  const cluster::MapPtr map = view_->map();
  absl::flat_hash_set<uint64_t> primaries;
  for (const ring::Placement& placement : map->partitions) {
    if (placement.primary.value() != 0) primaries.insert(placement.primary.value());
  }
  std::vector<ring::Member> nodes;
  for (const ring::Member& member : map->members) {
    if (primaries.contains(member.incarnation.value())) nodes.push_back(member);
  }
  if (nodes.empty()) {
    return done(base::WithReason(absl::UnavailableError("no node owns a partition now"),
                                 base::reason::kNoPrimary));
  }
  // A partition that moved meanwhile may have been missed by its old owner and its new one: then
  // fewer were flushed than there are, and everything is flushed once more.
  auto all = [this, ns, hop, deadline,
              done = std::move(done)](absl::StatusOr<uint32_t> total) mutable {
    if (!total.ok()) return done(std::move(total));
    if (*total >= base::kPartitionCount) return done(base::kPartitionCount);
    const absl::Duration pause = absl::Milliseconds(50);
    if (base::Clock::Real().BootTime() + pause >= deadline || stopped_.load()) {
      return done(
          base::WithReason(absl::UnavailableError(absl::StrCat(
                               "flushed ", *total, " of ", base::kPartitionCount, " partitions")),
                           base::reason::kNoPrimary));
    }
    auto shared = std::make_shared<FlushDone>(std::move(done));
    const uint64_t timer = timers_->After(
        pause, [this, ns, hop, deadline, shared] { Flush(ns, hop, deadline, std::move(*shared)); });
    if (timer == 0) (*shared)(absl::UnavailableError("this node is stopping"));
  };
  auto sum = std::make_shared<Sum>(nodes.size(), std::move(all));
  for (const ring::Member& node : nodes) {
    auto add = [sum](absl::StatusOr<uint32_t> part) { sum->Add(std::move(part)); };
    if (node.incarnation == view_->self()) {
      FlushHere(ns, deadline, add);
    } else if (forwarder_ != nullptr) {
      forwarder_->Flush(node, ns, deadline, add);
    } else {
      add(absl::UnavailableError("there is no way to other nodes"));
    }
  }
}

}  // namespace atoll::routing
