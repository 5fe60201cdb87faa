// A cluster of real processes: one etcd and any number of atolld, on 127.0.0.1, on ports that they
// choose, with data folders that last as long as the test.
//
// Thread safety: none; from the test's main thread. Where the test failed, the destructor prints
// the end of every log.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/include/atoll/admin.h"
#include "client/include/atoll/client.h"
#include "tests/support/child_process.h"
#include "tests/support/etcd_process.h"

namespace atoll::test {

struct TestClusterOptions {
  int nodes = 3;
  int replication_factor = 2;
  // One node without etcd, and no more.
  bool standalone = false;
  std::string memory = "64MiB";
  bool data_folders = true;
  // For every node.
  std::vector<std::string> flags;
  // Of every client that the cluster makes, its own questions among them.
  Credentials credentials;
};

class TestCluster {
 public:
  // Starts everything and waits until it is healthy.
  static absl::StatusOr<std::unique_ptr<TestCluster>> Start(const TestClusterOptions& options = {});
  ~TestCluster();
  TestCluster(const TestCluster&) = delete;
  TestCluster& operator=(const TestCluster&) = delete;

  int size() const { return static_cast<int>(nodes_.size()); }
  EtcdProcess& etcd() { return *etcd_; }

  // --- Nodes, from 0 ---
  bool running(int node) { return nodes_[node].process && nodes_[node].process->Running(); }
  // Of the client listener, of the peer listener, of the admin page; as of its last start.
  const std::string& address(int node) const { return nodes_[node].client; }
  const std::string& peer_address(int node) const { return nodes_[node].peer; }
  const std::string& admin_address(int node) const { return nodes_[node].admin; }
  static std::string NameOf(int node);
  std::string log_path(int node) const;
  std::string data_folder(int node) const;

  // SIGKILL.
  void Kill(int node) { nodes_[node].process->Kill(); }
  void Signal(int node, int signal) { nodes_[node].process->Signal(signal); }
  // SIGTERM, and waits for the end: the exit code.
  absl::StatusOr<int> Stop(int node, absl::Duration timeout = absl::Seconds(60));
  // SIGTERM to all that run, at once, and waits. The first exit code that is not 0.
  absl::StatusOr<int> StopAll(absl::Duration timeout = absl::Seconds(60));
  // Starts a node that does not run, with its old data folder; waits until it serves its ports.
  absl::Status Restart(int node);
  // All that do not run, at once.
  absl::Status RestartAll();

  // Waits until every running node says that so many nodes are up, every partition has a primary,
  // and all copies are in sync.
  absl::Status WaitHealthy(absl::Duration timeout = absl::Seconds(60));
  // The same, but for copies: every partition has a live primary.
  absl::Status WaitServing(absl::Duration timeout = absl::Seconds(60));

  // Knows the running nodes' addresses.
  ClientOptions client_options() const;
  std::unique_ptr<Client> MakeClient();
  std::unique_ptr<Client> MakeClient(ClientOptions options);
  std::unique_ptr<AdminClient> MakeAdminClient();
  // Of one node only.
  std::unique_ptr<AdminClient> MakeAdminClient(int node);

 private:
  struct Node {
    std::unique_ptr<ChildProcess> process;
    std::string client;
    std::string peer;
    std::string admin;
  };

  TestCluster(TestClusterOptions options, std::string folder)
      : options_(std::move(options)), folder_(std::move(folder)) {}
  absl::Status Launch(int node);
  absl::Status WaitForPorts(int node);
  absl::Status WaitFor(bool fully_replicated, absl::Duration timeout);

  const TestClusterOptions options_;
  const std::string folder_;
  std::unique_ptr<EtcdProcess> etcd_;
  std::vector<Node> nodes_;
};

}  // namespace atoll::test
