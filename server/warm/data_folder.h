// A node's data folder: whose it is, who holds it now, and whether what lies in it may be believed.
//
//   LOCK   held (flock) for as long as the process lives; a second process is refused
//   MARK   DataFolderMark: replaced whole, by rename and fsync, so it is always one state or
//   another warm/  RocksDB (warm_tier.h)
//
// The mark says `clean_stop` only between a clean stop and the next start. Whatever ends a process
// otherwise leaves it saying that the content is unconfirmed (R7, R9).
//
// Thread safety: none; one thread opens, marks and closes it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/ids.h"

namespace atoll::warm {

class DataFolder {
 public:
  // Makes the folder if need be, takes its lock and reads the mark; a new folder gets a random
  // UUID. Changes no mark: a start that fails early leaves the folder as it was.
  // FAILED_PRECONDITION: another process holds the folder. DATA_LOSS: the mark cannot be read (an
  // operator must remove the folder). Else what the file system says.
  static absl::StatusOr<std::unique_ptr<DataFolder>> Open(std::string_view path);
  // Releases the lock.
  ~DataFolder();
  DataFolder(const DataFolder&) = delete;
  DataFolder& operator=(const DataFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string warm_path() const;
  // Names the folder's content; the same for all processes that hold it one after another.
  const std::string& uuid() const { return before_.uuid; }
  // Of the mark as it was found. Empty, 0 for a new folder.
  const std::string& previous_cluster_id() const { return before_.cluster_id; }
  base::Incarnation previous_incarnation() const { return before_.incarnation; }
  // After Begin: the process that holds it.
  base::Incarnation incarnation() const { return now_.incarnation; }

  // From here on the process runs: the mark names it and is unclean. FAILED_PRECONDITION if the
  // folder belongs to another cluster. Call once.
  absl::Status Begin(std::string_view cluster_id, base::Incarnation incarnation);
  // After Begin: the folder was closed by a clean stop, so its copies may be revived (R9).
  bool usable() const { return begun_ && before_.clean_stop; }

  // The content on disk is whole, current and synced. Nothing may change it afterwards.
  absl::Status MarkClean();

 private:
  struct Mark {
    std::string uuid;
    std::string cluster_id;
    base::Incarnation incarnation;
    std::string boot_id;
    bool clean_stop = false;
  };

  DataFolder(std::string path, int lock_fd) : path_(std::move(path)), lock_fd_(lock_fd) {}
  absl::StatusOr<Mark> ReadMark() const;
  absl::Status WriteMark(const Mark& mark) const;

  const std::string path_;
  const int lock_fd_;
  Mark before_;
  Mark now_;
  bool begun_ = false;
};

}  // namespace atoll::warm
