// Time, injected: production reads the machine's clocks, tests and simulation set their own.
//
// Two clocks that must not be mixed. `BootTime` only goes forward, counts host suspend, and means
// nothing outside this machine: leases, deadlines and latencies use it. `Now` is the wall clock,
// which may jump: expiry uses it, through the cluster clock.
//
// Thread safety: all classes here may be used by any thread.
#pragma once

#include <atomic>
#include <cstdint>

#include "absl/time/time.h"

namespace atoll::base {

// Seconds since 2020-01-01 UTC: how entries hold their expiry (32 bits last until 2156).
inline constexpr int64_t kCacheEpochUnixSeconds = 1'577'836'800;
using CacheSeconds = uint32_t;
// 0 before 2020.
CacheSeconds ToCacheSeconds(absl::Time time);
absl::Time FromCacheSeconds(CacheSeconds seconds);

class Clock {
 public:
  virtual ~Clock() = default;
  // Wall clock.
  virtual absl::Time Now() const = 0;
  // The wall clock's seconds, which may begin some milliseconds late: a quarter of the cost.
  virtual CacheSeconds NowSeconds() const = 0;
  // Time since some fixed point in this machine's past; CLOCK_BOOTTIME in production.
  virtual absl::Duration BootTime() const = 0;

  // The machine's clocks. Lives as long as the process.
  static const Clock& Real();
};

// A clock that stands still until it is moved.
class FakeClock final : public Clock {
 public:
  explicit FakeClock(absl::Time start = absl::FromUnixSeconds(1'800'000'000));
  absl::Time Now() const override;
  CacheSeconds NowSeconds() const override;
  absl::Duration BootTime() const override;
  // Moves both clocks. `by` is not negative.
  void Advance(absl::Duration by);
  // Sets the wall clock alone, as an operator or NTP would.
  void SetWall(absl::Time now);

 private:
  std::atomic<int64_t> wall_ns_;
  std::atomic<int64_t> boot_ns_{1'000'000'000};
};

}  // namespace atoll::base
