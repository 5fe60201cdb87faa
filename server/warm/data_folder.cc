#include "server/warm/data_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "atoll/internal/v1/storage.pb.h"
#include "base/strings.h"

namespace atoll::warm {
namespace {

absl::Status FileError(std::string_view what, const std::string& path, int error) {
  return absl::ErrnoToStatus(error, absl::StrCat(base::AsAbsl(what), " ", path));
}

std::string RandomUuid() {
  std::random_device random;
  const auto word = [&] { return uint64_t{random()} << 32 | random(); };
  const uint64_t high = (word() & ~uint64_t{0xf000}) | 0x4000;
  const uint64_t low = (word() & ~(uint64_t{3} << 62)) | uint64_t{1} << 63;
  return absl::StrFormat("%08x-%04x-%04x-%04x-%012x", high >> 32, high >> 16 & 0xffff,
                         high & 0xffff, low >> 48, low & 0xffffffffffff);
}

std::string BootId() {
  std::ifstream in("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(in, id);
  return id;
}

// Closes with it.
class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  ~File() {
    if (fd_ >= 0) {
      close(fd_);
    }
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }

 private:
  const int fd_;
};

absl::Status WriteAndSync(const std::string& path, std::string_view bytes) {
  const File file(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (file.fd() < 0) {
    return FileError("open", path, errno);
  }
  while (!bytes.empty()) {
    const ssize_t written = write(file.fd(), bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) {
        continue;
      }
      return FileError("write", path, errno);
    }
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return fsync(file.fd()) == 0 ? absl::OkStatus() : FileError("fsync", path, errno);
}

absl::Status SyncFolder(const std::string& path) {
  const File folder(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.fd() < 0 || fsync(folder.fd()) != 0) {
    return FileError("fsync", path, errno);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<DataFolder>> DataFolder::Open(std::string_view path) {
  std::string folder_path(path);
  std::error_code error;
  std::filesystem::create_directories(folder_path, error);
  if (error) {
    return FileError("create", folder_path, error.value());
  }
  const std::string lock_path = folder_path + "/LOCK";
  const int fd = open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) {
    return FileError("open", lock_path, errno);
  }
  // From here on the destructor closes it.
  std::unique_ptr<DataFolder> folder(new DataFolder(std::move(folder_path), fd));
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) {
      return absl::FailedPreconditionError(
          absl::StrCat("data folder ", folder->path_, ": another process holds it"));
    }
    return FileError("lock", lock_path, errno);
  }
  absl::StatusOr<Mark> mark = folder->ReadMark();
  if (!mark.ok()) {
    return mark.status();
  }
  folder->before_ = *std::move(mark);
  return folder;
}

DataFolder::~DataFolder() { close(lock_fd_); }

std::string DataFolder::warm_path() const { return path_ + "/warm"; }

absl::StatusOr<DataFolder::Mark> DataFolder::ReadMark() const {
  const std::string path = path_ + "/MARK";
  Mark mark;
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    if (error) {
      return FileError("stat", path, error.value());
    }
    mark.uuid = RandomUuid();
    return mark;
  }
  std::ifstream in(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  internal::v1::DataFolderMark message;
  if (!in || !message.ParseFromString(bytes) || message.data_uuid().empty()) {
    return absl::DataLossError(
        absl::StrCat(path, ": cannot be read; remove the folder to start with an empty one"));
  }
  mark.uuid = message.data_uuid();
  mark.cluster_id = message.cluster_id();
  mark.incarnation = base::Incarnation(message.incarnation());
  mark.boot_id = message.boot_id();
  mark.clean_stop = message.clean_stop();
  return mark;
}

absl::Status DataFolder::WriteMark(const Mark& mark) const {
  internal::v1::DataFolderMark message;
  message.set_data_uuid(mark.uuid);
  message.set_cluster_id(mark.cluster_id);
  message.set_incarnation(mark.incarnation.value());
  message.set_boot_id(mark.boot_id);
  message.set_clean_stop(mark.clean_stop);
  const std::string temporary = path_ + "/MARK.new";
  if (absl::Status status = WriteAndSync(temporary, message.SerializeAsString()); !status.ok()) {
    return status;
  }
  std::error_code error;
  std::filesystem::rename(temporary, path_ + "/MARK", error);
  if (error) {
    return FileError("rename", temporary, error.value());
  }
  return SyncFolder(path_);
}

absl::Status DataFolder::Begin(std::string_view cluster_id, base::Incarnation incarnation) {
  if (!before_.cluster_id.empty() && before_.cluster_id != cluster_id) {
    return absl::FailedPreconditionError(absl::StrCat("data folder ", path_,
                                                      ": belongs to cluster ", before_.cluster_id,
                                                      ", not to ", base::AsAbsl(cluster_id)));
  }
  now_ = {before_.uuid, std::string(cluster_id), incarnation, BootId(), false};
  if (absl::Status status = WriteMark(now_); !status.ok()) {
    return status;
  }
  begun_ = true;
  return absl::OkStatus();
}

absl::Status DataFolder::MarkClean() {
  now_.clean_stop = true;
  return WriteMark(now_);
}

}  // namespace atoll::warm
