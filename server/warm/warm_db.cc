#include "server/warm/warm_db.h"

#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/slice.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <rocksdb/write_buffer_manager.h>

#include <algorithm>
#include <cstdarg>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "base/strings.h"

namespace atoll::warm {
namespace {

// Partitions end at 4095; what lies behind them is ours.
constexpr uint16_t kRecordPrefix = 0xffff;

void AppendU16(std::string& out, uint16_t value) {
  out.push_back(static_cast<char>(value >> 8));
  out.push_back(static_cast<char>(value & 0xff));
}

std::string Prefix(uint16_t value) {
  std::string out;
  AppendU16(out, value);
  return out;
}

std::string_view AsView(const rocksdb::Slice& s) { return {s.data(), s.size()}; }

absl::Status FromRocks(const rocksdb::Status& status) {
  if (status.ok()) {
    return absl::OkStatus();
  }
  const std::string text = absl::StrCat("warm tier: ", status.ToString());
  if (status.IsCorruption()) {
    return absl::DataLossError(text);
  }
  if (status.IsNoSpace()) {
    return absl::ResourceExhaustedError(text);
  }
  return absl::InternalError(text);
}

rocksdb::CompressionType FirstSupported(std::initializer_list<rocksdb::CompressionType> wanted) {
  const std::vector<rocksdb::CompressionType> there = rocksdb::GetSupportedCompressions();
  for (const rocksdb::CompressionType type : wanted) {
    if (std::find(there.begin(), there.end(), type) != there.end()) {
      return type;
    }
  }
  return rocksdb::kNoCompression;
}

// RocksDB's own log file is not used: on a full disk the distribution's build, which has its
// assertions on, aborts the process at the second line that it cannot write. What it reports comes
// back as the status of some call.
class NoLog final : public rocksdb::Logger {
 public:
  NoLog() : rocksdb::Logger(rocksdb::InfoLogLevel::FATAL_LEVEL) {}
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

rocksdb::Options MakeOptions(uint64_t memory_bytes) {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.paranoid_checks = true;
  options.max_background_jobs = 2;
  options.max_open_files = 256;
  options.info_log = std::make_shared<NoLog>();
  options.compression = FirstSupported({rocksdb::kLZ4Compression});
  options.bottommost_compression = FirstSupported({rocksdb::kZSTD, rocksdb::kLZ4Compression});
  // Half for what waits to be written, charged to the same cache: the budget holds for both.
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(memory_bytes);
  table.cache_index_and_filter_blocks = true;
  table.block_size = 16 << 10;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  options.write_buffer_size = std::clamp<uint64_t>(memory_bytes / 4, 1 << 20, 64 << 20);
  options.max_write_buffer_number = 2;
  options.write_buffer_manager =
      std::make_shared<rocksdb::WriteBufferManager>(memory_bytes / 2, table.block_cache);
  return options;
}

class RocksWarmDb final : public WarmDb {
 public:
  explicit RocksWarmDb(rocksdb::DB* db) : db_(db) { unlogged_.disableWAL = true; }

  absl::Status Write(absl::Span<const DiskWrite> writes) override {
    rocksdb::WriteBatch batch;
    for (const DiskWrite& write : writes) {
      if (write.erase) {
        batch.Delete(write.key);
      } else {
        batch.Put(write.key, write.value);
      }
    }
    return FromRocks(db_->Write(unlogged_, &batch));
  }

  absl::Status DropPartition(base::PartitionId partition) override {
    // Most are empty, and a range deletion stays in the way of reads until it is compacted away.
    bool empty = true;
    const absl::Status status = ForEach(partition, [&](std::string_view, std::string_view) {
      empty = false;
      return false;
    });
    return status.ok() && empty ? status : DropPrefix(partition.value());
  }

  absl::Status ForEach(base::PartitionId partition, const Visit& visit) const override {
    return ForEachUnder(partition.value(), visit);
  }

