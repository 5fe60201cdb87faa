#include "server/options.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <string_view>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/strings.h"

namespace atoll::server {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kMinMemoryBytes = 64 * kMiB;
constexpr uint64_t kDefaultMemoryBytes = 1024 * kMiB;
constexpr uint64_t kMaxBudgetBytes = uint64_t{1} << 40;
constexpr uint64_t kRestBytes = 64 * kMiB;

std::string HostName() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) return "node";
  return name.data();
}

// The memory limit of the process's cgroup (version 2, then 1); 0 if there is none.
uint64_t CgroupLimit() {
  for (const char* path :
       {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    std::ifstream file(path);
    uint64_t limit = 0;
    if (file >> limit && limit < (uint64_t{1} << 60)) return limit;
  }
  return 0;
}

bool IsNodeName(std::string_view name) {
  if (name.empty() || name.size() > 63) return false;
  return std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
  });
}

bool IsLoopback(std::string_view address) {
  return address.starts_with("127.") || address.starts_with("localhost:") ||
         address.starts_with("[::1]:") || address.starts_with("unix:");
}

absl::Status CheckAddress(std::string_view field, std::string_view address) {
  if (address.starts_with("unix:")) return absl::OkStatus();
  const size_t colon = address.rfind(':');
  int port = 0;
  if (colon == std::string_view::npos || colon == 0 ||
      !absl::SimpleAtoi(base::AsAbsl(address.substr(colon + 1)), &port) || port < 0 ||
      port > 65535) {
    return base::InvalidArgument(field, address, "host:port");
  }
  return absl::OkStatus();
}

template <typename T>
absl::Status CheckRange(std::string_view field, T value, T low, T high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return base::InvalidArgument(field, absl::StrCat(value), absl::StrCat(low, " to ", high));
}

}  // namespace

void NodeOptions::FillDefaults() {
  if (node_name.empty()) node_name = HostName();
  if (memory_bytes == 0) {
    memory_bytes = kDefaultMemoryBytes;
    if (const uint64_t limit = CgroupLimit(); limit != 0) {
      memory_bytes = std::clamp(limit / 2, kMinMemoryBytes, kDefaultMemoryBytes);
    }
  }
  const uint64_t budget = std::clamp(memory_bytes / 8, 64 * kMiB, kMaxBudgetBytes);
  if (rpc_memory_bytes == 0) rpc_memory_bytes = budget;
  if (rocksdb_memory_bytes == 0) rocksdb_memory_bytes = budget;
  if (io_threads == 0) {
    io_threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  }
  if (etcd.empty()) replication_factor = 1;
}

std::string MemoryBudgets::Text() const {
  return absl::StrCat(total() / kMiB, " MiB: cache ", cache / kMiB, ", RPC ", rpc / kMiB,
                      ", RocksDB ", rocksdb / kMiB, ", the rest ", rest / kMiB);
}

MemoryBudgets NodeOptions::Budgets() const {
  return {.cache = memory_bytes,
          .rpc = rpc_memory_bytes,
          .rocksdb = data_dir.empty() ? 0 : rocksdb_memory_bytes,
          .rest = kRestBytes};
}

