// A program that a test runs: its output goes to a file, it dies with the test.
//
// Thread safety: none. Start it from the test's main thread: the child is killed when the thread
// that started it ends.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace atoll::test {

class ChildProcess {
 public:
  // `command[0]` is a path or is searched for in PATH; `environment` is added to the test's own, as
  // NAME=value. NOT_FOUND if the program cannot be run.
  static absl::StatusOr<std::unique_ptr<ChildProcess>> Start(
      std::vector<std::string> command, std::string log_path,
      std::vector<std::string> environment = {});
  // Kills it if it still runs.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  const std::string& log_path() const { return log_path_; }
  void Signal(int signal);
  bool Running();
  // Waits for its end: the exit code, or 128 + the signal that ended it. DEADLINE_EXCEEDED if it
  // runs on.
  absl::StatusOr<int> Wait(absl::Duration timeout);
  // SIGKILL, and waits.
  void Kill();

 private:
  ChildProcess(pid_t pid, std::string log_path) : pid_(pid), log_path_(std::move(log_path)) {}

  const pid_t pid_;
  const std::string log_path_;
  std::optional<int> exit_code_;
};

// The end of a file, for a failing test to show; empty if there is none.
std::string TailOf(const std::string& path, size_t bytes = 4000);
std::string ContentOf(const std::string& path);

// Calls `condition` every few milliseconds until it is true or the time is up.
template <typename Condition>
bool WaitUntil(Condition condition, absl::Duration timeout,
               absl::Duration interval = absl::Milliseconds(20)) {
  const absl::Time until = absl::Now() + timeout;
  while (!condition()) {
    if (absl::Now() >= until) {
      return false;
    }
    absl::SleepFor(interval);
  }
  return true;
}

// A folder of its own under the test's temporary folder, emptied; removed when the program ends
// unless ATOLL_KEEP_TEST_FOLDERS is set.
std::string FreshFolder(const std::string& name);

}  // namespace atoll::test
