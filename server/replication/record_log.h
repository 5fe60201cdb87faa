// The records of a partition that some copy may still lack, in order and without a gap (R4).
//
// Thread safety: none; guarded by the partition's mutex.
#pragma once

#include <cstdint>
#include <deque>

#include "atoll/internal/v1/peer.pb.h"
#include "base/ids.h"

namespace atoll::replication {

class RecordLog {
 public:
  // Forgets everything; the next record is `after` + 1.
  void Reset(uint64_t after);

  // The record's sequence must be last() + 1.
  void Append(internal::v1::Record record);
  // A record that nobody will ask for: as Append followed by TruncateThrough of all.
  void Skip(uint64_t sequence);
  // Drops records at or below `sequence`.
  void TruncateThrough(uint64_t sequence);

  // The sequence before the first record that is here.
  uint64_t before_first() const { return before_first_; }
  uint64_t last() const { return before_first_ + records_.size(); }
  bool Has(uint64_t sequence) const { return sequence > before_first_ && sequence <= last(); }
  // nullptr unless Has.
  const internal::v1::Record* Find(uint64_t sequence) const;
  uint64_t bytes() const { return bytes_; }
  size_t size() const { return records_.size(); }

  // Copies records from `first` on into `out`, until `max_bytes` are passed; at least one if there
  // is one. Returns the last sequence copied, or first - 1.
  uint64_t CopyFrom(uint64_t first, uint64_t max_bytes,
                    google::protobuf::RepeatedPtrField<internal::v1::Record>* out) const;

  // Roughly what a record takes in memory and on the wire.
  static uint64_t SizeOf(const internal::v1::Record& record);

 private:
  uint64_t before_first_ = 0;
  std::deque<internal::v1::Record> records_;
  uint64_t bytes_ = 0;
};

}  // namespace atoll::replication
