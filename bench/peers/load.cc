#include "bench/peers/load.h"

#include <algorithm>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/strings.h"
#include "bench/peers/socket.h"
#include "bench/workload.h"

namespace atoll::bench {
namespace {

// Rounds of requests that are built before the clock starts: drawing keys and printing numbers is
// not the peer's cost.
constexpr int kPreparedRounds = 64;

absl::Duration Elapsed() { return base::Clock::Real().BootTime(); }

void AppendBulk(std::string_view bytes, std::string& request) {
  absl::StrAppend(&request, "$", bytes.size(), "\r\n", base::AsAbsl(bytes), "\r\n");
}

void AppendRead(const PeerLoadOptions& options, const std::vector<std::string>& keys,
                std::string& request) {
  if (options.kind == PeerKind::kMemcached) {
    request += "get";
    for (const std::string& key : keys) absl::StrAppend(&request, " ", key);
    request += "\r\n";
    return;
  }
  absl::StrAppend(&request, "*", keys.size() + 1, "\r\n");
  AppendBulk(keys.size() == 1 ? "GET" : "MGET", request);
  for (const std::string& key : keys) AppendBulk(key, request);
}

void AppendWrite(const PeerLoadOptions& options, const std::vector<std::string>& keys,
                 std::string_view value, std::string& request) {
  for (const std::string& key : keys) {
    if (options.kind == PeerKind::kMemcached) {
      absl::StrAppend(&request, "set ", key, " 0 ", options.ttl_seconds, " ", value.size(), "\r\n",
                      base::AsAbsl(value), "\r\n");
      continue;
    }
    request += "*5\r\n";
    AppendBulk("SET", request);
    AppendBulk(key, request);
    AppendBulk(value, request);
    AppendBulk("EX", request);
    AppendBulk(absl::StrCat(options.ttl_seconds), request);
  }
}

// Reads answers and counts what they hold.
class AnswerReader {
 public:
  AnswerReader(PeerKind kind, Socket& socket) : kind_(kind), socket_(socket) {}

  // The answers of one request of `batch` keys.
  absl::StatusOr<uint64_t> Read(int batch, bool read) {
    if (!read) return ReadStored(batch);
    return kind_ == PeerKind::kMemcached ? ReadMemcached() : ReadRedis(batch);
  }

 private:
  absl::StatusOr<uint64_t> ReadStored(int batch) {
    for (int i = 0; i < batch; ++i) {
      absl::StatusOr<std::string_view> line = socket_.ReadLine();
      if (!line.ok()) return line.status();
      if (*line != "STORED" && *line != "+OK") return Unexpected(*line);
    }
    return 0;
  }

  absl::StatusOr<uint64_t> ReadMemcached() {
    for (uint64_t hits = 0;; ++hits) {
      absl::StatusOr<std::string_view> line = socket_.ReadLine();
      if (!line.ok()) return line.status();
      if (*line == "END") return hits;
      size_t bytes = 0;
      if (!line->starts_with("VALUE ") ||
          !absl::SimpleAtoi(base::AsAbsl(line->substr(line->rfind(' ') + 1)), &bytes)) {
        return Unexpected(*line);
      }
      if (absl::Status skipped = socket_.Skip(bytes + 2); !skipped.ok()) return skipped;
    }
  }

  absl::StatusOr<uint64_t> ReadRedis(int batch) {
    if (batch > 1) {
      if (absl::StatusOr<std::string_view> head = socket_.ReadLine(); !head.ok()) {
        return head.status();
      }
    }
    uint64_t hits = 0;
    for (int i = 0; i < batch; ++i) {
      absl::StatusOr<std::string_view> line = socket_.ReadLine();
      if (!line.ok()) return line.status();
      int64_t bytes = 0;
      if (!line->starts_with('$') || !absl::SimpleAtoi(base::AsAbsl(line->substr(1)), &bytes)) {
        return Unexpected(*line);
      }
      if (bytes < 0) continue;
      ++hits;
      if (absl::Status skipped = socket_.Skip(static_cast<size_t>(bytes) + 2); !skipped.ok()) {
        return skipped;
      }
    }
    return hits;
  }

  absl::Status Unexpected(std::string_view line) const {
    return absl::InternalError(absl::StrCat(base::AsAbsl(PeerName(kind_)),
                                            " answered: ", base::AsAbsl(line.substr(0, 200))));
  }

