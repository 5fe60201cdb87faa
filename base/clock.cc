#include "base/clock.h"

#include <time.h>

#include <algorithm>
#include <limits>

namespace atoll::base {
namespace {

CacheSeconds Since2020(int64_t unix_seconds) {
  return static_cast<CacheSeconds>(std::clamp<int64_t>(unix_seconds - kCacheEpochUnixSeconds, 0,
                                                       std::numeric_limits<CacheSeconds>::max()));
}

class RealClock final : public Clock {
 public:
  absl::Time Now() const override { return absl::TimeFromTimespec(Read(CLOCK_REALTIME)); }
  CacheSeconds NowSeconds() const override { return Since2020(Read(CLOCK_REALTIME_COARSE).tv_sec); }
  absl::Duration BootTime() const override {
    return absl::DurationFromTimespec(Read(CLOCK_BOOTTIME));
  }

 private:
  static timespec Read(clockid_t id) {
    timespec now{};
    clock_gettime(id, &now);
    return now;
  }
};

}  // namespace

const Clock& Clock::Real() {
  static const RealClock clock;
  return clock;
}

FakeClock::FakeClock(absl::Time start) : wall_ns_(absl::ToUnixNanos(start)) {}

absl::Time FakeClock::Now() const { return absl::FromUnixNanos(wall_ns_.load()); }

CacheSeconds FakeClock::NowSeconds() const { return ToCacheSeconds(Now()); }

absl::Duration FakeClock::BootTime() const { return absl::Nanoseconds(boot_ns_.load()); }

void FakeClock::Advance(absl::Duration by) {
  wall_ns_.fetch_add(absl::ToInt64Nanoseconds(by));
  boot_ns_.fetch_add(absl::ToInt64Nanoseconds(by));
}

void FakeClock::SetWall(absl::Time now) { wall_ns_.store(absl::ToUnixNanos(now)); }

CacheSeconds ToCacheSeconds(absl::Time time) { return Since2020(absl::ToUnixSeconds(time)); }

absl::Time FromCacheSeconds(CacheSeconds seconds) {
  return absl::FromUnixSeconds(kCacheEpochUnixSeconds + seconds);
}

}  // namespace atoll::base
