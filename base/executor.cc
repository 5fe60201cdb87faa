#include "base/executor.h"

#include <algorithm>
#include <utility>

namespace atoll::base {

Executor::Executor(int threads, size_t max_queued) : max_queued_(max_queued) {
  MutexLock lock(mu_);
  for (int i = 0; i < std::max(threads, 1); ++i) {
    threads_.emplace_back([this] { Run(); });
  }
}

Executor::~Executor() { Stop(); }

bool Executor::TrySubmit(Task task) {
  MutexLock lock(mu_);
  if (stopping_ || queue_.size() >= max_queued_) {
    return false;
  }
  queue_.push_back(std::move(task));
  changed_.Signal();
  return true;
}

void Executor::Stop() {
  std::vector<std::thread> threads;
  {
    MutexLock lock(mu_);
    stopping_ = true;
    threads.swap(threads_);
  }
  changed_.SignalAll();
  for (std::thread& thread : threads) {
    thread.join();
  }
}

void Executor::Run() {
  while (true) {
    Task task;
    {
      MutexLock lock(mu_);
      while (queue_.empty() && !stopping_) {
        changed_.Wait(mu_);
      }
      if (queue_.empty()) {
        return;
      }
      task = std::move(queue_.front());
      queue_.pop_front();
    }
    task();
  }
}

}  // namespace atoll::base
