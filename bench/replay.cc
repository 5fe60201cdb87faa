#include "bench/replay.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/strings.h"

namespace atoll::bench {
namespace {

uint32_t ValueBytes(const TraceRequest& request, size_t key_size, uint32_t otherwise) {
  if (request.size == 0) return otherwise;
  return request.size > key_size ? request.size - static_cast<uint32_t>(key_size) : 1;
}

class Run {
 public:
  Run(absl::Span<const TraceRequest> trace, const ReplayOptions& options, ReplayTarget& target)
      : trace_(trace), options_(options), target_(target) {}

  // `tells` is true for the one thread that reports progress.
  void Work(bool tells, ReplayResult& result) {
    for (;;) {
      const size_t at = next_.fetch_add(1, std::memory_order_relaxed);
      if (at >= trace_.size()) return;
      One(trace_[at], result);
      if (tells && options_.progress && at % 64 < 8) {
        options_.progress(at, hits_.load(std::memory_order_relaxed));
      }
    }
  }

 private:
  void One(const TraceRequest& request, ReplayResult& result) {
    const std::string key = ReplayKey(options_.key_prefix, request.key);
    const std::string value =
        ReplayValue(request.key, ValueBytes(request, key.size(), options_.value_bytes));
    ++result.requests;
    const absl::Time start = absl::Now();
    const absl::StatusOr<std::optional<std::string>> got = target_.Get(key);
    const absl::Time answered = absl::Now();
    result.gets.Record(answered - start);
    if (!got.ok()) return Failed(got.status(), result);
    if (got->has_value()) {
      ++result.hits;
      hits_.fetch_add(1, std::memory_order_relaxed);
      if (**got != value) ++result.wrong;
      return;
    }
    ++result.misses;
    const absl::Status stored = target_.Set(key, value);
    result.sets.Record(absl::Now() - answered);
    if (!stored.ok()) Failed(stored, result);
  }

  static void Failed(const absl::Status& status, ReplayResult& result) {
    ++result.errors;
    if (result.first_error.ok()) result.first_error = status;
  }

  const absl::Span<const TraceRequest> trace_;
  const ReplayOptions& options_;
  ReplayTarget& target_;
  std::atomic<size_t> next_{0};
  std::atomic<uint64_t> hits_{0};  // for progress only
};

}  // namespace

std::string ReplayKey(std::string_view prefix, uint64_t key) {
  return absl::StrCat(base::AsAbsl(prefix), key);
}

std::string ReplayValue(uint64_t key, uint32_t bytes) {
  std::string value(bytes, '\0');
  // splitmix64 (Steele et al., 2014), eight bytes a step.
  uint64_t state = key;
  for (size_t at = 0; at < value.size(); at += 8) {
    state += 0x9E3779B97F4A7C15;
    uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    z ^= z >> 31;
    for (size_t i = at; i < std::min(at + 8, value.size()); ++i, z >>= 8) {
      value[i] = static_cast<char>(z & 0xFF);
    }
  }
  return value;
}

ReplayResult Replay(absl::Span<const TraceRequest> trace, const ReplayOptions& options,
                    ReplayTarget& target) {
  Run run(trace, options, target);
  std::vector<ReplayResult> parts(std::max(options.threads, 1));
  const absl::Time start = absl::Now();
  std::vector<std::thread> threads;
  for (size_t i = 0; i < parts.size(); ++i) {
    threads.emplace_back([&run, &parts, i] { run.Work(i == 0, parts[i]); });
  }
  for (std::thread& thread : threads) thread.join();
  ReplayResult total;
  total.elapsed = absl::Now() - start;
  for (const ReplayResult& part : parts) {
    total.requests += part.requests;
    total.hits += part.hits;
    total.misses += part.misses;
    total.wrong += part.wrong;
    total.errors += part.errors;
    if (total.first_error.ok()) total.first_error = part.first_error;
    total.gets.Merge(part.gets);
    total.sets.Merge(part.sets);
  }
  return total;
}

}  // namespace atoll::bench