absl::Status NodeOptions::Listeners(std::vector<ListenerOptions>& out) const {
  std::vector<ListenerOptions> given;
  for (const std::string& text : listen) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      return base::InvalidArgument("listen", text, "name=address[,advertise=address]");
    }
    ListenerOptions listener;
    listener.name = text.substr(0, equals);
    listener.address = text.substr(equals + 1);
    if (const size_t comma = listener.address.find(','); comma != std::string::npos) {
      constexpr std::string_view kAdvertise = "advertise=";
      const std::string rest = listener.address.substr(comma + 1);
      if (!rest.starts_with(kAdvertise)) {
        return base::InvalidArgument("listen", text, "name=address[,advertise=address]");
      }
      listener.advertise = rest.substr(kAdvertise.size());
      listener.address.resize(comma);
    }
    if (!IsNodeName(listener.name)) {
      return base::InvalidArgument("listen", listener.name, "a name of letters, digits and -_.");
    }
    for (const ListenerOptions& other : given) {
      if (other.name == listener.name) {
        return base::InvalidArgument("listen", absl::StrCat(listener.name, " given twice"));
      }
    }
    given.push_back(std::move(listener));
  }
  const auto take = [&given](std::string_view name, std::string_view fallback) {
    for (auto it = given.begin(); it != given.end(); ++it) {
      if (it->name != name) continue;
      ListenerOptions found = std::move(*it);
      given.erase(it);
      return found;
    }
    return ListenerOptions{std::string(name), std::string(fallback), ""};
  };
  const ListenerOptions client = take("client", "127.0.0.1:7850");
  const ListenerOptions peer = take("peer", "127.0.0.1:7851");
  const ListenerOptions admin = take("admin", "127.0.0.1:7855");
  out.clear();
  out.push_back(client);
  out.insert(out.end(), given.begin(), given.end());
  out.push_back(peer);
  out.push_back(admin);
  for (const ListenerOptions& listener : out) {
    if (absl::Status s = CheckAddress("listen", listener.address); !s.ok()) return s;
    if (listener.advertise.empty()) continue;
    if (absl::Status s = CheckAddress("advertise", listener.advertise); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status NodeOptions::Validate() const {
  if (!IsNodeName(node_name)) {
    return base::InvalidArgument("node-name", node_name, "1-63 letters, digits and -_.");
  }
  if (!IsNodeName(cluster)) {
    return base::InvalidArgument("cluster", cluster, "1-63 letters, digits and -_.");
  }
  if (zone.size() > 63) {
    return base::InvalidArgument("zone", absl::StrCat(zone.size(), " bytes"), 63);
  }
  if (memory_bytes < kMinMemoryBytes) {
    return base::InvalidArgument("memory", absl::StrCat(memory_bytes, " bytes"),
                                 absl::StrCat("at least ", kMinMemoryBytes));
  }
  for (const absl::Status& status : {
           CheckRange<uint32_t>("weight", weight, 1, 100),
           CheckRange<uint32_t>("replication-factor", replication_factor, 1, 3),
           CheckRange<uint32_t>("min-isr", min_isr, 1, replication_factor),
           CheckRange<uint32_t>("initial-nodes", initial_nodes, 1, 1000),
           CheckRange<int>("io-threads", io_threads, 1, 256),
           CheckRange<uint32_t>("max-operations", max_operations, 64, 1u << 24),
           CheckRange<uint64_t>("rpc-memory", rpc_memory_bytes, 16 * kMiB, kMaxBudgetBytes),
           CheckRange<uint64_t>("rocksdb-memory", rocksdb_memory_bytes, 16 * kMiB, kMaxBudgetBytes),
       }) {
    if (!status.ok()) return status;
  }
  // etcd's shortest lease is 2 s.
  if (node_lease < absl::Seconds(2)) {
    return base::InvalidArgument("node-lease", absl::FormatDuration(node_lease), "at least 2s");
  }
  if (heartbeat <= absl::ZeroDuration() || heartbeat * 2 > lease) {
    return base::InvalidArgument("heartbeat", absl::FormatDuration(heartbeat),
                                 "above 0 and at most half of --lease");
  }
  // A member reports suspicion only after the primary's lease has run out (replication, section 3).
  if (grace <= lease) {
    return base::InvalidArgument("grace", absl::FormatDuration(grace), "above --lease");
  }
  if (stop_timeout < absl::Seconds(1)) {
    return base::InvalidArgument("stop-timeout", absl::FormatDuration(stop_timeout), "at least 1s");
  }
  for (const std::string& endpoint : etcd) {
    if (absl::Status s = CheckAddress("etcd", endpoint); !s.ok()) return s;
  }
  if (tls_cert.empty() != tls_key.empty()) {
    return base::InvalidArgument(tls_cert.empty() ? "tls-key" : "tls-cert", "alone",
                                 "--tls-cert and --tls-key together");
  }
  if (!tls_ca.empty() && tls_cert.empty()) {
    return base::InvalidArgument("tls-ca", "alone", "with --tls-cert and --tls-key");
  }
  std::vector<ListenerOptions> listeners;
  if (absl::Status s = Listeners(listeners); !s.ok()) return s;
  for (const ListenerOptions& listener : listeners) {
    const bool over_http = listener.name == "admin";
    if (allow_unauthenticated || IsLoopback(listener.address)) continue;
    if (!tls_ca.empty() && !over_http) continue;
    return base::InvalidArgument("listen",
                                 absl::StrCat(listener.name, "=", listener.address,
                                              " is open to the network without authentication"),
                                 over_http ? "loopback, or --allow-unauthenticated"
                                           : "loopback, --tls-ca or --allow-unauthenticated");
  }
  return absl::OkStatus();
}

}  // namespace atoll::server
