// What a node can be told, with its defaults: one struct, filled from the command line, the
// environment and a file (server/settings.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace atoll::server {

// What the process may take, by what for; its anonymous resident memory stays within 1.03 of it.
struct MemoryBudgets {
  uint64_t total() const { return cache + rpc + rocksdb + rest; }
  // `640 MiB: cache 512, RPC 64, RocksDB 0, the rest 64`.
  std::string Text() const;

  uint64_t cache = 0;    // --memory
  uint64_t rpc = 0;      // requests and answers under way
  uint64_t rocksdb = 0;  // 0 without a data folder
  uint64_t rest = 0;     // code, stacks, and what RocksDB and gRPC need beside their budgets
};

// An address that the node listens on. `client` (there may be more, under other names), `peer` and
// `admin` are always there.
struct ListenerOptions {
  std::string name;
  // host:port, port 0: any free one; or unix:path for clients.
  std::string address;
  // host:port as others should dial it; empty: `address`, with the port that was bound. A port of 0
  // in it stands for the port that was bound.
  std::string advertise;
};

struct NodeOptions {
  // --- Who ---
  std::string node_name;  // empty: the host's name
  std::string cluster = "atoll";
  std::string zone;
  uint32_t weight = 1;  // 1-100, relative to other nodes

  // --- Where ---
  // name=address[,advertise=address]. A listener of a name given replaces the default of that name.
  std::vector<std::string> listen;
  // Written when the node is ready: NAME=host:port lines of every listener, then PID=n.
  std::string ports_file;
  bool allow_unauthenticated = false;

  // --- TLS of every gRPC listener but unix:, and of calls to other nodes; PEM files ---
  std::string tls_cert;  // own chain; empty: no TLS. Its names must cover what peers dial.
  std::string tls_key;
  // Clients and nodes must show a certificate that it signed, and so does this node to others.
  // Empty: clients show none, and other nodes' certificates are checked by the system's roots.
  std::string tls_ca;

  // --- Coordination ---
  // host:port; none: a standalone node.
  std::vector<std::string> etcd;
  std::string etcd_user;
  std::string etcd_password_file;
  std::string etcd_ca;
  std::string etcd_cert;
  std::string etcd_key;
  uint32_t replication_factor = 2;  // 1-3; 1 is all that a standalone node can do
  uint32_t min_isr = 1;
  // The first map waits for so many nodes.
  uint32_t initial_nodes = 1;
  absl::Duration node_lease = absl::Seconds(3);

  // --- Replication (docs/consistency.md) ---
  absl::Duration heartbeat = absl::Milliseconds(200);
  absl::Duration silence = absl::Milliseconds(300);
  absl::Duration lease = absl::Milliseconds(1000);
  absl::Duration grace = absl::Milliseconds(1200);

  // --- Memory ---
  uint64_t memory_bytes = 0;          // 0: 1 GiB, capped at half of the cgroup
  uint64_t rpc_memory_bytes = 0;      // 0: max(64 MiB, memory / 8)
  uint64_t rocksdb_memory_bytes = 0;  // 0: the same
  // Operations under way; above it callers get RESOURCE_EXHAUSTED.
  uint32_t max_operations = 65'536;

  // Processor time that each operation burns, in microseconds, so that a test can overload the
  // node.
  uint32_t test_burn_us = 0;

  // --- Disk ---
  std::string data_dir;  // empty: none
  uint64_t disk_bytes = uint64_t{10} << 30;

  // --- Process ---
  int io_threads = 0;  // 0: one a core
  absl::Duration stop_timeout = absl::Seconds(30);
  std::string log_level = "info";

  // Resolves what depends on the machine: node name, memory, threads.
  void FillDefaults();
  // After FillDefaults. INVALID_ARGUMENT: `memory: 1048576 bytes, limit at least 67108864`.
  absl::Status Validate() const;
  // Every listener, the defaults among them, in the order: client, others, peer, admin.
  // INVALID_ARGUMENT for one that cannot be read.
  absl::Status Listeners(std::vector<ListenerOptions>& out) const;
  // After FillDefaults.
  MemoryBudgets Budgets() const;
};

}  // namespace atoll::server
