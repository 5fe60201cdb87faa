// The client's connections: one link per node, the threads that serve them, and which of them to
// leave alone.
//
// Thread safety: all methods; Stop not from a poller.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/mutex.h"
#include "client/breaker.h"
#include "client/include/atoll/options.h"
#include "rpc/batch_stream.h"

namespace grpc {
class Channel;
class ChannelCredentials;
class CompletionQueue;
}  // namespace grpc

namespace atoll::rpc {
class LoneStream;
class Poller;
class Timers;
}  // namespace atoll::rpc

namespace atoll::client {

class StepAside;

// A completion queue with its thread, and timers on it.
struct IoThread {
  IoThread();
  ~IoThread();
  std::unique_ptr<rpc::Poller> poller;
  std::unique_ptr<rpc::Timers> timers;
  std::unique_ptr<StepAside> aside;
};

// One node's connections. Made by Nodes, and destroyed by it alone: streams must not end on their
// own poller.
class NodeLink {
 public:
  static constexpr size_t kMostStreams = 4;
  // A stream with so much outstanding is full: its messages cannot get much better by more.
  static constexpr size_t kFullOperations = 1024;
  static constexpr size_t kFullBytes = size_t{1} << 20;

  // `io`: the threads; the first stream's is `io[first % io.size()]`.
  NodeLink(std::string address, absl::Span<const std::unique_ptr<IoThread>> io, size_t first,
           std::shared_ptr<grpc::ChannelCredentials> credentials, const std::string& server_name,
           const ClientOptions& options);
  ~NodeLink();
  NodeLink(const NodeLink&) = delete;
  NodeLink& operator=(const NodeLink&) = delete;

  const std::string& address() const { return address_; }
  // For keys that the node owns: it refuses others. The first stream that is not full, of up to
  // kMostStreams.
  rpc::BatchStream& Direct() ABSL_LOCKS_EXCLUDED(mu_) {
    return Full(*direct_[0]) ? DirectOfSeveral() : *direct_[0];
  }
  // For keys of any owner.
  rpc::BatchStream& forwarding() { return *forwarding_; }
  // As forwarding(), for values to 1 MiB: on bulk().
  rpc::BatchStream& large() { return *large_; }
  // As Direct(), for a caller who is alone.
  rpc::LoneStream& lone() { return *lone_; }
  // Whether that is so, as it seems: nothing was under way when the last calls came.
  bool CallerIsAlone();
  // Something was started for the poller to finish.
  void RecallPoller();
  // A number for the message that is written next, unlike that of other links.
  size_t next_message() const { return number_ + direct_[0]->messages() % kNumbers; }
  // What the poller would have to finish.
  size_t outstanding() const;
  uint64_t messages() const;
  uint64_t slowdowns() const;
  void Shutdown();
  bool drained() const;
  void Stop();
  // A second connection, on which large values do not hold up small ones.
  const std::shared_ptr<grpc::Channel>& bulk() const { return bulk_; }
  // Whether it may be used as it was before, without asking Nodes: it was not given up, and its
  // breaker knows of no error.
  bool untroubled() const { return !troubled_.load(std::memory_order_relaxed); }
  grpc::CompletionQueue* queue() const;
  rpc::Timers* timers() const { return io(0).timers.get(); }

 private:
  friend class Nodes;

  static bool Full(const rpc::BatchStream& stream) {
    return stream.outstanding() >= kFullOperations || stream.outstanding_bytes() >= kFullBytes;
  }
  rpc::BatchStream& DirectOfSeveral() ABSL_LOCKS_EXCLUDED(mu_);
  template <typename Visit>
  void ForEachStream(Visit visit) const;
  IoThread& io(size_t stream) const { return *io_[(first_io_ + stream) % io_.size()]; }
  std::shared_ptr<grpc::Channel> Connection() const;

