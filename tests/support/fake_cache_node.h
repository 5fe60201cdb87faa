// Nodes that only look like Atoll to a client: real gRPC servers on free ports over one common map
// of entries, with faults on demand.
//
// A FakeCluster owns entries and placement; each FakeCacheNode answers as the node of its name
// would, forwarding included (a fake forwards by looking into the common entries). Neither
// replicates nor expires anything: for tests of routing, batching and failure only.
//
// Thread safety: all methods, but for Start and Stop of one node at the same time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "atoll/v1/cache.pb.h"
#include "base/mutex.h"
#include "ring/placement_map.h"

namespace grpc {
class Server;
class ServerContext;
}  // namespace grpc

namespace atoll::test {

// Entries and placement that all nodes of a fake cluster share.
class FakeCacheCluster {
 public:
  struct Entry {
    std::string value;
    uint64_t version = 0;
    uint32_t flags = 0;
    std::optional<int64_t> ttl_ms;
    int64_t max_idle_ms = 0;
  };

  // Carries an operation out as the primary of its key would. Never WRONG_OWNER.
  // Values above `largest` are answered USE_STREAM.
  v1::OperationResult Execute(const v1::Operation& operation, size_t largest = size_t{64} << 10);
  // As Execute, for a value of any size.
  v1::GetResponse Read(const v1::GetRequest& get);
  v1::SetResponse Store(const v1::SetRequest& set);

  // As nodes show it to clients. Watchers get it too, unless `announce` is false: then only the
  // nodes know.
  void SetMap(ring::PlacementMap map, bool announce = true);
  std::shared_ptr<const ring::PlacementMap> map() const;
  // Waits until the announced map is newer than `version`, or `cancelled`.
  std::shared_ptr<const ring::PlacementMap> WaitForNewer(uint64_t version,
                                                         const std::function<bool()>& cancelled);

  std::optional<Entry> Find(const std::string& ns, const std::string& key) const;
  void Put(const std::string& ns, const std::string& key, Entry entry);
  void Erase(const std::string& ns, const std::string& key);

  // Values handed to a reader so far.
  int64_t values_read() const;

 private:
  v1::GetResponse ReadLocked(const v1::GetRequest& get) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ExecuteOneLocked(const v1::Operation& operation, size_t largest, v1::OperationResult* result)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // What depends on the value that is there.
  void EditOneLocked(const v1::Operation& operation, v1::OperationResult* result)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void IncrementLocked(const v1::IncrementRequest& request, v1::OperationResult* result)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ExecuteManyLocked(const v1::Operation& operation, size_t largest,
                         v1::OperationResult* result) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  template <typename Request>
  uint64_t PutLocked(const Request& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  mutable base::Mutex mu_;
  base::CondVar changed_;
  std::map<std::pair<std::string, std::string>, Entry> entries_ ABSL_GUARDED_BY(mu_);
  // Results of operations with a request id: a retry gets the first answer.
  std::map<std::pair<uint64_t, uint64_t>, v1::OperationResult> remembered_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<const ring::PlacementMap> map_ ABSL_GUARDED_BY(mu_) =
      std::make_shared<ring::PlacementMap>();
  std::shared_ptr<const ring::PlacementMap> announced_ ABSL_GUARDED_BY(mu_) = map_;
  uint64_t next_version_ ABSL_GUARDED_BY(mu_) = 1;
  int64_t values_read_ ABSL_GUARDED_BY(mu_) = 0;
};

// What a hook does with an operation instead of carrying it out.
struct FakeAnswer {
  // Not OK: the operation is answered so.
  absl::Status status;
  // The operation is carried out (before anything below).
  bool execute = false;
  // No answer at all.
  bool drop = false;
  // The stream is cut, unanswered.
  bool cut = false;
};

class FakeCacheNode {
 public:
  // `name` is the node's in the cluster's maps.
  FakeCacheNode(FakeCacheCluster* cluster, std::string name);
  ~FakeCacheNode();
  FakeCacheNode(const FakeCacheNode&) = delete;
  FakeCacheNode& operator=(const FakeCacheNode&) = delete;

  // Listens; on the port of the first Start where there was one before.
  void Start();
  // As a dead process: streams break, connections are refused.
  void Stop();
  const std::string& address() const { return address_; }
  const std::string& name() const { return name_; }

  // Called for each operation that arrives by Exchange, on the stream's thread; may block. nullopt:
  // carry on as usual. Also called for GetStream (kind get) and SetStream (kind set).
  using Hook = std::function<std::optional<FakeAnswer>(const v1::Operation&)>;
  void SetHook(Hook hook);
  // In a hook: the operation came by a stream that takes large values.
  static bool ForLargeValues();
  // As a node of before there were such streams.
  void IgnoreValueLimits() { ignores_limits_ = true; }
  // Breaks every stream under way.
  void CutStreams();

  // Operations that arrived, messages that carried them, and how many were refused by ownership.
  int64_t operations() const;
  int64_t messages() const;
  // Of them, those whose caller waits for a message in return (ExchangeRequest.answer_at_once).
  int64_t awaiting_messages() const;
  int64_t wrong_owner() const;
  int64_t streams_opened() const;

 private:
  class Cache;
  class Topology;
  friend class Cache;
  friend class Topology;

  Hook hook() const;
  // WRONG_OWNER for the first key of `operation` that is not this node's.
  std::optional<absl::Status> Refusal(const v1::Operation& operation);
  void Opened(grpc::ServerContext* context);
  void Closed(grpc::ServerContext* context);

  FakeCacheCluster* const cluster_;
  const std::string name_;
  std::string address_;
  std::unique_ptr<Cache> cache_;
  std::unique_ptr<Topology> topology_;
  std::unique_ptr<grpc::Server> server_;

  mutable base::Mutex mu_;
  Hook hook_ ABSL_GUARDED_BY(mu_);
  std::atomic<bool> ignores_limits_{false};
  std::set<grpc::ServerContext*> open_ ABSL_GUARDED_BY(mu_);
  int64_t operations_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t messages_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t awaiting_messages_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t wrong_owner_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t streams_opened_ ABSL_GUARDED_BY(mu_) = 0;
};

// A map in which partition p belongs to nodes[p % nodes.size()], with the next node in sync.
ring::PlacementMap MapOf(const std::vector<FakeCacheNode*>& nodes, uint64_t version);

}  // namespace atoll::test
