// How a crowd of blocking callers keeps going by one message, without sleeping.
//
// To sleep and to be woken takes a caller 4 us of the processor, a change of threads one. So while
// there is a crowd its callers give way to each other for a while before they sleep (Waiter), and
// nobody waits for them: the last of those who were answered writes the message for all, when he
// asks again. Who has given way in vain says that it is to go without those who are not back
// (GiveUp), and so does time: kPatience after the answers.
//
// (Of fewer callers one is mostly all that could run. The waker waits for those: gathering.h.)
//
// Thread safety: none. Pure: time is an argument (BootTime).
#pragma once

#include <cstddef>

#include "absl/time/time.h"

namespace atoll::rpc {

class Crowd {
 public:
  // So many outstanding make a crowd, until so many messages of answers in a row find less than
  // half of it: a message that went without most of them finds few.
  static constexpr size_t kFewest = 32;
  static constexpr int kMostFew = 8;
  // Far longer than all take to come back, or to give up on the rest.
  static constexpr absl::Duration kPatience = absl::Milliseconds(5);

  // A message of answers has come: operations that wait or are under way, its own among them.
  void Count(size_t outstanding, absl::Duration now) {
    few_ = outstanding < kFewest / 2 ? few_ + 1 : 0;
    there_ = outstanding >= kFewest || (there_ && few_ < kMostFew);
    if (!there_) expected_ = 0;
    patience_ends_ = now + kPatience;
  }
  bool there() const { return there_; }

  // A caller who blocks is answered, and asks again.
  void Answered() { ++expected_; }
  void Came() {
    if (expected_ > 0) --expected_;
  }
  // Nobody else is waited for until there are answers again.
  void GiveUp() { expected_ = 0; }

  // What blocking callers ask waits for those who are to come.
  bool Holds() const { return there_ && expected_ > 0; }
  // When it stops waiting.
  absl::Duration patience_ends() const { return patience_ends_; }

 private:
  bool there_ = false;
  int few_ = 0;
  size_t expected_ = 0;
  absl::Duration patience_ends_ = -absl::InfiniteDuration();
};

}  // namespace atoll::rpc
