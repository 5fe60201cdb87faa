// RocksDB, as far as the warm tier needs it: entries by partition, and one record a partition.
//
// Nothing here is written to a log: what a crash leaves is not used (R7), and a clean stop ends
// with Sync.
//
// Thread safety: all methods.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/ids.h"

namespace atoll::warm {

// An entry's place on disk: partition (2 bytes, big endian), namespace id (2 bytes, big endian),
// key.
std::string DiskKey(base::PartitionId partition, base::NamespaceId ns, std::string_view key);

struct DiskKeyParts {
  base::NamespaceId ns;
  std::string_view key;
};
// Of a key that ForEach gave.
DiskKeyParts ParseDiskKey(std::string_view disk_key);

struct DiskWrite {
  std::string key;
  // Empty key or value never occurs; a deletion is told by `erase`.
  std::string value;
  bool erase = false;
};

class WarmDb {
 public:
  // Makes it if need be. `memory_bytes` bounds write buffers and caches together. DATA_LOSS if what
  // is there is damaged.
  static absl::StatusOr<std::unique_ptr<WarmDb>> Open(const std::string& path,
                                                      uint64_t memory_bytes);
  // Removes a database that is not open, damaged or not.
  static absl::Status Destroy(const std::string& path);

  virtual ~WarmDb() = default;

  virtual absl::Status Write(absl::Span<const DiskWrite> writes) = 0;
  virtual absl::Status DropPartition(base::PartitionId partition) = 0;
  // In order of keys, until `visit` returns false. Views live during the call. DATA_LOSS if what
  // was read is damaged; the entries visited before that were whole.
  using Visit = std::function<bool(std::string_view disk_key, std::string_view value)>;
  virtual absl::Status ForEach(base::PartitionId partition, const Visit& visit) const = 0;

  // The records of partitions: all replaced at once.
  virtual absl::Status ReplaceRecords(absl::Span<const std::string> records) = 0;
  virtual absl::StatusOr<std::vector<std::string>> Records() const = 0;

  // After an error of the disk writes are refused; this tries to go on.
  virtual absl::Status Recover() = 0;
  // All that was written is on the disk, whatever happens next.
  virtual absl::Status Sync() = 0;
  // Of the files, and of what waits to be put there.
  virtual uint64_t SizeBytes() const = 0;
  // Entries and records, about: changes that are not merged yet count on their own.
  virtual uint64_t EstimateEntries() const = 0;
  // Gives back the space of what was deleted. Takes long.
  virtual void Compact() = 0;
};

}  // namespace atoll::warm
