#include "server/routing/scan_walk.h"

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "rpc/status.h"
#include "server/routing/attempt.h"
#include "server/routing/wire.h"

namespace atoll::routing {
namespace {

constexpr uint32_t kDefaultLimit = 1000;
constexpr size_t kPageBytes = size_t{1} << 20;
constexpr size_t kWidestWindow = 64;
constexpr size_t kCursorBytes = 10;
// A page is answered after so long even if it is not full: an empty cluster is walked in several.
constexpr absl::Duration kPageTime = absl::Milliseconds(200);
constexpr absl::Duration kPause = absl::Milliseconds(20);

uint32_t LimitOf(const v1::ScanRequest& request) {
  return request.limit() == 0 ? kDefaultLimit : request.limit();
}

// Whether anybody waits for the page any more.
absl::Status StillAsked(const ScanCall& call, absl::Duration now) {
  if (now >= call.deadline) return absl::DeadlineExceededError("deadline exceeded");
  if (call.cancelled != nullptr && call.cancelled->load(std::memory_order_relaxed)) {
    return absl::CancelledError("the caller has gone");
  }
  return absl::OkStatus();
}

}  // namespace

bool ScanCursor::Parse(std::string_view text, ScanCursor* out) {
  *out = ScanCursor{};
  if (text.empty()) return true;
  if (text.size() != kCursorBytes) return false;
  uint64_t head = 0;
  for (size_t i = 0; i < 2; ++i) head = head << 8 | static_cast<unsigned char>(text[i]);
  for (size_t i = 2; i < kCursorBytes; ++i) {
    out->hash = out->hash << 8 | static_cast<unsigned char>(text[i]);
  }
  out->partition = static_cast<uint32_t>(head);
  return out->partition < base::kPartitionCount;
}

std::string ScanCursor::Text() const {
  std::string text;
  if (partition >= base::kPartitionCount) return text;
  for (int shift = 8; shift >= 0; shift -= 8) text.push_back(static_cast<char>(partition >> shift));
  for (int shift = 56; shift >= 0; shift -= 8) text.push_back(static_cast<char>(hash >> shift));
  return text;
}

absl::Status Router::CheckCursor(std::string_view cursor) {
  ScanCursor ignored;
  if (ScanCursor::Parse(cursor, &ignored)) return absl::OkStatus();
  return base::InvalidArgument("cursor", "not one that a scan gave");
}

void Router::Scan(ScanCall call, ScanDone done) {
  ScanCursor cursor;
  if (!ScanCursor::Parse(call.request.cursor(), &cursor)) {
    return done(CheckCursor(call.request.cursor()));
  }
  if (call.hop == Hop::kLast) {
    scans_.Add(std::make_shared<LastHopScan>(this, std::move(call), cursor, std::move(done)),
               /*again=*/false);
    return;
  }
  if (pages_.fetch_add(1, std::memory_order_relaxed) >= scan_limits_.most_pages) {
    pages_.fetch_sub(1, std::memory_order_relaxed);
    return done(base::Overloaded(
        absl::StrCat("too many scans under way, limit ", scan_limits_.most_pages)));
  }
  std::make_shared<ScanWalk>(this, std::move(call), std::move(done))->Run();
}

Router::PageHere::PageHere(Router* router, const ScanCall& call, uint32_t limit, ScanCursor cursor,
                           bool one_partition, v1::ScanResponse* response)
    : router_(router),
      call_(call),
      limit_(limit),
      one_partition_(one_partition),
      response_(response),
      cursor_(cursor) {}

void Router::PageHere::Cut() { response_->set_cursor(cursor_.Text()); }

bool Router::PageHere::Step() {
  const base::PartitionId partition(static_cast<uint16_t>(cursor_.partition));
  store::ScanOptions options;
  options.max_entries =
      std::min<size_t>(256, limit_ - static_cast<uint32_t>(response_->entries_size()));
  options.max_bytes = kPageBytes - bytes_;
  options.with_values = call_.request.with_values();
  options.ns = call_.ns->id;
  options.prefix = call_.request.prefix();
  const absl::StatusOr<store::ScanChunk> chunk =
      router_->replicator_->Scan(partition, cursor_.hash, options);
  if (!chunk.ok()) {
    if (first_) {
      status_ = router_->WithPlacement(chunk.status(), partition);
    } else {
      Cut();
    }
    return true;
  }
  const absl::Time now = router_->clock_->Now();
  for (const store::ScannedEntry& entry : chunk->entries) {
    v1::ScanEntry* out = response_->add_entries();
    out->set_key(entry.key.data(), entry.key.size());
    const bool with_value = call_.request.with_values() &&
                            entry.value_size <= kExchangeValueBytes &&
                            entry.value.size() == entry.value_size;
    FillScanned(entry, with_value, now, out->mutable_entry());
    bytes_ += entry.key.size() + out->entry().value().size() + 40;
  }
  if (chunk->done) {
    first_ = false;
    cursor_ = ScanCursor{cursor_.partition + 1, 0};
  } else {
    cursor_.hash = chunk->next;
  }
  const bool full =
      static_cast<uint32_t>(response_->entries_size()) >= limit_ || bytes_ >= kPageBytes;
  if (!full && !(chunk->done && one_partition_) && cursor_.partition < base::kPartitionCount) {
    return false;
  }
  Cut();
  return true;
}

Router::LastHopScan::LastHopScan(Router* router, ScanCall call, ScanCursor cursor, ScanDone done)
    : router_(router),
      call_(std::move(call)),
      page_(router, call_, LimitOf(call_.request), cursor, /*one_partition=*/false, call_.response),
      done_(std::move(done)) {}

bool Router::LastHopScan::Step() {
  const absl::Duration now = router_->scan_limits_.clock->BootTime();
  status_ = StillAsked(call_, now);
  if (!status_.ok()) return true;
  if (page_end_ == absl::InfiniteDuration()) page_end_ = now + kPageTime;
  if (page_.Step()) {
    status_ = page_.status();
    return true;
  }
  if (now <= page_end_) return false;
  page_.Cut();
  return true;
}

void Router::LastHopScan::End(absl::Status status) {
  if (status.ok()) status = std::move(status_);
  auto done = std::exchange(done_, nullptr);
  done(std::move(status));
}

Router::ScanWalk::ScanWalk(Router* router, ScanCall call, ScanDone done)
    : router_(router),
      call_(std::move(call)),
      page_end_(router->scan_limits_.clock->BootTime() + kPageTime),
      limit_(LimitOf(call_.request)),
      done_(std::move(done)) {
  ScanCursor::Parse(call_.request.cursor(), &cursor_);
}

Router::ScanWalk::~ScanWalk() {
  if (done_ == nullptr) return;
  Finish(
      base::WithReason(absl::UnavailableError("this node is stopping"), base::reason::kDraining));
}

void Router::ScanWalk::Finish(absl::Status status) {
  call_.response->set_cursor(cursor_.Text());
  router_->pages_.fetch_sub(1, std::memory_order_relaxed);
  auto done = std::exchange(done_, nullptr);
  done(std::move(status));
}

void Router::ScanWalk::Run() {
  const size_t count = std::min<size_t>(window_, base::kPartitionCount - cursor_.partition);
  parts_.clear();
  parts_.resize(count);
  const cluster::MapPtr map = router_->view_->map();
  here_ = count;
  size_t others = 0;
  for (size_t i = 0; i < count; ++i) {
    Part& part = parts_[i];
    part.from = i == 0 ? cursor_ : ScanCursor{cursor_.partition + static_cast<uint32_t>(i), 0};
    part.here = !map->partitions.empty() &&
                map->at(base::PartitionId(static_cast<uint16_t>(part.from.partition))).primary ==
                    router_->view_->self();
    if (!part.here) ++others;
    if (part.here && here_ == count) here_ = i;
  }
  // All parts of this node end as one.
  const bool some_here = here_ < count;
  missing_.store(others + (some_here ? 1 : 0), std::memory_order_relaxed);
  // This walk may be over, or run anew, as soon as the last of them was started.
  const std::shared_ptr<ScanWalk> self = shared_from_this();
  for (size_t i = 0, asked = 0; asked < others; ++i) {
    if (parts_[i].here) continue;
    ++asked;
    Ask(i, *map);
  }
  if (some_here) router_->scans_.Add(self, /*again=*/had_turns_);
}

void Router::ScanWalk::Ask(size_t index, const ring::PlacementMap& map) {
  Part& part = parts_[index];
  const base::PartitionId partition(static_cast<uint16_t>(part.from.partition));
  v1::ScanRequest request;
  request.set_prefix(call_.request.prefix());
  request.set_limit(limit_ - static_cast<uint32_t>(call_.response->entries_size()));
  request.set_with_values(call_.request.with_values());
  const base::Incarnation primary =
      map.partitions.empty() ? base::Incarnation() : map.at(partition).primary;
  const ring::Member* owner = map.FindMember(primary);
  if (owner == nullptr || router_->forwarder_ == nullptr) {
    part.status = base::WithReason(absl::UnavailableError(absl::StrCat(
                                       "partition ", partition.value(), ": nobody owns it now")),
                                   base::reason::kNoPrimary);
    return OnPart();
  }
  request.set_namespace_(call_.ns->name);
  request.set_cursor(part.from.Text());
  v1::Operation operation;
  *operation.mutable_scan() = std::move(request);
  router_->forwarder_->Forward(
      *owner, rpc::EncodeOperation(operation), call_.deadline,
      [self = shared_from_this(), &part](rpc::BatchReply reply) {
        part.status = reply.status;
        if (part.status.ok() && reply.result->has_error()) {
          part.status = rpc::FromProto(reply.result->error());
        }
        if (part.status.ok()) part.response = std::move(*reply.result->mutable_scan());
        self->OnPart();
      },
      nullptr);
}

bool Router::ScanWalk::IsWhole(const Part& part) {
  ScanCursor next;
  return part.status.ok() && ScanCursor::Parse(part.response.cursor(), &next) &&
         next.partition == part.from.partition + 1 && next.hash == 0;
}

bool Router::ScanWalk::Step() {
  const absl::Duration now = router_->scan_limits_.clock->BootTime();
  if (!std::exchange(had_turns_, true)) page_end_ = std::max(page_end_, now + kPageTime);
  Part& part = parts_[here_];
  part.status = StillAsked(call_, now);
  if (!part.status.ok()) return true;
  if (!page_.has_value()) {
    page_.emplace(router_, call_, limit_ - static_cast<uint32_t>(call_.response->entries_size()),
                  part.from, /*one_partition=*/true, &part.response);
  }
  if (!page_->Step()) {
    if (now <= page_end_) return false;
    page_->Cut();
  }
  part.status = page_->status();
  page_.reset();
  // What comes behind a part that is not whole is dropped: it need not be walked.
  if (!IsWhole(part)) return true;
  while (++here_ < parts_.size()) {
    if (parts_[here_].here) return false;
  }
  return true;
}

void Router::ScanWalk::End(absl::Status status) {
  page_.reset();
  if (!status.ok() && here_ < parts_.size()) parts_[here_].status = std::move(status);
  OnPart();
}

void Router::ScanWalk::OnPart() {
  if (missing_.fetch_sub(1, std::memory_order_acq_rel) == 1) Take();
}

void Router::ScanWalk::Take() {
  size_t taken = 0;
  for (Part& part : parts_) {
    if (!part.status.ok()) {
      const bool retry =
          Judge({}, part.status,
                base::Reason(part.status).empty() ? rpc::Fate::kSent : rpc::Fate::kAnswered) ==
          Verdict::kRetry;
      if (!retry) return Finish(std::move(part.status));
      if (call_.response->entries_size() > 0 || taken > 0) return Finish(absl::OkStatus());
      if (router_->stopped_.load(std::memory_order_relaxed) ||
          router_->scan_limits_.clock->BootTime() + kPause >= call_.deadline) {
        return Finish(absl::UnavailableError(part.status.message()));
      }
      window_ = 1;
      router_->timers_->After(kPause, [self = shared_from_this()] { self->Run(); });
      return;
    }
    for (v1::ScanEntry& entry : *part.response.mutable_entries()) {
      bytes_ += entry.ByteSizeLong();
      *call_.response->add_entries() = std::move(entry);
    }
    ScanCursor next;
    const uint32_t asked = cursor_.partition;
    if (part.response.cursor().empty()) {
      next.partition = base::kPartitionCount;
    } else if (!ScanCursor::Parse(part.response.cursor(), &next)) {
      return Finish(absl::InternalError("the owner's cursor is none"));
    }
    cursor_ = next;
    ++taken;
    const bool full =
        static_cast<uint32_t>(call_.response->entries_size()) >= limit_ || bytes_ >= kPageBytes;
    if (full || next.partition >= base::kPartitionCount) return Finish(absl::OkStatus());
    // In the middle of a partition, or beyond the one that was asked for next.
    if (next.partition != asked + 1 || next.hash != 0) break;
  }
  if (router_->scan_limits_.clock->BootTime() >= page_end_) return Finish(absl::OkStatus());
  // A window that brought little may be wider.
  const size_t found = static_cast<size_t>(call_.response->entries_size());
  window_ = taken == parts_.size() && found < limit_ / 2 ? std::min(window_ * 2, kWidestWindow)
                                                         : size_t{1};
  Run();
}

}  // namespace atoll::routing
