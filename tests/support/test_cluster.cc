#include "tests/support/test_cluster.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <filesystem>
#include <iostream>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace atoll::test {
namespace {

constexpr absl::Duration kStartTimeout = absl::Seconds(60);

}  // namespace

std::string TestCluster::NameOf(int node) { return absl::StrCat("n", node + 1); }

std::string TestCluster::log_path(int node) const {
  return absl::StrCat(folder_, "/", NameOf(node), ".log");
}

std::string TestCluster::data_folder(int node) const {
  return absl::StrCat(folder_, "/", NameOf(node));
}

absl::StatusOr<std::unique_ptr<TestCluster>> TestCluster::Start(const TestClusterOptions& options) {
  static std::atomic<int> number{0};
  std::unique_ptr<TestCluster> cluster(
      new TestCluster(options, FreshFolder(absl::StrCat("cluster ", ++number))));
  if (!options.standalone) {
    auto etcd = EtcdProcess::Start(cluster->folder_ + "/etcd");
    if (!etcd.ok()) {
      ADD_FAILURE() << etcd.status();
      return etcd.status();
    }
    cluster->etcd_ = *std::move(etcd);
  }
  cluster->nodes_.resize(static_cast<size_t>(options.standalone ? 1 : options.nodes));
  absl::Status status = cluster->RestartAll();
  if (status.ok()) {
    status = cluster->WaitHealthy();
  }
  if (!status.ok()) {
    // The caller only sees the status, and its test fails behind us.
    ADD_FAILURE() << status;
    return status;
  }
  return cluster;
}

TestCluster::~TestCluster() {
  for (Node& node : nodes_) {
    if (node.process) {
      node.process->Kill();
    }
  }
  const auto* const test = testing::UnitTest::GetInstance()->current_test_info();
  if (testing::Test::HasFailure() || (test != nullptr && test->result()->Failed())) {
    for (int i = 0; i < size(); ++i) {
      std::cerr << "---- " << log_path(i) << "\n" << TailOf(log_path(i)) << "\n";
    }
  }
}

absl::Status TestCluster::Launch(int index) {
  Node& node = nodes_[index];
  const std::string ports = data_folder(index) + ".ports";
  std::filesystem::remove(ports);
  std::vector<std::string> command = {
      ATOLL_BIN_FOLDER "/atolld",    "--node-name=" + NameOf(index), "--listen=client=127.0.0.1:0",
      "--listen=peer=127.0.0.1:0",   "--listen=admin=127.0.0.1:0",   "--ports-file=" + ports,
      "--memory=" + options_.memory,
  };
  if (etcd_) {
    command.push_back("--etcd=" + etcd_->endpoint());
    command.push_back(absl::StrCat("--replication-factor=", options_.replication_factor));
    command.push_back(absl::StrCat("--initial-nodes=", options_.nodes));
  }
  if (options_.data_folders) {
    command.push_back("--data-dir=" + data_folder(index));
  }
  command.insert(command.end(), options_.flags.begin(), options_.flags.end());
  auto process = ChildProcess::Start(std::move(command), log_path(index));
  if (!process.ok()) {
    return process.status();
  }
  node.process = *std::move(process);
  return absl::OkStatus();
}

absl::Status TestCluster::WaitForPorts(int index) {
  Node& node = nodes_[index];
  // Written whole, by rename: once it is there, it is complete.
  const std::string ports = data_folder(index) + ".ports";
  WaitUntil([&] { return std::filesystem::exists(ports) || !node.process->Running(); },
            kStartTimeout);
  if (!std::filesystem::exists(ports)) {
    return absl::InternalError(
        absl::StrCat(NameOf(index), " does not start:\n", TailOf(log_path(index))));
  }
  std::map<std::string, std::string> values;
  for (const absl::string_view line : absl::StrSplit(ContentOf(ports), '\n', absl::SkipEmpty())) {
    values.insert(absl::StrSplit(line, absl::MaxSplits('=', 1)));
  }
  node.client = values["client"];
  node.peer = values["peer"];
  node.admin = values["admin"];
  return absl::OkStatus();
}

absl::StatusOr<int> TestCluster::Stop(int node, absl::Duration timeout) {
  Signal(node, SIGTERM);
  return nodes_[node].process->Wait(timeout);
}

