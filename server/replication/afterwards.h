// What is better done once at the end than again and again on the way: a thread that is handed many
// things at once (a message's acknowledgements) opens a Scope, and what they set off (answers to
// callers) is gathered until it closes.
//
// Thread safety: every thread has a scope of its own.
#pragma once

#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"

namespace atoll::replication {

class Afterwards {
 public:
  using Call = absl::AnyInvocable<void()>;

  class Scope {
   public:
    Scope() : outer_(std::exchange(current_, this)) {}
    ~Scope() {
      current_ = outer_;
      for (Call& call : calls_) call();
    }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    friend class Afterwards;
    Scope* const outer_;
    std::vector<Call> calls_;
  };

  static bool InScope() { return current_ != nullptr; }
  // In a scope only: calls it at the scope's end, with no lock of the scope's thread held.
  static void Do(Call call) { current_->calls_.push_back(std::move(call)); }

 private:
  static inline thread_local Scope* current_ = nullptr;
};

}  // namespace atoll::replication
