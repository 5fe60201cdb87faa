// When a stream may write its next message, and how much of what waits goes into it.
//
// A message costs both ends as much as dozens of operations, so that few large ones are worth more
// than many small ones sent early. While callers block, one message is under way at a time: whoever
// asks meanwhile goes by the next. Callers that do not block have two under way, each with about
// half of what is outstanding, so that this process works on one while the node works on the other.
//
// A message is under way until one of its operations is answered. One that waits at the node
// (a takeover, a slow disk) must not hold up the others: after kPatience it does not count any
// more.
//
// Thread safety: none. Pure: time is an argument (BootTime).
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"

namespace atoll::rpc {

class Pacer {
 public:
  static constexpr absl::Duration kPatience = absl::Milliseconds(1);

  explicit Pacer(absl::Duration patience = kPatience) : patience_(patience) {}

  // The number of the message that is written now; from 1.
  uint64_t Write(absl::Duration now) {
    ++written_;
    written_at_[written_ % written_at_.size()] = now;
    return written_;
  }
  void Answered(uint64_t message) { done_ = std::max(done_, message); }
  // A new stream: nothing is under way on it.
  void Restart() { done_ = written_; }

  // `blocking`: of the operation that waits first.
  bool MayWrite(bool blocking) const { return written_ - done_ < (blocking ? 1 : 2); }
  static size_t MostOperations(bool blocking, size_t outstanding) {
    return blocking ? outstanding : (outstanding + 1) / 2;
  }

  // When what is under way stops to count, if it is not answered.
  absl::Duration patience_ends() const {
    return written_at_[written_ % written_at_.size()] + patience_;
  }
  void GiveUp() { done_ = written_; }
  // Whether the newest message that is done was answered in time, if that came at `came`.
  // Not after a further Write.
  bool WasPrompt(absl::Duration came) const {
    return came - written_at_[done_ % written_at_.size()] <= patience_;
  }

  uint64_t written() const { return written_; }

 private:
  const absl::Duration patience_;
  uint64_t written_ = 0;
  uint64_t done_ = 0;
  // Of the last two.
  std::array<absl::Duration, 2> written_at_{-absl::InfiniteDuration(), -absl::InfiniteDuration()};
};

}  // namespace atoll::rpc
