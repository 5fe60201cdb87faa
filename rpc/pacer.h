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
#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"

namespace atoll::rpc {

class Pacer {
 public:
  static constexpr absl::Duration kPatience = absl::Milliseconds(1);

  // The number of the message that is written now; from 1.
  uint64_t Write(absl::Duration now) {
    last_write_ = now;
    return ++written_;
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
  absl::Duration patience_ends() const { return last_write_ + kPatience; }
  void GiveUp() { done_ = written_; }

  uint64_t written() const { return written_; }

 private:
  uint64_t written_ = 0;
  uint64_t done_ = 0;
  absl::Duration last_write_ = -absl::InfiniteDuration();
};

}  // namespace atoll::rpc
