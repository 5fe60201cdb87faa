// The records of a partition that some copy may still lack, in order and without a gap (R4): as
// they go over the wire, encoded once.
//
// Thread safety: none; guarded by the partition's mutex.
#pragma once

#include <cstdint>
#include <deque>

#include "absl/container/inlined_vector.h"
#include "base/ids.h"
#include "rpc/wire/peer_messages.h"

namespace atoll::replication {

class RecordLog {
 public:
  // A few at a time: seldom more than one is to be sent.
  using Records = absl::InlinedVector<wire::EncodedRecord, 2>;

  // Forgets everything; the next record is `after` + 1.
  void Reset(uint64_t after);

  // The record's sequence must be last() + 1.
  void Append(const wire::Record& record);
  // The same of one that is encoded already.
  void Append(base::Version version, const wire::Payload& encoded);
  // A record that nobody will ask for: as Append followed by TruncateThrough of all.
  void Skip(uint64_t sequence);
  // Drops records at or below `sequence`.
  void TruncateThrough(uint64_t sequence);

  // The sequence before the first record that is here.
  uint64_t before_first() const { return before_first_; }
  uint64_t last() const { return before_first_ + records_.size(); }
  bool Has(uint64_t sequence) const { return sequence > before_first_ && sequence <= last(); }
  // Of a record that is here.
  base::Version VersionOf(uint64_t sequence) const { return At(sequence).version; }
  // What it roughly takes in memory and on the wire; 0 unless Has.
  uint64_t SizeOf(uint64_t sequence) const;
  uint64_t bytes() const { return bytes_; }
  size_t size() const { return records_.size(); }

  // Adds records from `first` on to `out`, until `max_bytes` are passed; at least one if there is
  // one. Returns the last sequence added, or first - 1.
  uint64_t Collect(uint64_t first, uint64_t max_bytes, Records* out) const;

 private:
  struct Entry {
    base::Version version;
    std::shared_ptr<const char[]> bytes;
    size_t size = 0;
  };
  static uint64_t SizeOf(const Entry& entry);
  const Entry& At(uint64_t sequence) const { return records_[sequence - before_first_ - 1]; }
  void Push(base::Version version, std::shared_ptr<const char[]> bytes, size_t size);

  uint64_t before_first_ = 0;
  std::deque<Entry> records_;
  uint64_t bytes_ = 0;
};

}  // namespace atoll::replication
