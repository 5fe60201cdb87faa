// How much of what waits a node is sent that has said that it is overloaded.
//
// A refusal for overload halves what may be unanswered; each message that is answered afterwards
// lets in an eighth more, until it does not matter any more. Refusals of what was sent before the
// last cut say nothing new. Meanwhile messages that take too long for their way make it less as
// well, so that the node refuses no more: what it refuses is work for nothing, and leaves it idle
// until something new has come. The pause that the node asks for is kept where there is nothing to
// halve: too many clients ask for too little each.
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
  // What messages may take beyond the least that they took: half of what a node refuses.
  static constexpr absl::Duration kQueueing = absl::Milliseconds(50);

  bool limited() const { return limit_ < kMost; }
  // Operations that may be sent, where so many are unanswered.
  size_t Room(size_t unanswered) const {
    if (!limited()) return kMost;
    return limit_ > unanswered ? limit_ - unanswered : 0;
  }
  // Operations of one message: the node has another while it answers this one, and refuses what it
  // cannot do in one go.
  size_t MostAtOnce() const { return limited() ? std::max(kLeast, limit_ / 2) : kMost; }
  absl::Duration paused_until() const { return paused_until_; }

  // An operation of that message was refused for overload. `written`: messages so far; `pause`:
  // zero if the node asks for none. False if it changes nothing.
  bool Refused(uint64_t message, uint64_t written, size_t unanswered, absl::Duration pause,
               absl::Duration now) {
    if (message <= cut_at_) return false;
    cut_at_ = grown_at_ = written;
    // The refused one is not among them any more.
    limit_ = std::min(limit_, unanswered + 1) / 2;
    if (limit_ >= kLeast) pause = kPause;
    limit_ = std::max(kLeast, limit_);
    paused_until_ = now + (pause > absl::ZeroDuration() ? std::min(pause, kLongestPause) : kPause);
    return true;
  }
  // One message at a time is timed, however many are under way.
  void Written(uint64_t message, absl::Duration now) {
    last_written_ = message;
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
      timed_ = 0;
      Timed(message, now - timed_at_);
    }
    if (message <= grown_at_) return;
    grown_at_ = message;
    limit_ += 1 + limit_ / 8;
    if (!limited()) timed_ = 0;  // nobody asks, so nobody tells when it is answered
  }

 private:
  void Timed(uint64_t message, absl::Duration trip) {
    trip_ = std::max(trip, trip_ - trip_ / 8);
    // Follows a way that became longer, slowly.
    least_trip_ = std::min(trip, least_trip_ + (trip - least_trip_) / 256);
    if (trip <= least_trip_ + kQueueing || message <= cut_at_) return;
    const double share = absl::FDivDuration(least_trip_ + kQueueing, trip);
    limit_ =
        std::max(kLeast, static_cast<size_t>(static_cast<double>(limit_) * std::max(share, 0.5)));
    cut_at_ = grown_at_ = last_written_;
  }

  size_t limit_ = kMost;
  uint64_t last_written_ = 0;
  uint64_t cut_at_ = 0;
  uint64_t grown_at_ = 0;
  absl::Duration paused_until_ = -absl::InfiniteDuration();
  // From the writing of a message to the first of its answers: the longest of the last times, as
  // the next may be as long again, and the least.
  absl::Duration trip_;
  absl::Duration least_trip_ = absl::Hours(1);
  uint64_t timed_ = 0;  // a message, or 0
  absl::Duration timed_at_;
};

}  // namespace atoll::rpc
