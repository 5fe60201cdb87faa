#include "bench/peers/load.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/load_loops.h"
#include "bench/nanos.h"
#include "bench/peers/auto_pipeline.h"
#include "bench/peers/socket.h"
#include "bench/workload.h"

namespace atoll::bench {
namespace {

// A round of requests that is built once; each time that it is sent, other keys are written into
// it. A public client does no less: redis-benchmark does the same.
class Round {
 public:
  Round(const PeerLoadOptions& options, uint64_t stream)
      : workload_({.keys = options.keys, .seed = options.seed}, stream) {
    const std::string value(options.value_bytes, 'v');
    for (int left = options.round_keys; left > 0; left -= options.batch) {
      const auto count = static_cast<size_t>(std::min(left, options.batch));
      std::vector<std::string> keys(count);
      for (std::string& key : keys) key = absl::StrCat(options.key_prefix, WorkloadKey(0));
      const size_t begin = bytes_.size();
      if (options.read) {
        AppendRead(options.kind, keys, bytes_);
      } else {
        AppendWrite(options.kind, options.write_style, keys, value, options.ttl_seconds, bytes_);
      }
      FindKeys(begin);
      request_keys_.push_back(count);
    }
  }

  // The requests with new keys.
  std::string_view Draw() {
    for (const size_t place : places_) WriteWorkloadKey(workload_.NextKey(), &bytes_[place]);
    return bytes_;
  }
  // Keys of each request.
  const std::vector<size_t>& request_keys() const { return request_keys_; }

 private:
  void FindKeys(size_t begin) {
    const std::string key = WorkloadKey(0);
    for (size_t at = bytes_.find(key, begin); at != std::string::npos;
         at = bytes_.find(key, at + key.size())) {
      places_.push_back(at);
    }
  }

  Workload workload_;
  std::string bytes_;
  std::vector<size_t> places_;  // of the keys, without their prefix
  std::vector<size_t> request_keys_;
};

struct Worker {
  std::unique_ptr<Socket> socket;
  std::optional<Round> round;
  PeerLoadResult result;
  absl::Status status;
};

absl::StatusOr<uint64_t> ReadRound(const PeerLoadOptions& options, const Round& round,
                                   AnswerReader& reader) {
  uint64_t hits = 0;
  for (const size_t count : round.request_keys()) {
    if (options.read) {
      absl::StatusOr<uint64_t> found = reader.Reads(count);
      if (!found.ok()) return found.status();
      hits += *found;
    } else if (absl::Status stored = reader.Writes(count, options.write_style); !stored.ok()) {
      return stored;
    }
  }
  return hits;
}

absl::Status Work(const PeerLoadOptions& options, const Window& window, Worker& worker) {
  AnswerReader reader(options.kind, *worker.socket);
  for (int64_t start = NowNanos(); start < window.end;) {
    if (absl::Status sent = worker.socket->Send(worker.round->Draw()); !sent.ok()) return sent;
    const absl::StatusOr<uint64_t> hits = ReadRound(options, *worker.round, reader);
    if (!hits.ok()) return hits.status();
    const int64_t end = NowNanos();
    if (start >= window.begin && end <= window.end) {
      worker.result.keys += static_cast<uint64_t>(options.round_keys);
      worker.result.hits += *hits;
      worker.result.latency.Record(absl::Nanoseconds(end - start));
    }
    start = end;
  }
  return absl::OkStatus();
}

void Beside(const PeerLoadOptions& options, const Window& window) {
  SleepUntil(window.begin);
  if (options.at_begin) options.at_begin();
  SleepUntil(window.end);
  if (options.at_end) options.at_end();
}

absl::StatusOr<PeerLoadResult> Total(const PeerLoadOptions& options,
                                     absl::Span<const Worker> workers) {
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

// One caller of the auto-pipelining load.
absl::Status Call(const Window& window, AutoPipeline& pipeline, Worker& worker) {
  for (int64_t start = NowNanos(); start < window.end;) {
    const absl::StatusOr<uint64_t> hits = pipeline.Get(worker.round->Draw());
    if (!hits.ok()) return hits.status();
    const int64_t end = NowNanos();
    if (start >= window.begin && end <= window.end) {
      ++worker.result.keys;
      worker.result.hits += *hits;
      worker.result.latency.Record(absl::Nanoseconds(end - start));
    }
    start = end;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<PeerLoadResult> RunPeerLoad(const PeerLoadOptions& options) {
  std::vector<Worker> workers(static_cast<size_t>(std::max(options.connections, 1)));
  for (size_t i = 0; i < workers.size(); ++i) {
    absl::StatusOr<std::unique_ptr<Socket>> socket = Socket::Connect(options.port);
    if (!socket.ok()) return socket.status();
    workers[i].socket = *std::move(socket);
    workers[i].round.emplace(options, i);
  }
  const Window window = Window::After(NowNanos(), options.warmup, options.duration);
  std::vector<std::thread> threads;
  threads.reserve(workers.size());
  for (Worker& worker : workers) {
    threads.emplace_back(
        [&options, &window, &worker] { worker.status = Work(options, window, worker); });
  }
  Beside(options, window);
  for (std::thread& thread : threads) thread.join();
  return Total(options, workers);
}

absl::StatusOr<PeerLoadResult> RunAutoPipelineLoad(const PeerLoadOptions& options, int callers,
                                                   bool one_message) {
  std::vector<std::unique_ptr<AutoPipeline>> pipelines;
  for (int i = 0; i < options.connections; ++i) {
    absl::StatusOr<std::unique_ptr<AutoPipeline>> pipeline =
        AutoPipeline::Connect(options.kind, options.port, one_message);
    if (!pipeline.ok()) return pipeline.status();
    pipelines.push_back(*std::move(pipeline));
  }
  PeerLoadOptions single = options;
  single.round_keys = 1;
  single.batch = 1;
  single.read = true;
  std::vector<Worker> workers(static_cast<size_t>(callers));
  for (size_t i = 0; i < workers.size(); ++i) workers[i].round.emplace(single, i);
  const Window window = Window::After(NowNanos(), options.warmup, options.duration);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < workers.size(); ++i) {
    threads.emplace_back(
        [&window, &worker = workers[i], &pipeline = *pipelines[i % pipelines.size()]] {
          worker.status = Call(window, pipeline, worker);
        });
  }
  Beside(options, window);
  for (std::thread& thread : threads) thread.join();
  return Total(options, workers);
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
    items.reserve(names.size());
    for (const std::string& name : names) items.push_back({name, value});
    if (absl::Status stored = (*connection)->SetMany(items, options.ttl_seconds); !stored.ok()) {
      return stored;
    }
  }
  return absl::OkStatus();
}

}  // namespace atoll::bench
