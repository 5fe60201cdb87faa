// Collapses identical reads under the rule of base/single_flight.h, without memory of its own: a
// flight is the read that leads it, and those who joined are linked to it.
//
// A flight boards until it departs, which is when its request is put on the wire; a strict read
// joins only a boarding flight, for the answer to one in the air may be older than a write that the
// caller knows to be done. Who comes later waits for the next flight.
//
// Departing takes no lock. A read that still sees the flight as boarding looked before the request
// was written, hence also before the node answered it: what was acknowledged before the read began
// had been acknowledged before the request was sent.
//
// Thread safety: all methods. Ownership: a read stays where it is from Board until it is handed
// back, by Land or by Expire.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "base/brief_lock.h"

namespace atoll::client {

class FlightList;

// A read, as a flight sees it.
class FlightRead {
 public:
  // Identical reads have equal ones. `hash` is that of the namespace and the key.
  struct Key {
    uint64_t hash = 0;
    bool bounded = false;
    std::string_view ns;
    std::string_view key;
    friend bool operator==(const Key& a, const Key& b) {
      return a.hash == b.hash && a.bounded == b.bounded && a.key == b.key && a.ns == b.ns;
    }
  };

  // What the views point at lives as long as the read.
  Key flight_key;
  // Of one that joined: it is handed back then at the latest.
  absl::Duration expires = absl::InfiniteDuration();
  // Of one that leads: whether landed() counts it.
  bool counts = false;

  // The request goes out now. Without effect if it has departed already.
  void Depart() { in_air_.store(true, std::memory_order_seq_cst); }
  // The same for one of many, by who sees to it that all threads see it before the request is
  // written.
  void DepartSoon() { in_air_.store(true, std::memory_order_relaxed); }

 private:
  friend class Flights;
  friend class FlightList;

  struct List {
    FlightRead* first = nullptr;
    FlightRead* last = nullptr;
  };

  FlightRead* next_ = nullptr;  // leader: in its bucket; otherwise: in its list
  // Of a leader, under its shard's lock: who flies along, and who waits for the next flight.
  List aboard_;
  List later_;
  std::atomic<bool> in_air_{false};
};

// Reads handed back. PopFront before anything is done to the read.
class FlightList {
 public:
  bool empty() const { return list_.first == nullptr; }
  FlightRead* PopFront() {
    FlightRead* const read = list_.first;
    if (read == nullptr) return nullptr;
    list_.first = read->next_;
    if (list_.first == nullptr) list_.last = nullptr;
    return read;
  }
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (FlightRead* at = list_.first; at != nullptr; at = at->next_) visit(at);
  }

 private:
  friend class Flights;
  FlightRead::List list_;
};

class Flights {
 public:
  // Joins a flight, or leads a new one: true then, and the caller must send the request, and Land
  // it however it ends. A bounded read joins what is in the air, too.
  bool Board(FlightRead* read);

  // The leader's request has ended. Returns who flew along. If others wait, `make_next(waiting)`
  // makes the read that leads them; the caller must send it.
  template <typename MakeNext>
  FlightList Land(FlightRead* leader, MakeNext make_next) {
    Shard& shard = ShardOf(leader->flight_key.hash);
    base::BriefLockHold lock(shard.mu);
    RemoveLocked(shard, leader);
    if (leader->counts) ++shard.landed;
    FlightList landed;
    landed.list_ = leader->aboard_;
    if (leader->later_.first != nullptr) {
      FlightList waiting;
      waiting.list_ = leader->later_;
      FlightRead* const next = make_next(waiting);
      next->aboard_ = waiting.list_;
      InsertLocked(shard, next);
    }
    return landed;
  }

  // Leaders that have landed and count.
  uint64_t landed() const;

  // Hands back who joined and has expired; `next`: when the next one will.
  FlightList Expire(absl::Duration now, absl::Duration* next);

 private:
  static constexpr size_t kShards = 16;
  static constexpr size_t kBuckets = 1024;
  struct alignas(64) Shard {
    base::BriefLock mu;
    // Counted on the way, since the lock is held.
    uint64_t landed ABSL_GUARDED_BY(mu) = 0;
    std::array<FlightRead*, kBuckets> buckets ABSL_GUARDED_BY(mu) = {};
  };

  Shard& ShardOf(uint64_t hash) { return (*shards_)[hash % kShards]; }
  static size_t BucketOf(uint64_t hash) { return hash / kShards % kBuckets; }
  static void Append(FlightRead::List& list, FlightRead* read);
  static void InsertLocked(Shard& shard, FlightRead* leader)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(shard.mu);
  static void RemoveLocked(Shard& shard, FlightRead* leader)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(shard.mu);
  static void TakeExpired(FlightRead::List& from, absl::Duration now, FlightRead::List& to,
                          absl::Duration* next);

  std::unique_ptr<std::array<Shard, kShards>> shards_ =
      std::make_unique<std::array<Shard, kShards>>();
};

// In line, all of it: each read boards and lands.

inline void Flights::Append(FlightRead::List& list, FlightRead* read) {
  read->next_ = nullptr;
  (list.last == nullptr ? list.first : list.last->next_) = read;
  list.last = read;
}

inline void Flights::InsertLocked(Shard& shard, FlightRead* leader) {
  FlightRead*& bucket = shard.buckets[BucketOf(leader->flight_key.hash)];
  leader->next_ = bucket;
  bucket = leader;
}

inline void Flights::RemoveLocked(Shard& shard, FlightRead* leader) {
  FlightRead** at = &shard.buckets[BucketOf(leader->flight_key.hash)];
  while (*at != leader) at = &(*at)->next_;
  *at = leader->next_;
}

inline bool Flights::Board(FlightRead* read) {
  const FlightRead::Key& key = read->flight_key;
  Shard& shard = ShardOf(key.hash);
  base::BriefLockHold lock(shard.mu);
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

}  // namespace atoll::client
