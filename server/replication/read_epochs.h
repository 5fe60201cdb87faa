// When what readers without a lock may be looking at can be freed.
//
// Readers enter (Reader) and leave; whoever takes something out of their reach retires it. It is
// destroyed once everybody has left who was in when it was retired: readers count themselves in one
// of two terms, and a term is over when the next one has begun and its count is zero.
//
// Thread safety: readers on any thread; they never wait. Retire, Reclaim and waiting by one thread
// at a time. What is retired is destroyed on the thread that calls either, or with the ReadEpochs.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace atoll::replication {

class ReadEpochs {
 public:
  class Reader {
   public:
    explicit Reader(ReadEpochs& epochs) : count_(epochs.Enter()) {}
    // Release: what the reader did is before what is done to what it read.
    ~Reader() { count_.fetch_sub(1, std::memory_order_release); }
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

   private:
    std::atomic<uint32_t>& count_;
  };

  // `what` is out of reach of readers who enter from now on: the store that made it so was
  // sequentially consistent.
  void Retire(std::shared_ptr<const void> what) {
    retired_.push_back(std::move(what));
    Reclaim();
  }
  // Destroys what nobody can be looking at any more.
  void Reclaim() {
    // Once for what was retired in the term before, once for what was retired in this one.
    for (int i = 0; i < 2 && Empty((epoch_.load() + 1) % 2); ++i) {
      leaving_.clear();
      if (retired_.empty()) return;
      leaving_.swap(retired_);
      epoch_.fetch_add(1);
    }
  }
  size_t waiting() const { return retired_.size() + leaving_.size(); }

 private:
  // Counters of several threads do not share a line.
  static constexpr size_t kCounters = 16;
  struct alignas(64) Counters {
    std::array<std::atomic<uint32_t>, 2> in_term{};
  };

  static size_t ThreadsPlace() {
    static std::atomic<size_t> next{0};
    thread_local const size_t place = next.fetch_add(1, std::memory_order_relaxed) % kCounters;
    return place;
  }

  // Sequentially consistent throughout: a reader whose second look finds its term still on is seen
  // by whoever ends the term after it; one that came too late for its term touches nothing and
  // tries the next.
  std::atomic<uint32_t>& Enter() {
    Counters& counters = counters_[ThreadsPlace()];
    while (true) {
      const uint64_t epoch = epoch_.load();
      std::atomic<uint32_t>& count = counters.in_term[epoch % 2];
      count.fetch_add(1);
      if (epoch_.load() == epoch) return count;
      count.fetch_sub(1);
    }
  }
  bool Empty(uint64_t term) const {
    for (const Counters& counters : counters_) {
      if (counters.in_term[term].load() != 0) return false;
    }
    return true;
  }

  std::array<Counters, kCounters> counters_;
  std::atomic<uint64_t> epoch_{0};
  std::vector<std::shared_ptr<const void>> retired_;  // in this term
  std::vector<std::shared_ptr<const void>> leaving_;  // in the term before
};

}  // namespace atoll::replication
