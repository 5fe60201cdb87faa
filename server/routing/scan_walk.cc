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

void Router::Scan(const v1::ScanRequest& request, const cluster::NamespacePtr& ns, Hop hop,
                  absl::Duration deadline, v1::ScanResponse* response,
                  absl::AnyInvocable<void(absl::Status)> done) {
  ScanCursor cursor;
  if (!ScanCursor::Parse(request.cursor(), &cursor)) return done(CheckCursor(request.cursor()));
  if (hop == Hop::kLast) {
    return done(ScanWalk::Here(this, request, ns, cursor, /*one_partition=*/false, response));
  }
  std::make_shared<ScanWalk>(this, request, ns, deadline, response, std::move(done))->Run();
}

absl::Status Router::ScanWalk::Here(Router* router, const v1::ScanRequest& request,
                                    const cluster::NamespacePtr& ns, ScanCursor cursor,
                                    bool one_partition, v1::ScanResponse* response) {
  const uint32_t limit = request.limit() == 0 ? kDefaultLimit : request.limit();
  const absl::Time now = router->clock_->Now();
  const absl::Duration start = base::Clock::Real().BootTime();
  size_t bytes = 0;
  bool first = true;
  while (cursor.partition < base::kPartitionCount) {
    const base::PartitionId partition(static_cast<uint16_t>(cursor.partition));
    store::ScanOptions options;
    options.max_entries =
        std::min<size_t>(256, limit - static_cast<uint32_t>(response->entries_size()));
    options.max_bytes = kPageBytes - bytes;
    options.with_values = request.with_values();
    options.ns = ns->id;
    options.prefix = request.prefix();
    absl::StatusOr<store::ScanChunk> chunk =
        router->replicator_->Scan(partition, cursor.hash, options);
    if (!chunk.ok()) {
      if (first) return router->WithPlacement(chunk.status(), partition);
      break;
    }
    for (const store::ScannedEntry& entry : chunk->entries) {
      v1::ScanEntry* out = response->add_entries();
      out->set_key(entry.key.data(), entry.key.size());
      const bool with_value = request.with_values() && entry.value_size <= kExchangeValueBytes &&
                              entry.value.size() == entry.value_size;
      FillScanned(entry, with_value, now, out->mutable_entry());
      bytes += entry.key.size() + out->entry().value().size() + 40;
    }
    if (chunk->done) {
      first = false;
      cursor = ScanCursor{cursor.partition + 1, 0};
      if (one_partition) break;
    } else {
      cursor.hash = chunk->next;
    }
    if (static_cast<uint32_t>(response->entries_size()) >= limit || bytes >= kPageBytes) break;
    if (base::Clock::Real().BootTime() - start > kPageTime) break;
  }
  response->set_cursor(cursor.Text());
  return absl::OkStatus();
}

Router::ScanWalk::ScanWalk(Router* router, const v1::ScanRequest& request, cluster::NamespacePtr ns,
                           absl::Duration deadline, v1::ScanResponse* response,
                           absl::AnyInvocable<void(absl::Status)> done)
    : router_(router),
      request_(request),
      ns_(std::move(ns)),
      deadline_(deadline),
      soft_deadline_(base::Clock::Real().BootTime() + kPageTime),
      limit_(request.limit() == 0 ? kDefaultLimit : request.limit()),
      response_(response),
      done_(std::move(done)) {
  ScanCursor::Parse(request.cursor(), &cursor_);
}

void Router::ScanWalk::Finish(absl::Status status) {
  response_->set_cursor(cursor_.Text());
  auto done = std::exchange(done_, nullptr);
  done(std::move(status));
}

void Router::ScanWalk::Run() {
  const size_t count = std::min<size_t>(window_, base::kPartitionCount - cursor_.partition);
  parts_.assign(count, Part{});
  missing_.store(count, std::memory_order_relaxed);
  const ScanCursor from = cursor_;
  for (size_t i = 0; i < count; ++i) {
    Ask(i, i == 0 ? from : ScanCursor{from.partition + static_cast<uint32_t>(i), 0});
  }
}

void Router::ScanWalk::Ask(size_t index, ScanCursor cursor) {
  Part& part = parts_[index];
  const cluster::MapPtr map = router_->view_->map();
  const base::PartitionId partition(static_cast<uint16_t>(cursor.partition));
  v1::ScanRequest request;
  request.set_prefix(request_.prefix());
  request.set_limit(limit_ - static_cast<uint32_t>(response_->entries_size()));
  request.set_with_values(request_.with_values());
  const base::Incarnation primary =
      map->partitions.empty() ? base::Incarnation() : map->at(partition).primary;
  if (primary == router_->view_->self()) {
    part.status = Here(router_, request, ns_, cursor, /*one_partition=*/true, &part.response);
    return OnPart();
  }
  const ring::Member* owner = map->FindMember(primary);
  if (owner == nullptr || router_->forwarder_ == nullptr) {
    part.status = base::WithReason(absl::UnavailableError(absl::StrCat(
                                       "partition ", partition.value(), ": nobody owns it now")),
                                   base::reason::kNoPrimary);
    return OnPart();
  }
  request.set_namespace_(ns_->name);
  request.set_cursor(cursor.Text());
  v1::Operation operation;
  *operation.mutable_scan() = std::move(request);
  router_->forwarder_->Forward(
      *owner, rpc::EncodeOperation(operation), deadline_,
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
      if (response_->entries_size() > 0 || taken > 0) return Finish(absl::OkStatus());
      if (router_->stopped_.load(std::memory_order_relaxed) ||
          base::Clock::Real().BootTime() + kPause >= deadline_) {
        return Finish(absl::UnavailableError(part.status.message()));
      }
      window_ = 1;
      router_->timers_->After(kPause, [self = shared_from_this()] { self->Run(); });
      return;
    }
    for (v1::ScanEntry& entry : *part.response.mutable_entries()) {
      bytes_ += entry.ByteSizeLong();
      *response_->add_entries() = std::move(entry);
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
        static_cast<uint32_t>(response_->entries_size()) >= limit_ || bytes_ >= kPageBytes;
    if (full || next.partition >= base::kPartitionCount) return Finish(absl::OkStatus());
    // In the middle of a partition, or beyond the one that was asked for next.
    if (next.partition != asked + 1 || next.hash != 0) break;
  }
  if (base::Clock::Real().BootTime() >= soft_deadline_) return Finish(absl::OkStatus());
  // A window that brought little may be wider.
  const size_t found = static_cast<size_t>(response_->entries_size());
  window_ = taken == parts_.size() && found < limit_ / 2 ? std::min(window_ * 2, kWidestWindow)
                                                         : size_t{1};
  Run();
}

}  // namespace atoll::routing
