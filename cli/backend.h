// What the commands ask of a cluster: the part of atoll::Client and atoll::AdminClient that the CLI
// uses, so that the output of every command can be tested against a fake.
//
// Thread safety: none; one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/include/atoll/admin.h"
#include "client/include/atoll/client.h"

namespace atoll::cli {

class Backend {
 public:
  virtual ~Backend() = default;

  // As the methods of Client of the same names. Options carry namespace and timeout.
  virtual absl::StatusOr<GetResult> Get(std::string_view key, const GetOptions& options) = 0;
  virtual absl::StatusOr<GetResult> GetAndTouch(std::string_view key,
                                                const TouchOptions& options) = 0;
  virtual absl::StatusOr<WriteResult> Set(std::string_view key, std::string_view value,
                                          const SetOptions& options) = 0;
  virtual absl::StatusOr<WriteResult> Add(std::string_view key, std::string_view value,
                                          const SetOptions& options) = 0;
  virtual absl::StatusOr<WriteResult> Replace(std::string_view key, std::string_view value,
                                              const SetOptions& options) = 0;
  virtual absl::StatusOr<WriteResult> CompareAndSwap(std::string_view key, std::string_view value,
                                                     uint64_t expected_version,
                                                     const SetOptions& options) = 0;
  virtual absl::StatusOr<WriteResult> Touch(std::string_view key, const TouchOptions& options) = 0;
  virtual absl::StatusOr<WriteResult> Append(std::string_view key, std::string_view suffix,
                                             const CallOptions& options) = 0;
  virtual absl::StatusOr<WriteResult> Prepend(std::string_view key, std::string_view prefix,
                                              const CallOptions& options) = 0;
  virtual absl::StatusOr<CounterResult> Increment(std::string_view key, int64_t delta,
                                                  const CounterOptions& options) = 0;
  virtual absl::StatusOr<CounterResult> Decrement(std::string_view key, int64_t delta,
                                                  const CounterOptions& options) = 0;
  virtual Client::Results<GetResult> MultiGet(absl::Span<const std::string_view> keys,
                                              const MultiGetOptions& options) = 0;
  virtual Client::Results<WriteResult> MultiSet(absl::Span<const SetEntry> entries,
                                                const CallOptions& options) = 0;
  virtual Client::Results<WriteResult> MultiDelete(absl::Span<const std::string_view> keys,
                                                   const CallOptions& options) = 0;
  virtual absl::StatusOr<ScanPage> Scan(const ScanOptions& options) = 0;
  virtual absl::Status Flush(const CallOptions& options) = 0;

  // As the methods of AdminClient of the same names.
  virtual absl::StatusOr<Namespace> CreateNamespace(std::string_view name,
                                                    const NamespaceSettings& settings) = 0;
  virtual absl::StatusOr<Namespace> UpdateNamespace(std::string_view name,
                                                    const NamespaceSettings& settings) = 0;
  virtual absl::StatusOr<std::vector<Namespace>> ListNamespaces() = 0;
  virtual absl::Status DropNamespace(std::string_view name) = 0;
  virtual absl::StatusOr<NodeList> ListNodes() = 0;
  virtual absl::Status DrainNode(std::string_view name, bool undo) = 0;
  virtual absl::StatusOr<std::vector<NodeAnswer>> Stats() = 0;
  virtual absl::StatusOr<Topology> GetTopology() = 0;
  virtual absl::StatusOr<Explanation> Explain(std::string_view key, std::string_view ns) = 0;
  virtual absl::StatusOr<ClusterHealth> Health() = 0;
  virtual absl::StatusOr<absl::Duration> Ping(std::string_view address) = 0;

  // Lets time pass between two looks at the cluster.
  virtual void Sleep(absl::Duration duration) = 0;
};

// On the client library. Connects with the first call; only what a command needs.
absl::StatusOr<std::unique_ptr<Backend>> MakeClientBackend(const ClientOptions& options);

}  // namespace atoll::cli
