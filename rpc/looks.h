// Whether a thread that has nothing to do had better look again for a moment before it sleeps.
//
// To fall asleep and to be woken takes longer than what a lone caller waits for: on a virtual
// machine more than half of the time of a get, in its bad hours three quarters, and as much of the
// processor's as looking does. So who has waited only for a moment many times looks; who looks in
// vain too often sleeps, and if looking hardly paid needs twice as many such waits for a sign from
// then on.
//
// No I/O, no clock, no thread. Thread safety: none.
#pragma once

#include <algorithm>

#include "absl/time/time.h"

namespace atoll::rpc {

class Looks {
 public:
  // So long it is looked at the most.
  static constexpr absl::Duration kMost = absl::Microseconds(100);
  // A wait that was slept through and was for a moment: the waking is part of it, on both sides.
  static constexpr absl::Duration kMoment = absl::Microseconds(250);
  // What was there already says nothing about waiting.
  static constexpr absl::Duration kInstant = absl::Microseconds(3);
  // Such waits that are a sign, where each longer one takes away two: at first, and at the most.
  static constexpr int kFewest = 16;
  static constexpr int kMany = 1024;
  // Eight finds make up for a look in vain, and four more of those than that end it: a vain look
  // takes 100 us of the processor, a find saves 10 to 60.
  static constexpr int kFindsPerMiss = 8;
  static constexpr int kCredit = 4 * kFindsPerMiss;
  // Looking that has found so much paid.
  static constexpr int kPaid = 64;

  bool worthwhile() const { return looking_; }

  // A wait that was slept through.
  void Slept(absl::Duration wait) {
    if (wait < kInstant) return;
    moments_ = wait < kMoment ? moments_ + 1 : std::max(moments_ - 2, 0);
    if (moments_ < needed_) return;
    looking_ = true;
    credit_ = kCredit;
    finds_ = 0;
  }
  // It was looked, not for the first time, and something was there.
  void Found() {
    credit_ = std::min(credit_ + 1, kCredit);
    finds_ = std::min(finds_ + 1, kPaid);
  }
  void Missed() {
    credit_ -= kFindsPerMiss;
    if (credit_ > 0) return;
    looking_ = false;
    moments_ = 0;
    needed_ = finds_ < kPaid ? std::min(needed_ * 2, kMany) : kFewest;
  }

 private:
  bool looking_ = false;
  int moments_ = 0;
  int needed_ = kFewest;
  int credit_ = 0;
  int finds_ = 0;
};

}  // namespace atoll::rpc
