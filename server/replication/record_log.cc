#include "server/replication/record_log.h"

#include <cstring>
#include <utility>

#include "rpc/wire/peer_codec.h"

namespace atoll::replication {

void RecordLog::Reset(uint64_t after) {
  records_.clear();
  bytes_ = 0;
  before_first_ = after;
}

uint64_t RecordLog::SizeOf(const Entry& entry) {
  // With what the log and a message keep around a record.
  constexpr uint64_t kOverhead = 64;
  return kOverhead + entry.size;
}

uint64_t RecordLog::SizeOf(uint64_t sequence) const {
  return Has(sequence) ? SizeOf(At(sequence)) : 0;
}

void RecordLog::Push(base::Version version, std::shared_ptr<const char[]> bytes, size_t size) {
  records_.push_back({.version = version, .bytes = std::move(bytes), .size = size});
  bytes_ += SizeOf(records_.back());
}

void RecordLog::Append(const wire::Record& record) {
  const size_t size = wire::Size(record);
  auto bytes = std::make_shared_for_overwrite<char[]>(size);
  wire::Write(record, reinterpret_cast<uint8_t*>(bytes.get()));
  Push(base::Version(record.version), std::move(bytes), size);
}

void RecordLog::Append(base::Version version, const wire::Payload& encoded) {
  const size_t size = encoded.size();
  auto bytes = std::make_shared_for_overwrite<char[]>(size);
  char* out = bytes.get();
  for (const std::string_view piece : encoded.span()) {
    std::memcpy(out, piece.data(), piece.size());
    out += piece.size();
  }
  Push(version, std::move(bytes), size);
}

void RecordLog::Skip(uint64_t sequence) { Reset(sequence); }

void RecordLog::TruncateThrough(uint64_t sequence) {
  while (!records_.empty() && before_first_ < sequence) {
    bytes_ -= SizeOf(records_.front());
    records_.pop_front();
    ++before_first_;
  }
}

uint64_t RecordLog::Collect(uint64_t first, uint64_t max_bytes, Records* out) const {
  uint64_t sequence = first - 1;
  uint64_t bytes = 0;
  while (Has(sequence + 1) && bytes < max_bytes) {
    const Entry& entry = At(sequence + 1);
    out->push_back({.bytes = {entry.bytes.get(), entry.size}, .owner = entry.bytes});
    bytes += SizeOf(entry);
    ++sequence;
  }
  return sequence;
}

}  // namespace atoll::replication
