#include "absl/strings/numbers.h"
#include "base/status.h"
#include "rpc/status.h"
#include "tests/support/fake_cache_node.h"

namespace atoll::test {
namespace {

std::string Ns(const std::string& name) { return name.empty() ? "default" : name; }

std::pair<uint64_t, uint64_t> RequestOf(const v1::Operation& op) {
  const v1::RequestId* id = nullptr;
  if (op.has_add()) id = &op.add().request_id();
  if (op.has_replace()) id = &op.replace().request_id();
  if (op.has_compare_and_swap()) id = &op.compare_and_swap().request_id();
  if (op.has_increment()) id = &op.increment().request_id();
  if (op.has_append()) id = &op.append().request_id();
  if (op.has_prepend()) id = &op.prepend().request_id();
  return id == nullptr ? std::make_pair(uint64_t{0}, uint64_t{0})
                       : std::make_pair(id->client_id(), id->number());
}

}  // namespace

v1::GetResponse FakeCacheCluster::ReadLocked(const v1::GetRequest& get) {
  v1::GetResponse response;
  const auto found = entries_.find({Ns(get.namespace_()), get.key()});
  if (found == entries_.end()) {
    response.set_outcome(v1::OUTCOME_MISS);
    return response;
  }
  const Entry& entry = found->second;
  response.set_version(entry.version);
  response.set_flags(entry.flags);
  response.set_size(entry.value.size());
  response.set_max_idle_ms(entry.max_idle_ms);
  if (entry.ttl_ms.has_value() && *entry.ttl_ms > 0) response.set_ttl_ms(*entry.ttl_ms);
  if (get.if_version_not() != 0 && get.if_version_not() == entry.version) {
    response.set_outcome(v1::OUTCOME_UNCHANGED);
    return response;
  }
  response.set_outcome(v1::OUTCOME_OK);
  if (!get.metadata_only()) {
    response.set_value(entry.value);
    ++values_read_;
  }
  return response;
}

v1::GetResponse FakeCacheCluster::Read(const v1::GetRequest& get) {
  base::MutexLock lock(mu_);
  return ReadLocked(get);
}

template <typename Request>
uint64_t FakeCacheCluster::PutLocked(const Request& request) {
  Entry& entry = entries_[{Ns(request.namespace_()), request.key()}];
  entry.value = request.value();
  entry.version = next_version_++;
  entry.flags = request.flags();
  entry.ttl_ms.reset();
  if (request.has_ttl_ms()) entry.ttl_ms = request.ttl_ms();
  entry.max_idle_ms = request.max_idle_ms();
  return entry.version;
}

v1::SetResponse FakeCacheCluster::Store(const v1::SetRequest& set) {
  base::MutexLock lock(mu_);
  v1::SetResponse response;
  response.set_outcome(v1::OUTCOME_OK);
  response.set_version(PutLocked(set));
  response.set_copies(1);
  return response;
}

v1::OperationResult FakeCacheCluster::Execute(const v1::Operation& operation, size_t largest) {
  base::MutexLock lock(mu_);
  const auto request = RequestOf(operation);
  if (request.first != 0) {
    const auto known = remembered_.find(request);
    if (known != remembered_.end()) {
      v1::OperationResult again = known->second;
      again.set_id(operation.id());
      return again;
    }
  }
  v1::OperationResult result;
  result.set_id(operation.id());
  ExecuteOneLocked(operation, largest, &result);
  ExecuteManyLocked(operation, largest, &result);
  if (request.first != 0) remembered_[request] = result;
  return result;
}

void FakeCacheCluster::ExecuteOneLocked(const v1::Operation& op, size_t largest,
                                        v1::OperationResult* result) {
  const auto find = [this](const auto& request) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return entries_.find({Ns(request.namespace_()), request.key()});
  };
  switch (op.kind_case()) {
    case v1::Operation::kGet: {
      v1::GetResponse* get = result->mutable_get();
      *get = ReadLocked(op.get());
      if (get->value().size() > largest) {
        get->clear_value();
        get->set_outcome(v1::OUTCOME_USE_STREAM);
        --values_read_;
      }
      return;
    }
    case v1::Operation::kSet:
      result->mutable_set()->set_outcome(v1::OUTCOME_OK);
      result->mutable_set()->set_version(PutLocked(op.set()));
      result->mutable_set()->set_copies(2);
      return;
    case v1::Operation::kAdd: {
      const auto found = find(op.add());
      const bool absent = found == entries_.end();
      auto* add = result->mutable_add();
      add->set_outcome(absent ? v1::OUTCOME_OK : v1::OUTCOME_NOT_STORED);
      add->set_version(absent ? PutLocked(op.add()) : found->second.version);
      return;
    }
    case v1::Operation::kReplace: {
      const bool absent = find(op.replace()) == entries_.end();
      auto* replace = result->mutable_replace();
      replace->set_outcome(absent ? v1::OUTCOME_NOT_STORED : v1::OUTCOME_OK);
      if (!absent) replace->set_version(PutLocked(op.replace()));
      return;
    }
    case v1::Operation::kCompareAndSwap: {
      const auto found = find(op.compare_and_swap());
      auto* swap = result->mutable_compare_and_swap();
      if (found == entries_.end()) {
        swap->set_outcome(v1::OUTCOME_MISS);
      } else if (found->second.version != op.compare_and_swap().expected_version()) {
        swap->set_outcome(v1::OUTCOME_MISMATCH);
        swap->set_version(found->second.version);
      } else {
        swap->set_outcome(v1::OUTCOME_OK);
        swap->set_version(PutLocked(op.compare_and_swap()));
      }
      return;
    }
    case v1::Operation::kDelete: {
      const bool erased = entries_.erase({Ns(op.delete_().namespace_()), op.delete_().key()}) > 0;
      result->mutable_delete_()->set_outcome(erased ? v1::OUTCOME_OK : v1::OUTCOME_MISS);
      if (erased) result->mutable_delete_()->set_version(next_version_++);
      return;
    }
    default:
      return EditOneLocked(op, result);
  }
}

