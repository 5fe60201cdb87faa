// Decides what an operation does to its key: a pure function of the operation, what is there, and
// the time. Only the primary evaluates; what comes out goes to the replicas as an effect (R1).
//
// Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/container/inlined_vector.h"
#include "absl/time/time.h"
#include "server/replication/operation.h"
#include "server/store/store.h"

namespace atoll::replication {

enum class EffectKind : uint8_t { kNothing, kPut, kErase, kTouch };

struct Evaluation {
  EffectKind effect = EffectKind::kNothing;
  // Of the entry after the effect, but for the version, which is assigned later (kPut, kTouch).
  store::EntryMeta meta;
  // kPut: the value, in pieces that live in the operation, in `found` or in `owned`.
  absl::InlinedVector<std::string_view, 4> pieces;
  std::string owned;
  // What to answer, but for version and copies of an effect. With kNothing it is complete: its
  // version is that of what was seen.
  OperationResult result;
};

// True if the operation depends on what is there.
bool NeedsExisting(OpKind kind);

// `random` (0 <= random < 1) draws the share of the namespace's TTL jitter. `max_value_bytes`
// bounds what Append and Prepend may make. The views in the evaluation live as long as
// `operation`, `found` and the evaluation itself, which must not be moved meanwhile.
void Evaluate(const Operation& operation, const store::Found& found, absl::Time now, double random,
              uint64_t max_value_bytes, Evaluation* out);

// The answer of a kGet. The value lives as long as what `found` was read into.
void ReadResult(const Operation& operation, const store::Found& found, OperationResult* out);

// The expiry that a TTL gives: absent is the namespace's default, 0 is never (0).
base::CacheSeconds ExpiryOf(const Operation& operation, absl::Time now, double random);

}  // namespace atoll::replication
