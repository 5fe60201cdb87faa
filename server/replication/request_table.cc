#include "server/replication/request_table.h"

#include <algorithm>

namespace atoll::replication {

RequestTable::Looked RequestTable::Find(const RequestId& id) const {
  if (const auto at = results_.find({id.client, id.number}); at != results_.end()) {
    return {.answer = Answer::kRemembered, .result = &at->second};
  }
  if (const auto at = forgotten_.find(id.client);
      at != forgotten_.end() && id.number <= at->second) {
    return {.answer = Answer::kForgotten};
  }
  return {};
}

void RequestTable::Remember(const internal::v1::RememberedResult& result) {
  const Id id{result.client_id(), result.number()};
  if (!results_.emplace(id, result).second) return;
  order_.push_back(id);
  if (order_.size() > kMaxRememberedRequests) ForgetOldest();
}

void RequestTable::ForgetOldest() {
  const Id id = order_.front();
  order_.pop_front();
  results_.erase(id);
  if (forgotten_.size() >= kMaxRememberedRequests) forgotten_.erase(forgotten_.begin());
  uint64_t& floor = forgotten_[id.first];
  floor = std::max(floor, id.second);
}

void RequestTable::Expire(absl::Time now) {
  const int64_t before = absl::ToUnixMillis(now - kRequestMemory);
  while (!order_.empty() &&
         static_cast<int64_t>(results_.find(order_.front())->second.at_ms()) < before) {
    ForgetOldest();
  }
}

void RequestTable::Clear() {
  results_.clear();
  order_.clear();
  forgotten_.clear();
}

void RequestTable::CopyTo(
    google::protobuf::RepeatedPtrField<internal::v1::RememberedResult>* out) const {
  for (const Id& id : order_) *out->Add() = results_.find(id)->second;
}

}  // namespace atoll::replication
