// What calls on many keys have in common: the answers of one call, and how its keys are split.
//
// Thread safety: Answers may be filled by many threads, each its own keys.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/engine.h"
#include "client/include/atoll/client.h"

namespace atoll::client {

// The answers of one call. Parts and calls on single keys share it.
template <typename Result>
class Answers {
 public:
  // The one who makes it holds it open until `Filled(0)`, when every key was started.
  Answers(Engine& engine, size_t keys, Client::MultiCallback<Result> done)
      : engine_(engine), results_(keys), done_(std::move(done)), left_(keys + 1) {}

  Engine& engine() { return engine_; }
  // To be followed by Filled, for one or many.
  void Put(size_t index, absl::StatusOr<Result> result) {
    if (!result.ok()) failed_.fetch_add(1, std::memory_order_relaxed);
    results_[index] = std::move(result);
  }
  // `keys` of them were put; 0: all were started.
  void Filled(size_t keys) {
    const size_t leave = keys == 0 ? 1 : keys;
    // Release: what is in the results; acquire by the last, who hands them out.
    if (left_.fetch_sub(leave, std::memory_order_acq_rel) != leave) return;
    engine_.Count(results_.size(), failed_.load(std::memory_order_relaxed));
    auto done = std::move(done_);
    done(std::move(results_));
  }
  void Fill(size_t index, absl::StatusOr<Result> result) {
    Put(index, std::move(result));
    Filled(1);
  }

 private:
  Engine& engine_;
  Client::Results<Result> results_;
  Client::MultiCallback<Result> done_;
  std::atomic<size_t> left_;
  std::atomic<uint64_t> failed_{0};
};

// The keys that can be asked for, put together by owner. Those of partitions that nobody is known
// to own go together.
class Split {
 public:
  // A part is one operation; these keep it, and its answer, about a message long.
  static constexpr size_t kMaxPartKeys = 512;
  static constexpr size_t kMaxPartBytes = size_t{192} << 10;

  explicit Split(size_t keys) {
    partitions_.reserve(keys);
    entries_.reserve(keys);
  }

  void Add(size_t index, base::PartitionId partition, size_t bytes) {
    partitions_.push_back(partition);
    entries_.push_back({static_cast<uint32_t>(index), partition, bytes, nullptr});
  }

  // `visit(partition, indices)` for each part: `partition` is that of one of its keys.
  template <typename Visit>
  void ForEach(Dispatcher& dispatcher, Visit visit) {
    if (entries_.empty()) return;
    std::vector<const NodeLink*> ways(entries_.size());
    dispatcher.WaysOf(partitions_, ways.data());
    bool mixed = false;
    for (size_t i = 0; i < entries_.size(); ++i) {
      entries_[i].way = ways[i];
      mixed = mixed || ways[i] != ways[0];
    }
    if (mixed) {
      std::stable_sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
        return std::less<const NodeLink*>()(a.way, b.way);
      });
    }
    std::vector<uint32_t> indices(entries_.size());
    for (size_t i = 0; i < entries_.size(); ++i) indices[i] = entries_[i].index;
    for (size_t begin = 0; begin < entries_.size();) {
      size_t end = begin + 1;
      size_t bytes = entries_[begin].bytes;
      while (end < entries_.size() && entries_[end].way == entries_[begin].way &&
             end - begin < kMaxPartKeys && bytes + entries_[end].bytes <= kMaxPartBytes) {
        bytes += entries_[end++].bytes;
      }
      visit(entries_[begin].partition, absl::MakeConstSpan(indices).subspan(begin, end - begin));
      begin = end;
    }
  }

 private:
  struct Entry {
    uint32_t index;
    base::PartitionId partition;
    size_t bytes;
    const NodeLink* way;
  };

  std::vector<base::PartitionId> partitions_;
  std::vector<Entry> entries_;
};

// Which of a part's keys were answered: each counts once.
class Seen {
 public:
  explicit Seen(size_t keys) : seen_(keys, false) {}
  // False if there is no such key, or it was answered before.
  bool First(size_t position) {
    if (position >= seen_.size() || seen_[position]) return false;
    return seen_[position] = true;
  }
  template <typename Visit>
  void ForEachMissing(Visit visit) const {
    for (size_t i = 0; i < seen_.size(); ++i) {
      if (!seen_[i]) visit(i);
    }
  }

 private:
  std::vector<bool> seen_;
};

}  // namespace atoll::client