void FakeCacheCluster::EditOneLocked(const v1::Operation& op, v1::OperationResult* result) {
  const auto find = [this](const auto& request) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return entries_.find({Ns(request.namespace_()), request.key()});
  };
  switch (op.kind_case()) {
    case v1::Operation::kTouch: {
      const auto found = find(op.touch());
      auto* touch = result->mutable_touch();
      touch->set_outcome(found == entries_.end() ? v1::OUTCOME_MISS : v1::OUTCOME_OK);
      if (found == entries_.end()) return;
      if (op.touch().has_ttl_ms()) found->second.ttl_ms = op.touch().ttl_ms();
      touch->set_version(found->second.version = next_version_++);
      return;
    }
    case v1::Operation::kGetAndTouch: {
      const auto found = find(op.get_and_touch());
      if (found != entries_.end()) {
        if (op.get_and_touch().has_ttl_ms()) found->second.ttl_ms = op.get_and_touch().ttl_ms();
        found->second.version = next_version_++;
      }
      v1::GetRequest get;
      get.set_namespace_(op.get_and_touch().namespace_());
      get.set_key(op.get_and_touch().key());
      *result->mutable_get_and_touch()->mutable_entry() = ReadLocked(get);
      return;
    }
    case v1::Operation::kIncrement:
      return IncrementLocked(op.increment(), result);
    case v1::Operation::kAppend: {
      const auto found = find(op.append());
      auto* append = result->mutable_append();
      append->set_outcome(found == entries_.end() ? v1::OUTCOME_NOT_STORED : v1::OUTCOME_OK);
      if (found == entries_.end()) return;
      found->second.value += op.append().value();
      append->set_version(found->second.version = next_version_++);
      return;
    }
    case v1::Operation::kPrepend: {
      const auto found = find(op.prepend());
      auto* prepend = result->mutable_prepend();
      prepend->set_outcome(found == entries_.end() ? v1::OUTCOME_NOT_STORED : v1::OUTCOME_OK);
      if (found == entries_.end()) return;
      found->second.value = op.prepend().value() + found->second.value;
      prepend->set_version(found->second.version = next_version_++);
      return;
    }
    default:
      return;
  }
}

