#include "client/flights.h"

#include <algorithm>

namespace atoll::client {

void Flights::Append(FlightRead::List& list, FlightRead* read) {
  read->next_ = nullptr;
  (list.last == nullptr ? list.first : list.last->next_) = read;
  list.last = read;
}

void Flights::InsertLocked(Shard& shard, FlightRead* leader) {
  FlightRead*& bucket = shard.buckets[BucketOf(leader->flight_key.hash)];
  leader->next_ = bucket;
  bucket = leader;
}

void Flights::RemoveLocked(Shard& shard, FlightRead* leader) {
  FlightRead** at = &shard.buckets[BucketOf(leader->flight_key.hash)];
  while (*at != leader) at = &(*at)->next_;
  *at = leader->next_;
}

bool Flights::Board(FlightRead* read) {
  const FlightRead::Key& key = read->flight_key;
  Shard& shard = ShardOf(key.hash);
  BriefLockHold lock(shard.mu);
  for (FlightRead* at = shard.buckets[BucketOf(key.hash)]; at != nullptr; at = at->next_) {
    if (!(at->flight_key == key)) continue;
    const bool joins = key.bounded || !at->in_air_.load(std::memory_order_seq_cst);
    Append(joins ? at->aboard_ : at->later_, read);
    return false;
  }
  read->aboard_ = {};
  read->later_ = {};
  read->in_air_.store(false, std::memory_order_relaxed);
  InsertLocked(shard, read);
  return true;
}

uint64_t Flights::landed() const {
  uint64_t sum = 0;
  for (Shard& shard : *shards_) {
    BriefLockHold lock(shard.mu);
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
    BriefLockHold lock(shard.mu);
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
