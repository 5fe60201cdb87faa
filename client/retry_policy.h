// What becomes of an operation whose try failed: whether there is another one, when, and what its
// caller is told otherwise. The rules, apart from sending.
//
// A try that ended without being carried out may be followed by another: not sent at all, or
// refused by the node with a typed error. One that may have been carried out is followed only where
// that does no harm (RetryRule); else the operation ends with ABORTED, reason AMBIGUOUS. Retries
// are limited to ClientOptions::max_attempts, and come out of a budget common to the client.
// Following the map, and waiting for a primary that is on its way, are no retries.
//
// Thread safety: all methods; an Attempts is its operation's.
#pragma once

#include <atomic>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/include/atoll/options.h"
#include "client/retry_budget.h"
#include "rpc/batch_operation.h"

namespace atoll::client {

// When a try may be followed by another.
enum class RetryRule : uint8_t {
  kAlways,         // It changes nothing, or it carries a request id.
  kOnlyUnapplied,  // A delayed first try must not undo a later write of someone else (R4).
};

// What is known of one operation's tries.
struct Attempts {
  RetryRule rule = RetryRule::kAlways;
  bool write = false;
  bool may_be_applied = false;   // by an earlier try
  bool through_another = false;  // the next try goes through another node than the owner's
  int tries = 0;
  int redirects = 0;
  int waits = 0;  // for a primary that serves
};

struct Decision {
  // Not OK: the operation ends so. OK: there is another try, after the pause.
  absl::Status end;
  absl::Duration pause;
};

class RetryPolicy {
 public:
  // Refusals by ownership that one operation follows. While a partition moves the map and the nodes
  // may point at each other for a moment; past this, a node that forwards sorts it out.
  static constexpr int kMaxRedirects = 3;

  RetryPolicy(int max_attempts, double budget) : max_attempts_(max_attempts), budget_(budget) {}

  // A call is made.
  void Earn() { budget_.Earn(); }
  // False: there are no retries left.
  bool Spend();
  // Before the n-th retry, from 1: 10 ms, doubling to 160, half to one and a half of that.
  static absl::Duration Pause(int retry);

  // The node answered with an error. `mended`: it was WRONG_OWNER, and told the table something
  // new.
  Decision AfterRefusal(Attempts& attempts, const absl::Status& status, bool mended,
                        absl::Duration left);
  // The stream failed the operation. `closed`: the client is.
  Decision AfterBreak(Attempts& attempts, const absl::Status& status, rpc::Fate fate, bool closed,
                      absl::Duration left);
  // As the caller is told: what an earlier try may have done is not undone by the refusal of a
  // later one.
  static absl::Status Final(const Attempts& attempts, absl::Status status);

  // Whether a node that answers so has not carried the operation out, and another try may fare
  // better.
  static bool IsPassingRefusal(const absl::Status& status);

  uint64_t retries() const { return retries_.load(std::memory_order_relaxed); }

 private:
  Decision Again(const Attempts& attempts, const absl::Status& status, bool pause,
                 absl::Duration left);

  const int max_attempts_;
  RetryBudget budget_;
  std::atomic<uint64_t> retries_{0};  // relaxed: a figure
};

}  // namespace atoll::client
