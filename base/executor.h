// A few threads that run short tasks from a bounded queue.
//
// Thread safety: all methods. Ownership: whoever makes it stops it; the destructor does so too.
#pragma once

#include <cstddef>
#include <deque>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "base/mutex.h"

namespace atoll::base {

class Executor {
 public:
  using Task = absl::AnyInvocable<void()>;

  // Starts `threads` (at least 1). At most `max_queued` tasks wait.
  Executor(int threads, size_t max_queued);
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // False, and the task is dropped, if the queue is full or Stop was called.
  bool TrySubmit(Task task) ABSL_LOCKS_EXCLUDED(mu_);
  // Refuses new tasks, runs those that wait, joins the threads. Not from a task.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mu_);

  const size_t max_queued_;
  Mutex mu_;
  CondVar changed_;
  std::deque<Task> queue_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  // Emptied by the first Stop.
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mu_);
};

}  // namespace atoll::base