void FakeCacheCluster::IncrementLocked(const v1::IncrementRequest& request,
                                       v1::OperationResult* result) {
  auto* increment = result->mutable_increment();
  auto found = entries_.find({Ns(request.namespace_()), request.key()});
  int64_t number = 0;
  if (found == entries_.end()) {
    if (!request.has_initial()) {
      increment->set_outcome(v1::OUTCOME_MISS);
      return;
    }
    number = request.initial();
    found = entries_.try_emplace({Ns(request.namespace_()), request.key()}).first;
  } else if (!absl::SimpleAtoi(found->second.value, &number)) {
    *result->mutable_error() = rpc::ToProto(
        base::WithReason(absl::FailedPreconditionError("not a number"), base::reason::kNotANumber));
    return;
  } else {
    number += request.delta();
  }
  found->second.value = std::to_string(number);
  found->second.version = next_version_++;
  increment->set_outcome(v1::OUTCOME_OK);
  increment->set_number(number);
  increment->set_version(found->second.version);
}

void FakeCacheCluster::ExecuteManyLocked(const v1::Operation& op, size_t largest,
                                         v1::OperationResult* result) {
  if (op.has_multi_get()) {
    for (int i = 0; i < op.multi_get().keys_size(); ++i) {
      v1::GetRequest get;
      get.set_namespace_(op.multi_get().namespace_());
      get.set_key(op.multi_get().keys(i));
      auto* one = result->mutable_multi_get()->add_results();
      one->set_index(static_cast<uint32_t>(i));
      *one->mutable_result() = ReadLocked(get);
      if (one->result().value().size() > largest) {
        one->mutable_result()->clear_value();
        one->mutable_result()->set_outcome(v1::OUTCOME_USE_STREAM);
      }
    }
    result->mutable_multi_get();
  } else if (op.has_multi_set()) {
    for (int i = 0; i < op.multi_set().entries_size(); ++i) {
      const v1::MultiSetEntry& entry = op.multi_set().entries(i);
      v1::SetRequest set;
      set.set_namespace_(op.multi_set().namespace_());
      set.set_key(entry.key());
      set.set_value(entry.value());
      set.set_flags(entry.flags());
      if (entry.has_ttl_ms()) set.set_ttl_ms(entry.ttl_ms());
      auto* one = result->mutable_multi_set()->add_results();
      one->set_index(static_cast<uint32_t>(i));
      one->mutable_result()->set_outcome(v1::OUTCOME_OK);
      one->mutable_result()->set_version(PutLocked(set));
    }
  } else if (op.has_multi_delete()) {
    for (int i = 0; i < op.multi_delete().keys_size(); ++i) {
      const bool erased =
          entries_.erase({Ns(op.multi_delete().namespace_()), op.multi_delete().keys(i)}) > 0;
      auto* one = result->mutable_multi_delete()->add_results();
      one->set_index(static_cast<uint32_t>(i));
      one->mutable_result()->set_outcome(erased ? v1::OUTCOME_OK : v1::OUTCOME_MISS);
    }
  }
}

void FakeCacheCluster::SetMap(ring::PlacementMap map, bool announce) {
  base::MutexLock lock(mu_);
  map_ = std::make_shared<const ring::PlacementMap>(std::move(map));
  if (announce) announced_ = map_;
  changed_.SignalAll();
}

std::shared_ptr<const ring::PlacementMap> FakeCacheCluster::map() const {
  base::MutexLock lock(mu_);
  return map_;
}

std::shared_ptr<const ring::PlacementMap> FakeCacheCluster::WaitForNewer(
    uint64_t version, const std::function<bool()>& cancelled) {
  base::MutexLock lock(mu_);
  while (announced_->version <= version && !cancelled()) {
    changed_.WaitFor(mu_, absl::Milliseconds(10));
  }
  return announced_;
}

std::optional<FakeCacheCluster::Entry> FakeCacheCluster::Find(const std::string& ns,
                                                              const std::string& key) const {
  base::MutexLock lock(mu_);
  const auto found = entries_.find({ns, key});
  if (found == entries_.end()) return std::nullopt;
  return found->second;
}

void FakeCacheCluster::Put(const std::string& ns, const std::string& key, Entry entry) {
  base::MutexLock lock(mu_);
  entry.version = next_version_++;
  entries_[{ns, key}] = std::move(entry);
}

void FakeCacheCluster::Erase(const std::string& ns, const std::string& key) {
  base::MutexLock lock(mu_);
  entries_.erase({ns, key});
}

int64_t FakeCacheCluster::values_read() const {
  base::MutexLock lock(mu_);
  return values_read_;
}

}  // namespace atoll::test
