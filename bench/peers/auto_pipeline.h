// What the better client libraries of memcached and Redis do for many blocking callers: they share
// a connection, and what they ask for at about the same time travels in one message.
//
// Thread safety: Get by any number of threads.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "bench/peers/connection.h"
#include "bench/peers/requests.h"
#include "bench/peers/socket.h"

namespace atoll::bench {

class AutoPipeline {
 public:
  // `one_message`: a message leaves only when every request of the one before it is answered.
  static absl::StatusOr<std::unique_ptr<AutoPipeline>> Connect(PeerKind kind, uint16_t port,
                                                               bool one_message);
  // No Get may be under way.
  ~AutoPipeline();
  AutoPipeline(const AutoPipeline&) = delete;
  AutoPipeline& operator=(const AutoPipeline&) = delete;

  // Sends a get of one key, as AppendRead made it, and waits for its answer: hits.
  absl::StatusOr<uint64_t> Get(std::string_view request);

 private:
  // A caller, on its stack.
  struct Waiter {
    absl::Status status;
    uint64_t hits = 0;
    std::atomic<int> answered{0};
  };

  AutoPipeline(PeerKind kind, std::unique_ptr<Socket> socket, bool one_message)
      : kind_(kind), socket_(std::move(socket)), one_message_(one_message) {}

  void ReadAnswers();
  // Sends what has gathered, as long as it may; one thread at a time.
  void SendLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void FailAll(const absl::Status& status);
  static void Wake(Waiter* waiter);

  const PeerKind kind_;
  const std::unique_ptr<Socket> socket_;
  const bool one_message_;
  std::thread reader_;

  base::Mutex mu_;
  // Requests that gathered, and whose they are.
  std::string gathered_ ABSL_GUARDED_BY(mu_);
  std::vector<Waiter*> gathered_waiters_ ABSL_GUARDED_BY(mu_);
  // Whose requests were sent and are not yet known to the reading thread, in the order of their
  // answers.
  std::vector<Waiter*> sent_ ABSL_GUARDED_BY(mu_);
  size_t unanswered_ ABSL_GUARDED_BY(mu_) = 0;
  bool sending_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status broken_ ABSL_GUARDED_BY(mu_);
  // The reading thread's own.
  std::deque<Waiter*> expected_;
};

}  // namespace atoll::bench
