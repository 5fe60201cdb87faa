// Collapses identical reads: many callers, one request (docs/consistency.md).
//
// A flight of a key boards until it departs, which is when its request is put on the wire. A strict
// read may board, but must not join a flight in the air: the answer under way may be older than a
// write that the caller knows to be done. Who comes while one is in the air boards the next; it
// departs when the first has landed. So any number of callers cost at most one request under way
// and one to follow.
//
// This class keeps the lists only; the caller sends requests and calls waiters, with no lock held:
//
//   if (flights.Board(key, waiter)) Send(key);        // Send: flights.Depart(key) as it goes out
//   ... on the answer:
//   auto landing = flights.Land(key);
//   if (landing.next) Send(key);                      // the next one, with the version just read
//   for (auto& waiter : landing.waiters) waiter(answer);
//
// Every request must land, also when it failed, or its waiters and all later ones are stranded.
//
// Thread safety: all methods.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/hash/hash.h"
#include "base/mutex.h"

namespace atoll::base {

// `Waiter` is moved, never copied.
template <typename Key, typename Waiter>
class SingleFlight {
 public:
  struct Landing {
    std::vector<Waiter> waiters;
    // Others boarded meanwhile: the caller must launch their flight.
    bool next = false;
  };

  // Joins the boarding flight. True if the caller must launch it: none was boarding, none is in the
  // air.
  bool Board(const Key& key, Waiter waiter) {
    Shard& shard = ShardOf(key);
    MutexLock lock(shard.mu);
    Flights& flights = shard.flights[key];
    const bool lead = flights.boarding.empty() && !flights.in_air;
    flights.boarding.push_back(std::move(waiter));
    return lead;
  }

  // For a read that bears an older value: joins whatever is under way, the one in the air first.
  bool BoardAny(const Key& key, Waiter waiter) {
    Shard& shard = ShardOf(key);
    MutexLock lock(shard.mu);
    Flights& flights = shard.flights[key];
    const bool lead = flights.boarding.empty() && !flights.in_air;
    (flights.in_air ? flights.flying : flights.boarding).push_back(std::move(waiter));
    return lead;
  }

  // The request goes out now: who comes later takes the next flight. Without effect if it has
  // departed already (a request that is sent again).
  void Depart(const Key& key) {
    Shard& shard = ShardOf(key);
    MutexLock lock(shard.mu);
    auto found = shard.flights.find(key);
    if (found == shard.flights.end() || found->second.in_air) {
      return;
    }
    found->second.in_air = true;
    found->second.flying = std::move(found->second.boarding);
    found->second.boarding.clear();
  }

  // The request was answered, or given up. One that never departed lands those who boarded.
  Landing Land(const Key& key) {
    Shard& shard = ShardOf(key);
    MutexLock lock(shard.mu);
    Landing landing;
    auto found = shard.flights.find(key);
    if (found == shard.flights.end()) {
      return landing;
    }
    Flights& flights = found->second;
    if (!flights.in_air) {
      landing.waiters = std::move(flights.boarding);
      shard.flights.erase(found);
      return landing;
    }
    landing.waiters = std::move(flights.flying);
    flights.flying.clear();
    flights.in_air = false;
    landing.next = !flights.boarding.empty();
    if (!landing.next) {
      shard.flights.erase(found);
    }
    return landing;
  }

  // Keys with a flight; for tests and figures.
  size_t size() const {
    size_t total = 0;
    for (const Shard& shard : shards_) {
      MutexLock lock(shard.mu);
      total += shard.flights.size();
    }
    return total;
  }

 private:
  struct Flights {
    std::vector<Waiter> boarding;
    std::vector<Waiter> flying;
    bool in_air = false;
  };
  struct Shard {
    mutable Mutex mu;
    absl::flat_hash_map<Key, Flights> flights ABSL_GUARDED_BY(mu);
  };

  Shard& ShardOf(const Key& key) {
    // The map inside uses the low bits.
    return shards_[(static_cast<uint64_t>(absl::HashOf(key)) >> 59) % kShards];
  }

  static constexpr size_t kShards = 16;
  std::array<Shard, kShards> shards_;
};

}  // namespace atoll::base
