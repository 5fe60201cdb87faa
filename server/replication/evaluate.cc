#include "server/replication/evaluate.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/status.h"
#include "server/replication/errors.h"

namespace atoll::replication {
namespace {

uint32_t SecondsUp(int64_t ms) {
  const int64_t seconds = ms / 1000 + (ms % 1000 != 0 ? 1 : 0);
  return static_cast<uint32_t>(
      std::clamp<int64_t>(seconds, 0, std::numeric_limits<uint32_t>::max()));
}

uint64_t SizeOf(absl::Span<const std::string_view> pieces) {
  uint64_t size = 0;
  for (std::string_view piece : pieces) size += piece.size();
  return size;
}

std::optional<int64_t> ParseCounter(const store::Found& found) {
  // The longest is "-9223372036854775808".
  if (found.value_size == 0 || found.value_size > 20) return std::nullopt;
  const std::string text = found.value.Flatten();
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

void Answer(Evaluation* out, v1::Outcome outcome, const store::Found& seen) {
  out->effect = EffectKind::kNothing;
  out->result.outcome = outcome;
  out->result.meta = seen.meta;
  out->result.value_size = seen.value_size;
}

void Store(const Operation& operation, absl::Time now, double random, Evaluation* out) {
  out->effect = EffectKind::kPut;
  out->meta.expiry = ExpiryOf(operation, now, random);
  out->meta.max_idle = operation.max_idle_ms ? SecondsUp(*operation.max_idle_ms) : 0;
  out->meta.flags = operation.flags;
  out->pieces.assign(operation.value.begin(), operation.value.end());
  out->result.outcome = v1::OUTCOME_OK;
}

void Extend(const Operation& operation, const store::Found& found, uint64_t max_value_bytes,
            Evaluation* out) {
  const uint64_t size = found.value_size + SizeOf(operation.value);
  if (size > max_value_bytes) {
    out->result.status =
        base::InvalidArgument("value", absl::StrCat(size, " bytes"), max_value_bytes);
    return;
  }
  out->effect = EffectKind::kPut;
  out->meta = found.meta;
  const auto old = found.value.pieces();
  if (operation.kind == OpKind::kPrepend) {
    out->pieces.assign(operation.value.begin(), operation.value.end());
    out->pieces.insert(out->pieces.end(), old.begin(), old.end());
  } else {
    out->pieces.assign(old.begin(), old.end());
    out->pieces.insert(out->pieces.end(), operation.value.begin(), operation.value.end());
  }
  out->result.outcome = v1::OUTCOME_OK;
}

void Count(const Operation& operation, const store::Found& found, absl::Time now, double random,
           Evaluation* out) {
  int64_t number = 0;
  if (found.presence == store::Presence::kAbsent) {
    if (!operation.initial) return Answer(out, v1::OUTCOME_MISS, found);
    number = *operation.initial;
    out->meta.expiry = ExpiryOf(operation, now, random);
  } else {
    const std::optional<int64_t> old = ParseCounter(found);
    if (!old) {
      out->result.status = NotANumber();
      return;
    }
    if (__builtin_add_overflow(*old, operation.delta, &number)) {
      out->result.status = CounterOverflow(*old, operation.delta);
      return;
    }
    out->meta = found.meta;
  }
  out->effect = EffectKind::kPut;
  out->owned = std::to_string(number);
  out->pieces.assign({std::string_view(out->owned)});
  out->result.outcome = v1::OUTCOME_OK;
  out->result.number = number;
}

void TouchEntry(const Operation& operation, const store::Found& found, absl::Time now,
                double random, Evaluation* out) {
  out->effect = EffectKind::kTouch;
  out->meta = found.meta;
  out->meta.expiry = ExpiryOf(operation, now, random);
  if (operation.max_idle_ms) out->meta.max_idle = SecondsUp(*operation.max_idle_ms);
  out->result.outcome = v1::OUTCOME_OK;
  out->result.value_size = found.value_size;
  if (operation.kind == OpKind::kGetAndTouch) out->result.value = found.value;
}

}  // namespace

void ReadResult(const Operation& operation, const store::Found& found, OperationResult* out) {
  out->meta = found.meta;
  out->value_size = found.value_size;
  if (found.presence == store::Presence::kAbsent) {
    out->outcome = v1::OUTCOME_MISS;
  } else if (operation.if_version_not.raw() != 0 &&
             operation.if_version_not == found.meta.version) {
    out->outcome = v1::OUTCOME_UNCHANGED;
  } else if (found.presence == store::Presence::kPinLimit) {
    out->status = TooManyPinned();
  } else {
    out->outcome = v1::OUTCOME_OK;
    out->value = found.value;
  }
}

bool NeedsExisting(OpKind kind) { return kind != OpKind::kSet; }

base::CacheSeconds ExpiryOf(const Operation& operation, absl::Time now, double random) {
  const v1::NamespaceSettings& settings = operation.ns->settings;
  int64_t ttl_ms = operation.ttl_ms ? *operation.ttl_ms : settings.default_ttl_ms();
  if (ttl_ms <= 0) return 0;
  if (settings.ttl_jitter_percent() > 0) {
    ttl_ms -= static_cast<int64_t>(static_cast<double>(ttl_ms) * random *
                                   settings.ttl_jitter_percent() / 100.0);
  }
  // Rounded up, so that nothing lives shorter than it was promised.
  const int64_t now_ms = absl::ToUnixMillis(now) - base::kCacheEpochUnixSeconds * 1000;
  if (ttl_ms > std::numeric_limits<int64_t>::max() - now_ms) return 0;
  const int64_t at_ms = now_ms + ttl_ms;
  const int64_t seconds = at_ms / 1000 + (at_ms % 1000 != 0 ? 1 : 0);
  if (seconds > std::numeric_limits<base::CacheSeconds>::max()) return 0;
  return static_cast<base::CacheSeconds>(std::max<int64_t>(seconds, 1));
}

void Evaluate(const Operation& operation, const store::Found& found, absl::Time now, double random,
              uint64_t max_value_bytes, Evaluation* out) {
  const bool present = found.presence != store::Presence::kAbsent;
  switch (operation.kind) {
    case OpKind::kGet:
      return ReadResult(operation, found, &out->result);
    case OpKind::kSet:
      return Store(operation, now, random, out);
    case OpKind::kAdd:
      if (present) return Answer(out, v1::OUTCOME_NOT_STORED, found);
      return Store(operation, now, random, out);
    case OpKind::kReplace:
      if (!present) return Answer(out, v1::OUTCOME_NOT_STORED, found);
      return Store(operation, now, random, out);
    case OpKind::kCompareAndSwap:
      if (!present) return Answer(out, v1::OUTCOME_MISS, found);
      if (found.meta.version != operation.expected) {
        return Answer(out, v1::OUTCOME_MISMATCH, found);
      }
      return Store(operation, now, random, out);
    case OpKind::kDelete:
      if (!present) return Answer(out, v1::OUTCOME_MISS, found);
      out->effect = EffectKind::kErase;
      out->result.outcome = v1::OUTCOME_OK;
      return;
    case OpKind::kTouch:
    case OpKind::kGetAndTouch:
      if (!present) return Answer(out, v1::OUTCOME_MISS, found);
      return TouchEntry(operation, found, now, random, out);
    case OpKind::kIncrement:
      return Count(operation, found, now, random, out);
    case OpKind::kAppend:
    case OpKind::kPrepend:
      if (!present) return Answer(out, v1::OUTCOME_NOT_STORED, found);
      return Extend(operation, found, max_value_bytes, out);
  }
}

}  // namespace atoll::replication
