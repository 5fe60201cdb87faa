// How long the thread that woke blocking callers waits for what they ask next, so that it goes by
// one message.
//
// A caller who blocks asks again as soon as he runs. Without a wait the first of those who were
// woken writes a message of one operation, and all others wait for the answer to it. So the waker
// gives its processor to them, again and again, until all are back, or several times in a row
// nobody came: then those who are not back do something else. It tries less often where they did
// not come back the last time.
//
//   gathering.Woken();                        // for each, before it is woken
//   gathering.Begin(waiting, now);            // when all are
//   while (gathering.GoesOn(waiting, now)) sched_yield();
//
// Thread safety: none. Pure: time is an argument (BootTime).
#pragma once

#include <algorithm>
#include <cstddef>

#include "absl/time/time.h"

namespace atoll::rpc {

class Gathering {
 public:
  // Tries in a row without a newcomer.
  static constexpr int kMostIdle = 16;
  // Beyond it the others have waited too long for the last of them.
  static constexpr absl::Duration kLongest = absl::Microseconds(200);

  void Woken() { ++woken_; }
  // From the first caller woken until GoesOn is false: who asks meanwhile leaves the writing to
  // the waker.
  bool active() const { return woken_ > 0; }

  // `waiting`: operations that wait to be sent.
  void Begin(size_t waiting, absl::Duration now) {
    began_with_ = seen_ = waiting;
    idle_ = 0;
    ends_ = now + kLongest;
  }

  bool GoesOn(size_t waiting, absl::Duration now) {
    if (woken_ == 0) return false;
    idle_ = waiting > seen_ ? 0 : idle_ + 1;
    seen_ = waiting;
    const size_t back = waiting > began_with_ ? waiting - began_with_ : 0;
    if (back < woken_ && idle_ <= patience_ && now < ends_) return true;
    patience_ = back * 2 >= woken_ ? kMostIdle : std::max(1, patience_ / 2);
    woken_ = 0;
    return false;
  }

 private:
  size_t woken_ = 0;
  size_t began_with_ = 0;
  size_t seen_ = 0;
  int idle_ = 0;
  int patience_ = kMostIdle;
  absl::Duration ends_;
};

}  // namespace atoll::rpc
