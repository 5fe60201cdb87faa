#include "server/replication/record_log.h"

#include <utility>

namespace atoll::replication {

void RecordLog::Reset(uint64_t after) {
  records_.clear();
  bytes_ = 0;
  before_first_ = after;
}

uint64_t RecordLog::SizeOf(const internal::v1::Record& record) {
  constexpr uint64_t kOverhead = 128;
  switch (record.effect_case()) {
    case internal::v1::Record::kPut:
      return kOverhead + record.put().key().size() + record.put().value().size();
    case internal::v1::Record::kErase:
      return kOverhead + record.erase().key().size();
    case internal::v1::Record::kTouch:
      return kOverhead + record.touch().key().size();
    default:
      return kOverhead;
  }
}

void RecordLog::Append(internal::v1::Record record) {
  bytes_ += SizeOf(record);
  records_.push_back(std::move(record));
}

void RecordLog::Skip(uint64_t sequence) { Reset(sequence); }

void RecordLog::TruncateThrough(uint64_t sequence) {
  while (!records_.empty() && before_first_ < sequence) {
    bytes_ -= SizeOf(records_.front());
    records_.pop_front();
    ++before_first_;
  }
}

const internal::v1::Record* RecordLog::Find(uint64_t sequence) const {
  if (!Has(sequence)) return nullptr;
  return &records_[sequence - before_first_ - 1];
}

uint64_t RecordLog::CopyFrom(uint64_t first, uint64_t max_bytes,
                             google::protobuf::RepeatedPtrField<internal::v1::Record>* out) const {
  uint64_t sequence = first - 1;
  uint64_t bytes = 0;
  while (Has(sequence + 1) && bytes < max_bytes) {
    const internal::v1::Record& record = *Find(sequence + 1);
    *out->Add() = record;
    bytes += SizeOf(record);
    ++sequence;
  }
  return sequence;
}

}  // namespace atoll::replication
