// A new folder that goes with its owner.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>
#include <system_error>

namespace atoll::bench {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::error_code ignored;
    std::string path =
        (std::filesystem::temp_directory_path(ignored) / "atoll-bench-XXXXXX").string();
    if (mkdtemp(path.data()) != nullptr) path_ = path;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  // Empty if none could be made.
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace atoll::bench