  const PeerKind kind_;
  Socket& socket_;
};

std::vector<std::string> PrepareRounds(const PeerLoadOptions& options, uint64_t stream) {
  Workload workload({.keys = options.keys, .seed = options.seed}, stream);
  const std::string value(options.value_bytes, 'v');
  std::vector<std::string> rounds(kPreparedRounds);
  for (std::string& round : rounds) {
    for (int i = 0; i < options.pipeline; ++i) {
      std::vector<std::string> keys;
      for (int k = 0; k < options.batch; ++k) {
        keys.push_back(absl::StrCat(options.key_prefix, WorkloadKey(workload.NextKey())));
      }
      options.read ? AppendRead(options, keys, round) : AppendWrite(options, keys, value, round);
    }
  }
  return rounds;
}

struct Window {
  absl::Duration begin;
  absl::Duration end;
};

absl::Status Work(const PeerLoadOptions& options, const Window& window, Socket& socket,
                  const std::vector<std::string>& rounds, PeerLoadResult& result) {
  AnswerReader reader(options.kind, socket);
  for (size_t at = 0;; at = (at + 1) % rounds.size()) {
    const absl::Duration start = Elapsed();
    if (start >= window.end) return absl::OkStatus();
    if (absl::Status sent = socket.Send(rounds[at]); !sent.ok()) return sent;
    uint64_t hits = 0;
    for (int i = 0; i < options.pipeline; ++i) {
      absl::StatusOr<uint64_t> found = reader.Read(options.batch, options.read);
      if (!found.ok()) return found.status();
      hits += *found;
    }
    const absl::Duration end = Elapsed();
    if (start < window.begin || end > window.end) continue;
    result.keys += static_cast<uint64_t>(options.pipeline) * static_cast<uint64_t>(options.batch);
    result.hits += hits;
    result.latency.Record(end - start);
  }
}

struct Worker {
  std::unique_ptr<Socket> socket;
  std::vector<std::string> rounds;
  PeerLoadResult result;
  absl::Status status;
};

}  // namespace

absl::StatusOr<PeerLoadResult> RunPeerLoad(const PeerLoadOptions& options) {
  std::vector<Worker> workers(std::max(options.connections, 1));
  for (size_t i = 0; i < workers.size(); ++i) {
    absl::StatusOr<std::unique_ptr<Socket>> socket = Socket::Connect(options.port);
    if (!socket.ok()) return socket.status();
    workers[i].socket = *std::move(socket);
    workers[i].rounds = PrepareRounds(options, i);
  }
  const absl::Duration now = Elapsed();
  const Window window{.begin = now + options.warmup,
                      .end = now + options.warmup + options.duration};
  std::vector<std::thread> threads;
  for (Worker& worker : workers) {
    threads.emplace_back([&options, &window, &worker] {
      worker.status = Work(options, window, *worker.socket, worker.rounds, worker.result);
    });
  }
  for (std::thread& thread : threads) thread.join();
  PeerLoadResult total;
  total.elapsed = options.duration;
  for (const Worker& worker : workers) {
    if (!worker.status.ok()) return worker.status;
    total.keys += worker.result.keys;
    total.hits += worker.result.hits;
    total.latency.Merge(worker.result.latency);
  }
  return total;
}

absl::Status FillPeer(const PeerLoadOptions& options) {
  absl::StatusOr<std::unique_ptr<PeerConnection>> connection =
      ConnectPeer(options.kind, options.port);
  if (!connection.ok()) return connection.status();
  const std::string value(options.value_bytes, 'v');
  // About a megabyte at a time: more would fill the sockets in both directions and stall.
  const uint64_t batch = std::clamp<uint64_t>((1 << 20) / (options.value_bytes + 64), 1, 100);
  for (uint64_t at = 0; at < options.keys; at += batch) {
    std::vector<std::string> names;
    for (uint64_t i = at; i < std::min(at + batch, options.keys); ++i) {
      names.push_back(absl::StrCat(options.key_prefix, WorkloadKey(i)));
    }
    std::vector<PeerItem> items;
    for (const std::string& name : names) items.push_back({name, value});
    if (absl::Status stored = (*connection)->SetMany(items, options.ttl_seconds); !stored.ok()) {
      return stored;
    }
  }
  return absl::OkStatus();
}

}  // namespace atoll::bench
