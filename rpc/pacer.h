// When a stream may write its next message, and how much of what waits goes into it.
//
// A message costs both ends as much as dozens of operations, so that few large ones are worth more
// than many small ones sent early. While callers block, one message is under way at a time: whoever
// asks meanwhile goes by the next. Callers that do not block have two under way, each with about
// half of what is outstanding, so that this process works on one while the node works on the other.
//
// A message is under way until one of its operations is answered. One that waits at the node
// (a takeover, a slow disk) must not hold up the others: after twice the time that messages take,
// within kPatience and kMostPatience, it does not count any more. (Writes wait for replicas: with
// kPatience alone they went by messages of a few, however many were asked for.)
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
  static constexpr absl::Duration kMostPatience = absl::Milliseconds(10);

  // `least`: instead of kPatience.
  explicit Pacer(absl::Duration least = kPatience) : least_patience_(least) {
    written_at_.fill(-absl::InfiniteDuration());
  }

  // The number of the message that is written now; from 1.
  uint64_t Write(absl::Duration now) {
    ++written_;
    written_at_[written_ % written_at_.size()] = now;
    return written_;
  }
  void Answered(uint64_t message) {
    done_ = std::max(done_, message);
    answered_ = std::max(answered_, message);
  }
  // The answers that were told since the last time came at `came`.
  void Learn(absl::Duration came) {
    // Late ones of older messages say nothing.
    if (answered_ == learned_) return;
    learned_ = answered_;
    if (written_ - answered_ >= written_at_.size()) return;
    usual_ += (came - WrittenAt(answered_) - usual_) / 8;
  }
  // A new stream: nothing is under way on it.
  void Restart() { done_ = written_; }

  // `blocking`: of the operation that waits first.
  bool MayWrite(bool blocking) const { return written_ - done_ < (blocking ? 1 : 2); }
  static size_t MostOperations(bool blocking, size_t outstanding) {
    return blocking ? outstanding : (outstanding + 1) / 2;
  }

  // When what is under way stops to count, if it is not answered.
  absl::Duration patience_ends() const {
    return WrittenAt(written_) +
           std::clamp(2 * usual_, least_patience_, std::max(least_patience_, kMostPatience));
  }
  void GiveUp() { done_ = written_; }
  // Whether the newest message that is done was answered within the least patience, if that came
  // at `came`. Not after a further Write.
  bool WasPrompt(absl::Duration came) const { return came - WrittenAt(done_) <= least_patience_; }

  uint64_t written() const { return written_; }

 private:
  absl::Duration WrittenAt(uint64_t message) const {
    return written_at_[message % written_at_.size()];
  }

  const absl::Duration least_patience_;
  uint64_t written_ = 0;
  uint64_t done_ = 0;
  // The newest one that was answered, and the one by which `usual_` was learned last.
  uint64_t answered_ = 0;
  uint64_t learned_ = 0;
  // From a message to its first answer, on average.
  absl::Duration usual_ = absl::ZeroDuration();
  // Of the last ones. Beyond two are those that do not count any more.
  std::array<absl::Duration, 8> written_at_;
};

}  // namespace atoll::rpc
