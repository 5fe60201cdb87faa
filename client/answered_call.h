// How the end of a call reaches the one who asked: by a callback, or by waking a caller who waits.
//
// Thread safety: none of its own; see Call.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "client/call.h"
#include "client/spare_memory.h"
#include "rpc/wake_group.h"

namespace atoll::client {

class Engine;

// Counts a call's end.
void CountEnd(Engine* engine, bool ok);

// Set while a callback of the caller's runs in this thread: a blocking call would wait there for
// itself.
class CallbackScope {
 public:
  CallbackScope() : before_(std::exchange(active, true)) {
    // The caller's code may take long.
    rpc::WakeScope::Flush();
  }
  ~CallbackScope() { active = before_; }
  CallbackScope(const CallbackScope&) = delete;
  CallbackScope& operator=(const CallbackScope&) = delete;

  static bool Active() { return active; }

 private:
  static thread_local bool active;
  const bool before_;
};

template <typename R>
class AnsweredCall : public Call {
 public:
  using Result = R;
  // Once; the last thing that is done to the call, of which the result is no part.
  virtual void Answer(absl::StatusOr<R>&& result) = 0;

  // nullptr: a part of a call, which is not counted and whose callback is the client's own.
  Engine* engine = nullptr;
  // Its end has been counted by others.
  bool counted = false;
};

// On the heap; destroys itself.
template <typename Base>
class Async final : public Base {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<typename Base::Result>)>;
  Async(Engine* counting, Done&& done) : done_(std::move(done)) { this->engine = counting; }

  static void* operator new(size_t /*size*/) { return SpareMemory<Async>::Take(); }
  static void operator delete(void* place) { SpareMemory<Async>::Give(place); }

  void Answer(absl::StatusOr<typename Base::Result>&& result) override {
    // Until the callback is through, which may see the client destroyed: nothing of it is used
    // then.
    const std::unique_ptr<Async> self(this);
    if (this->engine == nullptr) {
      done_(std::move(result));
      return;
    }
    if (!this->counted) CountEnd(this->engine, result.ok());
    const CallbackScope scope;
    done_(std::move(result));
  }

 private:
  Done done_;
};

// On the stack of the caller, who calls Wait when the call was started.
template <typename Base>
class Blocking final : public Base {
 public:
  explicit Blocking(Engine* counting) {
    this->engine = counting;
    this->blocking = this->alone = true;
    this->waiter = &waiter_;
  }

  void Answer(absl::StatusOr<typename Base::Result>&& result) override {
    if (!this->counted) CountEnd(this->engine, result.ok());
    result_.emplace(std::move(result));
    waiter_.Wake();
  }
  absl::StatusOr<typename Base::Result> Wait() {
    waiter_.Wait();
    return *std::move(result_);
  }

 private:
  std::optional<absl::StatusOr<typename Base::Result>> result_;
  rpc::Waiter waiter_;
};

}  // namespace atoll::client
