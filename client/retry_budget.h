// How many retries a client may add to its traffic, so that retries never multiply an overload.
//
// Each call earns `ratio` of a retry, up to the reserve; a retry costs one. A quiet client starts
// with, and keeps, the reserve.
//
// Thread safety: all methods.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace atoll::client {

class RetryBudget {
 public:
  static constexpr int64_t kReserve = 10;

  explicit RetryBudget(double ratio) : earned_(static_cast<int64_t>(ratio * kUnit)) {}

  void Earn() {
    int64_t now = units_.load(std::memory_order_relaxed);
    while (now < kReserve * kUnit &&
           !units_.compare_exchange_weak(now, std::min(now + earned_, kReserve * kUnit),
                                         std::memory_order_relaxed)) {
    }
  }
  // False: there is nothing left.
  bool Spend() {
    int64_t now = units_.load(std::memory_order_relaxed);
    while (now >= kUnit) {
      if (units_.compare_exchange_weak(now, now - kUnit, std::memory_order_relaxed)) return true;
    }
    return false;
  }

 private:
  static constexpr int64_t kUnit = 1000;

  const int64_t earned_;
  // Thousandths of a retry. Relaxed: it orders nothing.
  std::atomic<int64_t> units_{kReserve * kUnit};
};

}  // namespace atoll::client
