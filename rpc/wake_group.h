// Where blocking callers sleep until their answers are there: those who go by one message sleep on
// one word, and are woken by one call of the kernel.
//
// Each has a flag of its own that says whether it is done; the word only says "look again". So it
// costs nothing but time when somebody shares a word with others than those of its message, or its
// answer comes by another. Words live as long as the process: a caller may look at one when
// everything else of its call is gone.
//
// Thread safety: all methods; Wait by one thread, Wake once by any. A Waiter may be destroyed as
// soon as Wait has returned.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace atoll::rpc {

class BatchStream;
class WakeScope;

class Waiter {
 public:
  static constexpr size_t kGroups = 256;

  // In a group of this thread's own, as long as there are not too many threads.
  Waiter();
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  // Who is woken together. Before the waiter is known to any other thread; any number will do.
  void JoinGroup(size_t group) { group_ = static_cast<uint16_t>(group % kGroups); }

  // For one of a crowd of blocking callers of this stream (rpc/crowd.h): Wait gives the processor
  // away a few times, and tells the stream to send what it holds, before it sleeps. Before the
  // waiter is known to any other thread. The stream is kept until the waiter is gone.
  void JoinCrowd(std::shared_ptr<BatchStream> stream) { crowd_ = std::move(stream); }

  // What happened before Wake is seen after it.
  void Wait();
  // At the end of this thread's WakeScope, where there is one. The last thing that is done to the
  // waiter.
  void Wake();

 private:
  // Each time is about a round of the crowd's. Where the processor has nothing else to do they pass
  // in 1 us.
  static constexpr int kTimesToGiveWay = 4;

  // The crowd's way: true if it was done meanwhile.
  bool GiveWay();

  std::atomic<bool> done_{false};
  uint16_t group_;
  std::shared_ptr<BatchStream> crowd_;
};

// Puts off this thread's wake-ups until it ends. Scopes do not nest: an inner one does nothing.
class WakeScope {
 public:
  WakeScope();
  ~WakeScope();
  WakeScope(const WakeScope&) = delete;
  WakeScope& operator=(const WakeScope&) = delete;

  // Wakes those whose wake-up this thread has put off so far: something else may take long.
  static void Flush();

 private:
  friend class Waiter;
  // Most messages wake one group; what is beyond is woken at once.
  static constexpr size_t kMostGroups = 8;

  bool outermost_ = false;
  size_t count_ = 0;
  uint16_t groups_[kMostGroups];
};

}  // namespace atoll::rpc