  absl::Status ReplaceRecords(absl::Span<const std::string> records) override {
    if (absl::Status status = DropPrefix(kRecordPrefix); !status.ok()) {
      return status;
    }
    rocksdb::WriteBatch batch;
    uint16_t number = 0;
    for (const std::string& record : records) {
      std::string key = Prefix(kRecordPrefix);
      AppendU16(key, number++);
      batch.Put(key, record);
    }
    return FromRocks(db_->Write(unlogged_, &batch));
  }

  absl::StatusOr<std::vector<std::string>> Records() const override {
    std::vector<std::string> records;
    absl::Status status = ForEachUnder(kRecordPrefix, [&](std::string_view, std::string_view v) {
      records.emplace_back(v);
      return true;
    });
    if (!status.ok()) {
      return status;
    }
    return records;
  }

  absl::Status Recover() override { return FromRocks(db_->Resume()); }

  absl::Status Sync() override {
    rocksdb::FlushOptions options;
    options.wait = true;
    options.allow_write_stall = true;
    return FromRocks(db_->Flush(options));
  }

  uint64_t SizeBytes() const override {
    uint64_t files = 0;
    uint64_t buffers = 0;
    db_->GetIntProperty(rocksdb::DB::Properties::kTotalSstFilesSize, &files);
    db_->GetIntProperty(rocksdb::DB::Properties::kCurSizeAllMemTables, &buffers);
    return files + buffers;
  }

  uint64_t EstimateEntries() const override {
    uint64_t entries = 0;
    db_->GetIntProperty(rocksdb::DB::Properties::kEstimateNumKeys, &entries);
    return entries;
  }

  void Compact() override {
    rocksdb::CompactRangeOptions options;
    options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
    // The size that is left is looked at by the caller; an error shows at the next write.
    db_->CompactRange(options, nullptr, nullptr).PermitUncheckedError();
  }

 private:
  // `prefix` + 1 never wraps: the record prefix has its own end.
  static std::string EndOf(uint16_t prefix) {
    return prefix == kRecordPrefix ? std::string("\xff\xff\xff\xff\xff", 5) : Prefix(prefix + 1);
  }

  absl::Status DropPrefix(uint16_t prefix) {
    return FromRocks(
        db_->DeleteRange(unlogged_, db_->DefaultColumnFamily(), Prefix(prefix), EndOf(prefix)));
  }

  absl::Status ForEachUnder(uint16_t prefix, const Visit& visit) const {
    const std::string start = Prefix(prefix);
    const std::string end = EndOf(prefix);
    const rocksdb::Slice bound(end);
    rocksdb::ReadOptions options;
    options.fill_cache = false;
    options.iterate_upper_bound = &bound;
    const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator(options));
    for (at->Seek(start); at->Valid(); at->Next()) {
      if (!visit(AsView(at->key()), AsView(at->value()))) {
        break;
      }
    }
    return FromRocks(at->status());
  }

  const std::unique_ptr<rocksdb::DB> db_;
  rocksdb::WriteOptions unlogged_;
};

}  // namespace

std::string DiskKey(base::PartitionId partition, base::NamespaceId ns, std::string_view key) {
  std::string out;
  out.reserve(4 + key.size());
  AppendU16(out, partition.value());
  AppendU16(out, ns.value());
  out.append(key);
  return out;
}

DiskKeyParts ParseDiskKey(std::string_view disk_key) {
  if (disk_key.size() < 4) {
    return {};
  }
  const auto high = static_cast<unsigned char>(disk_key[2]);
  const auto low = static_cast<unsigned char>(disk_key[3]);
  return {base::NamespaceId(static_cast<uint16_t>(high << 8 | low)), disk_key.substr(4)};
}

absl::StatusOr<std::unique_ptr<WarmDb>> WarmDb::Open(const std::string& path,
                                                     uint64_t memory_bytes) {
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(MakeOptions(memory_bytes), path, &db);
  if (!status.ok()) {
    return FromRocks(status);
  }
  return std::make_unique<RocksWarmDb>(db);
}

absl::Status WarmDb::Destroy(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) {
    return absl::ErrnoToStatus(error.value(), absl::StrCat("remove ", path));
  }
  return absl::OkStatus();
}

}  // namespace atoll::warm
