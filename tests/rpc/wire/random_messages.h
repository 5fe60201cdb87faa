// Random messages of atoll.v1, for tests of the codec.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>

#include "atoll/v1/cache.pb.h"

namespace atoll::wire {

class RandomMessages {
 public:
  explicit RandomMessages(uint64_t seed) : random_(seed) {}

  uint64_t Below(uint64_t bound) {
    return std::uniform_int_distribution<uint64_t>(0, bound - 1)(random_);
  }
  bool Sometimes() { return Below(3) == 0; }
  // Of any magnitude.
  uint64_t Number() { return random_() >> Below(64); }
  std::string Bytes(size_t at_most) {
    std::string bytes(Below(at_most + 1), '\0');
    for (char& c : bytes) c = static_cast<char>(random_());
    return bytes;
  }
  std::string Name() { return Sometimes() ? "ns" + std::to_string(Below(100)) : ""; }

  void Fill(v1::GetRequest* m) {
    m->set_namespace_(Name());
    m->set_key(Bytes(40));
    if (Sometimes()) m->set_consistency(static_cast<v1::Consistency>(Below(4)));
    if (Sometimes()) m->set_if_version_not(Number());
    if (Sometimes()) m->set_metadata_only(true);
  }
  template <typename Entry>
  void FillEntry(Entry* m) {
    m->set_key(Bytes(40));
    m->set_value(Bytes(Below(20) == 0 ? 20'000 : 200));
    if (Sometimes()) m->set_ttl_ms(static_cast<int64_t>(Number()));
    if (Sometimes()) m->set_max_idle_ms(static_cast<int64_t>(Number()));
    if (Sometimes()) m->set_flags(static_cast<uint32_t>(Number()));
  }
  void Fill(v1::SetRequest* m) {
    m->set_namespace_(Name());
    FillEntry(m);
  }
  void Fill(v1::DeleteRequest* m) {
    m->set_namespace_(Name());
    m->set_key(Bytes(40));
  }
  void Fill(v1::MultiGetRequest* m) {
    m->set_namespace_(Name());
    for (uint64_t i = Below(40); i > 0; --i) m->add_keys(Bytes(20));
    if (Sometimes()) m->set_consistency(v1::CONSISTENCY_BOUNDED);
  }
  void Fill(v1::MultiSetRequest* m) {
    m->set_namespace_(Name());
    for (uint64_t i = Below(40); i > 0; --i) FillEntry(m->add_entries());
  }
  void Fill(v1::MultiDeleteRequest* m) {
    m->set_namespace_(Name());
    for (uint64_t i = Below(40); i > 0; --i) m->add_keys(Bytes(20));
  }
  void Fill(v1::Operation* m) {
    m->set_id(Number());
    if (!Sometimes()) m->set_timeout_ms(static_cast<uint32_t>(Number()));
    switch (Below(6)) {
      case 0:
        return Fill(m->mutable_get());
      case 1:
        return Fill(m->mutable_set());
      case 2:
        return Fill(m->mutable_delete_());
      case 3:
        return Fill(m->mutable_multi_get());
      case 4:
        return Fill(m->mutable_multi_delete());
      default:
        return Fill(m->mutable_multi_set());
    }
  }
  v1::ExchangeRequest Request(int operations) {
    v1::ExchangeRequest m;
    m.set_refuse_wrong_owner(Sometimes());
    if (Sometimes()) m.set_max_value_bytes(Number());
    if (Sometimes()) m.set_sent_us(Number());
    m.set_answer_at_once(Sometimes());
    for (int i = 0; i < operations; ++i) Fill(m.add_operations());
    return m;
  }

  void Fill(v1::GetResponse* m) {
    m->set_outcome(static_cast<v1::Outcome>(Below(7)));
    if (!Sometimes()) m->set_value(Bytes(Below(20) == 0 ? 20'000 : 200));
    m->set_version(random_());
    if (Sometimes()) m->set_flags(static_cast<uint32_t>(Number()));
    if (Sometimes()) m->set_ttl_ms(static_cast<int64_t>(Number()));
    if (Sometimes()) m->set_size(Number());
    if (Sometimes()) m->set_max_idle_ms(static_cast<int64_t>(Number()));
  }
  template <typename Write>
  void FillWrite(Write* m) {
    m->set_outcome(static_cast<v1::Outcome>(Below(7)));
    m->set_version(Number());
    if (Sometimes()) m->set_copies(static_cast<uint32_t>(Number()));
  }
  void FillError(google::rpc::Status* m) {
    m->set_code(static_cast<int32_t>(Below(17)));
    m->set_message("key: 1300 bytes, limit 1024");
    auto* detail = m->add_details();
    detail->set_type_url("type.googleapis.com/google.rpc.ErrorInfo");
    detail->set_value(Bytes(60));
  }
  void Fill(v1::OperationResult* m) {
    m->set_id(Number());
    switch (Below(7)) {
      case 0:
        return Fill(m->mutable_get());
      case 1:
        return FillWrite(m->mutable_set());
      case 2:
        return FillWrite(m->mutable_delete_());
      case 3:
        for (uint32_t i = 0, n = static_cast<uint32_t>(Below(30)); i < n; ++i) {
          auto* item = m->mutable_multi_get()->add_results();
          item->set_index(i);
          Sometimes() ? FillError(item->mutable_error()) : Fill(item->mutable_result());
        }
        m->mutable_multi_get();
        return;
      case 4:
        for (uint32_t i = 0, n = static_cast<uint32_t>(Below(30)); i < n; ++i) {
          auto* item = m->mutable_multi_set()->add_results();
          item->set_index(i);
          Sometimes() ? FillError(item->mutable_error()) : FillWrite(item->mutable_result());
        }
        m->mutable_multi_set();
        return;
      case 5:
        for (uint32_t i = 0, n = static_cast<uint32_t>(Below(30)); i < n; ++i) {
          auto* item = m->mutable_multi_delete()->add_results();
          item->set_index(i);
          Sometimes() ? FillError(item->mutable_error()) : FillWrite(item->mutable_result());
        }
        m->mutable_multi_delete();
        return;
      default:
        return FillError(m->mutable_error());
    }
  }
  v1::ExchangeResponse Response(int results) {
    v1::ExchangeResponse m;
    for (int i = 0; i < results; ++i) Fill(m.add_results());
    return m;
  }

  std::mt19937_64& random() { return random_; }

 private:
  std::mt19937_64 random_;
};

}  // namespace atoll::wire
