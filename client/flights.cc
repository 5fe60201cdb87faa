#include "client/flights.h"

#include <algorithm>

namespace atoll::client {

uint64_t Flights::landed() const {
  uint64_t sum = 0;
  for (Shard& shard : *shards_) {
    base::BriefLockHold lock(shard.mu);
    sum += shard.landed;
  }
  return sum;
}

void Flights::TakeExpired(FlightRead::List& from, absl::Duration now, FlightRead::List& to,
                          absl::Duration* next) {
  FlightRead* read = from.first;
  from = {};
  while (read != nullptr) {
    FlightRead* const following = read->next_;
    const bool expired = read->expires <= now;
    if (!expired) *next = std::min(*next, read->expires);
    Append(expired ? to : from, read);
    read = following;
  }
}

FlightList Flights::Expire(absl::Duration now, absl::Duration* next) {
  FlightList expired;
  *next = absl::InfiniteDuration();
  for (Shard& shard : *shards_) {
    base::BriefLockHold lock(shard.mu);
    for (FlightRead* leader : shard.buckets) {
      for (; leader != nullptr; leader = leader->next_) {
        TakeExpired(leader->aboard_, now, expired.list_, next);
        TakeExpired(leader->later_, now, expired.list_, next);
      }
    }
  }
  return expired;
}

}  // namespace atoll::client
