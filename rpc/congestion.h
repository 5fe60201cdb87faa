// How much of what waits a node is sent that has said that it is overloaded.
//
// A refusal for overload halves what may be unanswered, and nothing is sent for the pause that the
// node asked for; each message that is answered afterwards lets in an eighth more, until it does
// not matter any more. Refusals of what was sent before the last cut say nothing new.
//
// What waits here meanwhile goes in its order, and would go when it has hardly any time left: all
// of the node's work would be on what is too late by then. So what has less time left than twice of
// what a message takes is not sent.
//
// Thread safety: none. Pure: time is an argument (BootTime).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"

namespace atoll::rpc {

class Congestion {
 public:
  // One that waits at the node for long must not stop all others.
  static constexpr size_t kLeast = 8;
  // More is no limit.
  static constexpr size_t kMost = 65536;
  // Where the node asks for none.
  static constexpr absl::Duration kPause = absl::Milliseconds(2);
  static constexpr absl::Duration kLongestPause = absl::Seconds(1);

  bool limited() const { return limit_ < kMost; }
  // Operations that may be sent, where so many are unanswered.
  size_t Room(size_t unanswered) const {
    if (!limited()) return kMost;
    return limit_ > unanswered ? limit_ - unanswered : 0;
  }
  absl::Duration paused_until() const { return paused_until_; }

  // An operation of that message was refused for overload. `written`: messages so far; `pause`:
  // zero if the node asks for none. False if it changes nothing.
  bool Refused(uint64_t message, uint64_t written, size_t unanswered, absl::Duration pause,
               absl::Duration now) {
    if (message <= cut_at_) return false;
    cut_at_ = grown_at_ = written;
    // The refused one is not among them any more.
    limit_ = std::max(kLeast, std::min(limit_, unanswered + 1) / 2);
    paused_until_ = now + (pause > absl::ZeroDuration() ? std::min(pause, kLongestPause) : kPause);
    return true;
  }
  // One message at a time is timed, however many are under way.
  void Written(uint64_t message, absl::Duration now) {
    if (!limited() || timed_ != 0) return;
    timed_ = message;
    timed_at_ = now;
  }
  // Whether an operation with so much time left is better not sent.
  bool Hopeless(absl::Duration left) const { return limited() && left < 2 * trip_; }
  // That was so of all that waited: as nothing is sent, nothing says that messages are faster now.
  void AllWereHopeless() { trip_ /= 2; }

  void Answered(uint64_t message, absl::Duration now) {
    if (!limited()) return;
    if (timed_ != 0 && message >= timed_) {
      trip_ = now - timed_at_;
      timed_ = 0;
    }
    if (message <= grown_at_) return;
    grown_at_ = message;
    limit_ += 1 + limit_ / 8;
    if (!limited()) timed_ = 0;  // nobody asks, so nobody tells when it is answered
  }

 private:
  size_t limit_ = kMost;
  uint64_t cut_at_ = 0;
  uint64_t grown_at_ = 0;
  absl::Duration paused_until_ = -absl::InfiniteDuration();
  // From the writing of a message to the first of its answers, the last time.
  absl::Duration trip_;
  uint64_t timed_ = 0;  // a message, or 0
  absl::Duration timed_at_;
};

}  // namespace atoll::rpc
