#include "client/translate.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "client/received_pieces.h"

namespace atoll::client {

absl::Status CheckNamespace(std::string_view ns) {
  const auto is_word = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  bool good = !ns.empty() && ns.size() <= 63 && is_word(ns[0]);
  for (const char c : ns) good = good && (is_word(c) || c == '.' || c == '_' || c == '-');
  if (good) return absl::OkStatus();
  if (ns.size() > 63) {
    return base::InvalidArgument("namespace", absl::StrCat(ns.size(), " bytes"), 63);
  }
  return base::InvalidArgument("namespace", ns, "[a-z0-9][a-z0-9._-]{0,62}");
}

absl::Status CheckKey(std::string_view key) {
  if (key.empty()) return base::InvalidArgument("key", "empty");
  if (key.size() > kMaxKeyBytes) {
    return base::InvalidArgument("key", absl::StrCat(key.size(), " bytes"), kMaxKeyBytes);
  }
  return absl::OkStatus();
}

absl::Status CheckValue(std::string_view value) {
  if (value.size() > kMaxValueBytes) {
    return base::InvalidArgument("value", absl::StrCat(value.size(), " bytes"), kMaxValueBytes);
  }
  return absl::OkStatus();
}

absl::Status CheckTtl(const std::optional<absl::Duration>& ttl) {
  if (ttl.has_value() && *ttl < absl::ZeroDuration()) {
    return base::InvalidArgument("ttl", "negative");
  }
  return absl::OkStatus();
}

absl::Status CheckMaxIdle(absl::Duration max_idle) {
  if (max_idle < absl::ZeroDuration()) return base::InvalidArgument("max_idle", "negative");
  return absl::OkStatus();
}

int64_t TtlMs(absl::Duration ttl) {
  if (ttl == absl::InfiniteDuration()) return 0;
  return absl::ToInt64Milliseconds(absl::Ceil(ttl, absl::Milliseconds(1)));
}

absl::StatusOr<Outcome> ToOutcome(int outcome) {
  switch (outcome) {
    case v1::OUTCOME_OK:
      return Outcome::kOk;
    case v1::OUTCOME_MISS:
      return Outcome::kMiss;
    case v1::OUTCOME_NOT_STORED:
      return Outcome::kNotStored;
    case v1::OUTCOME_MISMATCH:
      return Outcome::kMismatch;
    case v1::OUTCOME_UNCHANGED:
      return Outcome::kUnchanged;
    default:
      return absl::InternalError(absl::StrCat("the node answered outcome ", outcome));
  }
}

namespace {

// Makes the result where it is to be: one that is filled later is zeroed first, and one that is
// moved there waits for what was just written to it.
struct Found {
  const wire::GetResponse& answer;
  Outcome outcome;
  rpc::ValueBlock::Copy value;

  explicit operator GetResult() {
    return {.outcome = outcome,
            .value = Value(std::move(value.owner), value.bytes),
            .version = answer.version,
            .flags = answer.flags,
            .ttl = answer.ttl_ms.has_value()
                       ? std::optional<absl::Duration>(absl::Milliseconds(*answer.ttl_ms))
                       : std::nullopt,
            .max_idle = answer.max_idle_ms != 0 ? absl::Milliseconds(answer.max_idle_ms)
                                                : absl::ZeroDuration(),
            .size = answer.size};
  }
};

// With the value left in the message that it came by, which stays with it.
[[gnu::noinline]] absl::StatusOr<GetResult> LeftInMessage(const wire::GetResponse& answer,
                                                          Outcome outcome,
                                                          std::shared_ptr<const void> message) {
  const wire::Payload& value = answer.value;
  absl::StatusOr<GetResult> result(absl::in_place, Found{answer, outcome, {}});
  if (value.pieces.empty()) {
    result->value = Value(std::move(message), value.bytes);
  } else {
    const size_t size = value.size();
    result->value =
        Value(std::make_shared<ReceivedPieces>(std::move(message), value.pieces, size), size);
  }
  return result;
}

}  // namespace

absl::StatusOr<GetResult> ToGetResult(const wire::GetResponse& answer, rpc::ValueBlock& values) {
  Outcome outcome = Outcome::kOk;
  if (answer.outcome != v1::OUTCOME_OK) {
    const absl::StatusOr<Outcome> other = ToOutcome(answer.outcome);
    if (!other.ok()) return other.status();
    if (*other == Outcome::kMiss) return GetResult();
    outcome = *other;
  }
  if (answer.value.size() > kMaxInlineBytes) {
    if (std::shared_ptr<const void> message = values.KeepMessage(); message != nullptr) {
      return LeftInMessage(answer, outcome, std::move(message));
    }
  }
  return absl::StatusOr<GetResult>(absl::in_place,
                                   Found{answer, outcome, values.Take(answer.value)});
}

absl::StatusOr<WriteResult> ToWriteResult(const wire::WriteResponse& answer) {
  absl::StatusOr<Outcome> outcome = ToOutcome(answer.outcome);
  if (!outcome.ok()) return outcome.status();
  return WriteResult{.outcome = *outcome, .version = answer.version, .copies = answer.copies};
}

absl::StatusOr<GetResult> ToGetResult(v1::GetResponse* message) {
  absl::StatusOr<Outcome> outcome = ToOutcome(message->outcome());
  if (!outcome.ok()) return outcome.status();
  GetResult result;
  result.outcome = *outcome;
  if (result.outcome == Outcome::kMiss) return result;
  if (!message->value().empty()) result.value = Value(std::move(*message->mutable_value()));
  result.version = message->version();
  result.flags = message->flags();
  if (message->has_ttl_ms()) result.ttl = absl::Milliseconds(message->ttl_ms());
  result.max_idle = absl::Milliseconds(message->max_idle_ms());
  result.size = message->size();
  return result;
}

absl::StatusOr<CounterResult> ToCounterResult(const v1::IncrementResponse& message) {
  absl::StatusOr<Outcome> outcome = ToOutcome(message.outcome());
  if (!outcome.ok()) return outcome.status();
  CounterResult result;
  result.outcome = *outcome;
  result.number = message.number();
  result.version = message.version();
  result.copies = message.copies();
  return result;
}

ScanPage ToScanPage(v1::ScanResponse* message) {
  ScanPage page;
  page.entries.reserve(static_cast<size_t>(message->entries_size()));
  for (v1::ScanEntry& entry : *message->mutable_entries()) {
    v1::GetResponse* found = entry.mutable_entry();
    found->set_outcome(v1::OUTCOME_OK);  // It was listed.
    page.entries.push_back({std::move(*entry.mutable_key()), *ToGetResult(found)});
  }
  page.cursor = std::move(*message->mutable_cursor());
  return page;
}

}  // namespace atoll::client
