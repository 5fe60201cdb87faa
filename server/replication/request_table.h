// What requests with an id were answered, so that a retry is not carried out twice.
//
// A result is remembered for kRequestMemory and within a bound. A client numbers its requests
// upwards; one at or below a number of that client that was forgotten might be a retry of it, and
// is told so (the caller answers AMBIGUOUS).
//
// Thread safety: none; guarded by the partition's mutex.
#pragma once

#include <cstdint>
#include <deque>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "atoll/internal/v1/peer.pb.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "server/replication/operation.h"

namespace atoll::replication {

inline constexpr absl::Duration kRequestMemory = absl::Seconds(60);
inline constexpr size_t kMaxRememberedRequests = 1024;  // a partition

class RequestTable {
 public:
  enum class Answer : uint8_t { kNew, kRemembered, kForgotten };
  struct Looked {
    Answer answer = Answer::kNew;
    const internal::v1::RememberedResult* result = nullptr;  // kRemembered
  };

  Looked Find(const RequestId& id) const;
  // Keeps a result, whose `version` is filled. Ignores one that is here already.
  void Remember(const internal::v1::RememberedResult& result);
  // Forgets what is older than kRequestMemory at `now`.
  void Expire(absl::Time now);
  void Clear();
  // Everything, oldest first: what a learner gets.
  void CopyTo(google::protobuf::RepeatedPtrField<internal::v1::RememberedResult>* out) const;
  size_t size() const { return order_.size(); }

 private:
  using Id = std::pair<uint64_t, uint64_t>;
  void ForgetOldest();

  absl::flat_hash_map<Id, internal::v1::RememberedResult> results_;
  std::deque<Id> order_;
  // Of clients whose results were forgotten: the highest such number. Bounded too: with too many
  // clients the floors go, oldest knowledge last to be missed.
  absl::flat_hash_map<uint64_t, uint64_t> forgotten_;
};

}  // namespace atoll::replication
