/// \file
/// Bytes that many holders share, and what operations answer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "atoll/namespace.h"  // must be the first

namespace atoll {

/// The bytes of a value that came in pieces; the client's own.
class ValuePieces {
 public:
  virtual ~ValuePieces() = default;
  /// Both by any thread; what they return lives as long as this.
  virtual std::string_view Join() = 0;
  virtual std::vector<std::string_view> Get() = 0;
};

/// An immutable value. Copying shares the bytes; they live as long as one copy does, independent of
/// the client that fetched them. Callers whose reads were collapsed into one share them too. Small
/// values that came together lie together: one that is kept keeps up to 16 KiB of them. A value
/// above 64 KiB may lie in pieces, as it was received, until somebody wants it in one.
///
/// Thread safety: as a shared_ptr: distinct copies may be used by distinct threads.
class Value {
 public:
  Value() = default;
  explicit Value(std::string bytes) {
    auto owned = std::make_shared<const std::string>(std::move(bytes));
    view_ = *owned;
    owner_ = std::move(owned);
  }
  /// `bytes` must stay as they are while `owner` lives.
  Value(std::shared_ptr<const void> owner, std::string_view bytes)
      : owner_(std::move(owner)), view_(bytes) {}

  /// Of `size` bytes.
  Value(const std::shared_ptr<ValuePieces>& pieces, size_t size)
      : owner_(pieces), view_(nullptr, size), pieces_(pieces.get()) {}

  /// Valid while this value, or a copy of it, lives. The first call on one that lies in pieces puts
  /// them together, for all its copies.
  std::string_view view() const { return pieces_ == nullptr ? view_ : pieces_->Join(); }
  /// The bytes in order as they lie in memory, never copied: for who writes them somewhere. Valid
  /// as long as view().
  std::vector<std::string_view> pieces() const {
    if (pieces_ != nullptr) return pieces_->Get();
    return view_.empty() ? std::vector<std::string_view>() : std::vector{view_};
  }
  size_t size() const { return view_.size(); }
  bool empty() const { return view_.empty(); }
  /// A copy of the bytes.
  std::string ToString() const { return std::string(view()); }

  /// True if both hold the very same bytes in memory. (Distinct values of one answer may have a
  /// common owner, but no bytes in common.)
  bool SharesWith(const Value& other) const {
    return owner_ != nullptr && owner_ == other.owner_ && view_.data() == other.view_.data();
  }
  friend bool operator==(const Value& a, const Value& b) { return a.view() == b.view(); }

 private:
  std::shared_ptr<const void> owner_;
  // Without a place where there are pieces, whose owner is `owner_` then.
  std::string_view view_;
  ValuePieces* pieces_ = nullptr;
};

/// What became of an operation that was carried out. None of these is an error.
enum class Outcome : uint8_t {
  kOk,         ///< Found, stored, deleted or touched, as asked.
  kMiss,       ///< The key has no entry.
  kNotStored,  ///< The condition of Add, Replace, Append or Prepend did not hold.
  kMismatch,   ///< The version given to CompareAndSwap was not the entry's.
  kUnchanged,  ///< The entry still has the version `GetOptions::if_version_not`: no value was sent.
};

/// "ok", "miss", "not_stored", "mismatch", "unchanged".
std::string_view OutcomeName(Outcome outcome);

/// An entry as a read found it. With kMiss nothing but `outcome` is set.
struct GetResult {
  Outcome outcome = Outcome::kMiss;  ///< kOk, kMiss or kUnchanged.
  Value value;                       ///< With kOk, unless only metadata was asked for.
  /// Orders the entry's writes (larger is later); the token for CompareAndSwap.
  uint64_t version = 0;
  uint32_t flags = 0;                              ///< The caller's own 32 bits, as stored.
  std::optional<absl::Duration> ttl;               ///< Time left to live; absent: never expires.
  absl::Duration max_idle = absl::ZeroDuration();  ///< Zero: no limit.
  uint64_t size = 0;  ///< Bytes of the value, also where the value was not sent.

  /// The key has an entry.
  bool found() const { return outcome != Outcome::kMiss; }
};

/// What a write did.
struct WriteResult {
  /// kOk; kMiss (Delete, Touch, CompareAndSwap), kNotStored (Add, Replace, Append, Prepend),
  /// kMismatch (CompareAndSwap).
  Outcome outcome = Outcome::kOk;
  /// Of the entry after the write; with kNotStored and kMismatch, of the entry that is there.
  uint64_t version = 0;
  /// In-sync copies that have the write.
  uint32_t copies = 0;

  bool ok() const { return outcome == Outcome::kOk; }
};

/// A counter after Increment or Decrement.
struct CounterResult {
  Outcome outcome = Outcome::kOk;  ///< kOk, or kMiss: no entry, and no initial value was given.
  int64_t number = 0;
  uint64_t version = 0;
  uint32_t copies = 0;

  bool ok() const { return outcome == Outcome::kOk; }
};

struct ScanEntry {
  std::string key;
  /// `value` only if asked for and at most 64 KiB; `size` always.
  GetResult entry;
};

/// A page of a scan.
struct ScanPage {
  std::vector<ScanEntry> entries;  ///< May be empty before the end.
  std::string cursor;              ///< For the next page; empty: the end was reached.
};

}  // namespace atoll