absl::StatusOr<int> TestCluster::StopAll(absl::Duration timeout) {
  for (int i = 0; i < size(); ++i) {
    if (running(i)) {
      Signal(i, SIGTERM);
    }
  }
  const absl::Time until = absl::Now() + timeout;
  int worst = 0;
  for (Node& node : nodes_) {
    absl::StatusOr<int> code = node.process->Wait(until - absl::Now());
    if (!code.ok()) {
      return code;
    }
    worst = worst != 0 ? worst : *code;
  }
  return worst;
}

absl::Status TestCluster::Restart(int node) {
  if (absl::Status status = Launch(node); !status.ok()) {
    return status;
  }
  return WaitForPorts(node);
}

absl::Status TestCluster::RestartAll() {
  std::vector<int> started;
  for (int i = 0; i < size(); ++i) {
    if (!running(i)) {
      if (absl::Status status = Launch(i); !status.ok()) {
        return status;
      }
      started.push_back(i);
    }
  }
  for (const int i : started) {
    if (absl::Status status = WaitForPorts(i); !status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

absl::Status TestCluster::WaitHealthy(absl::Duration timeout) { return WaitFor(true, timeout); }
absl::Status TestCluster::WaitServing(absl::Duration timeout) { return WaitFor(false, timeout); }

absl::Status TestCluster::WaitFor(bool fully_replicated, absl::Duration timeout) {
  uint32_t wanted = 0;
  for (int i = 0; i < size(); ++i) {
    wanted += running(i) ? 1 : 0;
  }
  std::string missing;
  const absl::Time until = absl::Now() + timeout;
  for (int i = 0; i < size(); ++i) {
    if (!running(i)) {
      continue;
    }
    const std::unique_ptr<AdminClient> admin = MakeAdminClient(i);
    const bool healthy = WaitUntil(
        [&] {
          const absl::StatusOr<ClusterHealth> health = admin->Health();
          if (!health.ok()) {
            missing = health.status().ToString();
            return !running(i);
          }
          missing = absl::StrCat(health->nodes_up, " nodes up, ",
                                 health->partitions_without_primary, " partitions unowned, ",
                                 health->partitions_under_replicated, " under-replicated");
          return health->serving && health->nodes_up == wanted &&
                 (!fully_replicated || health->fully_replicated);
        },
        until - absl::Now(), absl::Milliseconds(100));
    if (!running(i)) {
      return absl::InternalError(absl::StrCat(NameOf(i), " has ended:\n", TailOf(log_path(i))));
    }
    if (!healthy) {
      return absl::DeadlineExceededError(absl::StrCat("as ", NameOf(i), " sees it: ", missing));
    }
  }
  return absl::OkStatus();
}

ClientOptions TestCluster::client_options() const {
  ClientOptions options;
  for (const Node& node : nodes_) {
    if (node.process && node.process->Running()) {
      options.endpoints.push_back(node.client);
    }
  }
  options.credentials = options_.credentials;
  options.timeout = absl::Seconds(10);  // on a busy machine slow is not wrong
  return options;
}

std::unique_ptr<Client> TestCluster::MakeClient() { return MakeClient(client_options()); }

std::unique_ptr<Client> TestCluster::MakeClient(ClientOptions options) {
  auto client = Client::Create(std::move(options));
  EXPECT_TRUE(client.ok()) << client.status();
  if (!client.ok()) {
    return nullptr;
  }
  EXPECT_TRUE((*client)->WaitUntilReady(absl::Now() + absl::Seconds(30)).ok());
  return *std::move(client);
}

std::unique_ptr<AdminClient> TestCluster::MakeAdminClient() {
  auto admin = AdminClient::Create(client_options());
  EXPECT_TRUE(admin.ok()) << admin.status();
  return admin.ok() ? *std::move(admin) : nullptr;
}

std::unique_ptr<AdminClient> TestCluster::MakeAdminClient(int node) {
  ClientOptions options;
  options.endpoints = {address(node)};
  options.credentials = options_.credentials;
  options.timeout = absl::Seconds(5);
  auto admin = AdminClient::Create(options);
  EXPECT_TRUE(admin.ok()) << admin.status();
  return admin.ok() ? *std::move(admin) : nullptr;
}

}  // namespace atoll::test