  const std::string address_;
  // Written under Nodes' lock. Relaxed: who misses a change finds out by an error.
  std::atomic<bool> troubled_{false};
  const absl::Span<const std::unique_ptr<IoThread>> io_;
  const size_t first_io_;
  static constexpr size_t kNumbers = 8;
  const size_t number_ = first_io_ * kNumbers;
  const std::shared_ptr<grpc::ChannelCredentials> credentials_;
  const std::string server_name_;
  rpc::BatchStreamOptions stream_options_;
  const size_t most_streams_;
  // Each on a connection and a thread of its own, as far as there are threads. Made under the lock,
  // never unmade; `open_` (release and acquire) counts those that are there.
  std::array<std::unique_ptr<rpc::BatchStream>, kMostStreams> direct_;
  std::atomic<size_t> open_{1};
  bool shut_down_ ABSL_GUARDED_BY(mu_) = false;
  std::unique_ptr<rpc::BatchStream> forwarding_;
  // Connects when it is first used.
  const std::shared_ptr<grpc::Channel> bulk_;
  std::unique_ptr<rpc::BatchStream> large_;
  std::unique_ptr<rpc::LoneStream> lone_;
  // Calls in a row that found nothing under way. Relaxed: a guess.
  std::atomic<int> quiet_calls_{0};
  base::Mutex mu_;
};

using LinkPtr = std::shared_ptr<NodeLink>;

class Nodes {
 public:
  static absl::StatusOr<std::unique_ptr<Nodes>> Create(const ClientOptions& options);
  ~Nodes();
  Nodes(const Nodes&) = delete;
  Nodes& operator=(const Nodes&) = delete;

  // The link to that address, made if need be; nullptr after Shutdown.
  LinkPtr Link(const std::string& address) ABSL_LOCKS_EXCLUDED(mu_);
  // The same, but nullptr if the node is to be left alone now.
  LinkPtr LinkIfAllowed(const std::string& address) ABSL_LOCKS_EXCLUDED(mu_);
  // A node to send an operation through that its owner cannot be sent: another one than `avoid`
  // where there is another. nullptr after Shutdown.
  LinkPtr AnyLink(const std::string& avoid) ABSL_LOCKS_EXCLUDED(mu_);
  // How an operation fared at a node.
  void Record(const std::string& address, bool ok) ABSL_LOCKS_EXCLUDED(mu_);
  void Record(NodeLink& link, bool ok) ABSL_LOCKS_EXCLUDED(mu_) {
    if (!ok || !link.untroubled()) Record(link.address(), ok);
  }

  // The nodes of the newest map: links to others are given up, but for the endpoints'.
  void SetMembers(std::vector<std::string> addresses) ABSL_LOCKS_EXCLUDED(mu_);
  // Endpoints, and members of the map.
  std::vector<std::string> Candidates() const ABSL_LOCKS_EXCLUDED(mu_);

  const std::shared_ptr<grpc::ChannelCredentials>& credentials() const { return credentials_; }
  const std::string& server_name() const { return options_.credentials.server_name; }
  // A lone caller does its own I/O: the poller had better not be in its way, nor those of the
  // process's other clients, where they have nothing to do.
  void LoneCall() ABSL_LOCKS_EXCLUDED(mu_);
  // Calls beside the streams, which the poller is needed for.
  void CallBegins();
  void CallEnds() { other_calls_.fetch_sub(1, std::memory_order_relaxed); }

  IoThread& io(size_t index) { return *io_[index % io_.size()]; }
  uint64_t messages() const ABSL_LOCKS_EXCLUDED(mu_);
  uint64_t slowdowns() const ABSL_LOCKS_EXCLUDED(mu_);

  // Makes no link any more, and fails everything on those there are.
  void Shutdown() ABSL_LOCKS_EXCLUDED(mu_);
  // After Shutdown: waits until gRPC has given everything back, and joins the threads. Everything
  // else on the queues must have been stopped.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  Nodes(const ClientOptions& options, std::shared_ptr<grpc::ChannelCredentials> credentials);

  // False where the poller is away already, or has something to do.
  bool GoAside() ABSL_LOCKS_EXCLUDED(mu_);
  LinkPtr LinkLocked(const std::string& address) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  const std::vector<std::string>& AskableLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const ClientOptions options_;
  const std::shared_ptr<grpc::ChannelCredentials> credentials_;
  std::vector<std::unique_ptr<IoThread>> io_;

  std::atomic<int> other_calls_{0};  // relaxed: a hint
  mutable base::Mutex mu_;
  absl::flat_hash_map<std::string, LinkPtr> links_ ABSL_GUARDED_BY(mu_);
  // Given up, but perhaps still in use, or not drained.
  std::vector<LinkPtr> retired_ ABSL_GUARDED_BY(mu_);
  std::vector<std::string> members_ ABSL_GUARDED_BY(mu_);
  Breakers breakers_ ABSL_GUARDED_BY(mu_);
  size_t next_io_ ABSL_GUARDED_BY(mu_) = 0;
  size_t next_any_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t retired_messages_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t retired_slowdowns_ ABSL_GUARDED_BY(mu_) = 0;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  bool stopped_ = false;
};

}  // namespace atoll::client
