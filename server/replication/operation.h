// One operation on one key, as it reaches the partition's primary: already validated, hashed and
// resolved.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "atoll/v1/cache.pb.h"
#include "server/cluster/cluster_view.h"
#include "server/store/store.h"

namespace atoll::replication {

enum class OpKind : uint8_t {
  kGet,
  kSet,
  kAdd,
  kReplace,
  kCompareAndSwap,
  kDelete,
  kTouch,
  kGetAndTouch,
  kIncrement,
  kAppend,
  kPrepend,
};

inline constexpr bool IsWrite(OpKind kind) { return kind != OpKind::kGet; }

struct RequestId {
  uint64_t client = 0;  // 0: none
  uint64_t number = 0;
};

// Views must live until the operation is done (the caller keeps its message until then).
struct Operation {
  OpKind kind = OpKind::kGet;
  cluster::NamespacePtr ns;
  store::Key key;
  // kSet, kAdd, kReplace, kCompareAndSwap, kAppend, kPrepend: the value's pieces.
  absl::Span<const std::string_view> value;
  std::optional<int64_t>
      ttl_ms;  // absent: the namespace's default (writes), unchanged is not possible
  std::optional<int64_t> max_idle_ms;  // absent: none (sets), unchanged (touch)
  uint32_t flags = 0;
  base::Version expected;  // kCompareAndSwap
  int64_t delta = 0;       // kIncrement
  std::optional<int64_t> initial;
  RequestId request_id;
  // kGet
  bool bounded = false;
  bool metadata_only = false;
  base::Version if_version_not;
  // On the process's BootTime.
  absl::Duration deadline = absl::InfiniteDuration();
};

struct OperationResult {
  // Not OK: not carried out, or reason AMBIGUOUS. Build with rpc::/base:: status helpers so that it
  // carries ErrorInfo.
  absl::Status status;
  v1::Outcome outcome = v1::OUTCOME_UNSPECIFIED;
  store::EntryMeta meta;  // version, expiry, flags, idle limit after the operation
  uint64_t value_size = 0;
  store::Value value;  // owns or is backed by `buffer`
  int64_t number = 0;
  uint32_t copies = 0;
};

// Called exactly once, on any thread, possibly before Execute returns, with no lock held. Views in
// the result live during the call, except what value.owner() keeps.
using Done = absl::AnyInvocable<void(OperationResult)>;

// Takes what a batch of reads finds, in order, on the caller's thread.
class ReadSink {
 public:
  virtual ~ReadSink() = default;
  // As store::FindSink::Place: under a lock.
  virtual char* Place(size_t index, const store::EntryMeta& meta, size_t size) = 0;
  // What was found, and may be shown: it is committed, and this node leads (R5).
  virtual void Answer(size_t index, store::Found& found) = 0;
  // It may not, and what was placed is void: only Execute can answer.
  virtual void Refuse(size_t index) = 0;
};

// Takes what becomes of a batch of writes, in order, on the caller's thread.
class WriteSink {
 public:
  virtual ~WriteSink() = default;
  // Carried out, or failed for good.
  virtual void Answer(size_t index, OperationResult result) = 0;
  // It waits for replicas: what to call then. Called under the partition's mutex.
  virtual Done Later(size_t index) = 0;
  // Nothing was done: only Execute can answer, or say why not.
  virtual void Refuse(size_t index) = 0;
};

}  // namespace atoll::replication
