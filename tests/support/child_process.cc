#include "tests/support/child_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"

namespace atoll::test {

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::Start(
    std::vector<std::string> command, std::string log_path, std::vector<std::string> environment) {
  std::vector<char*> arguments;
  for (std::string& word : command) {
    arguments.push_back(word.data());
  }
  arguments.push_back(nullptr);
  std::vector<char*> variables;
  for (char** at = environ; *at != nullptr; ++at) {
    variables.push_back(*at);
  }
  for (std::string& variable : environment) {
    variables.push_back(variable.data());
  }
  variables.push_back(nullptr);
  const int log = open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  // Closed by a successful exec; else it carries the error.
  int failure[2];
  if (log < 0 || null < 0 || pipe2(failure, O_CLOEXEC) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("open ", log_path));
  }
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) {
    // Between fork and exec: system calls only.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
      _exit(1);
    }
    dup2(null, 0);
    dup2(log, 1);
    dup2(log, 2);
    execvpe(arguments[0], arguments.data(), variables.data());
    const int error = errno;
    (void)!write(failure[1], &error, sizeof(error));
    _exit(127);
  }
  close(log);
  close(null);
  close(failure[1]);
  int error = 0;
  const bool failed = pid < 0 || read(failure[0], &error, sizeof(error)) == sizeof(error);
  close(failure[0]);
  if (failed) {
    if (pid > 0) {
      waitpid(pid, nullptr, 0);
    }
    return absl::NotFoundError(absl::StrCat("cannot run ", command[0], ", error ", error));
  }
  return std::unique_ptr<ChildProcess>(new ChildProcess(pid, std::move(log_path)));
}

ChildProcess::~ChildProcess() { Kill(); }

void ChildProcess::Signal(int signal) {
  if (Running()) {
    kill(pid_, signal);
  }
}

bool ChildProcess::Running() {
  if (exit_code_) {
    return false;
  }
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) != pid_) {
    return true;
  }
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return false;
}

absl::StatusOr<int> ChildProcess::Wait(absl::Duration timeout) {
  if (!WaitUntil([this] { return !Running(); }, timeout, absl::Milliseconds(5))) {
    return absl::DeadlineExceededError(absl::StrCat("process ", pid_, " still runs"));
  }
  return *exit_code_;
}

void ChildProcess::Kill() {
  Signal(SIGKILL);
  Wait(absl::Seconds(30)).IgnoreError();
}

std::string ContentOf(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::string TailOf(const std::string& path, size_t bytes) {
  std::string content = ContentOf(path);
  return content.size() <= bytes ? content : content.substr(content.size() - bytes);
}

std::string FreshFolder(const std::string& name) {
  // Removed when the test program ends (but not by what it forked).
  struct Root {
    const pid_t owner = getpid();
    const std::string path = absl::StrCat(testing::TempDir(), "/atoll-", owner);
    ~Root() {
      std::error_code ignored;
      if (getpid() == owner && std::getenv("ATOLL_KEEP_TEST_FOLDERS") == nullptr) {
        std::filesystem::remove_all(path, ignored);
      }
    }
  };
  static const Root root;
  std::string path = absl::StrCat(root.path, "/", name);
  std::filesystem::remove_all(path);
  std::filesystem::create_directories(path);
  return path;
}

}  // namespace atoll::test
