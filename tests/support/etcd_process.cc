#include "tests/support/etcd_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace atoll::test {
namespace {

namespace fs = std::filesystem;
constexpr auto kPatience = std::chrono::seconds(20);
constexpr auto kPoll = std::chrono::milliseconds(20);

std::string FindBinary() {
  const auto executable = [](const fs::path& path) {
    return access(path.c_str(), X_OK) == 0 && fs::is_regular_file(path);
  };
  if (const char* given = getenv("ATOLL_ETCD_BINARY"); given != nullptr && *given != '\0') {
    return executable(given) ? given : "";
  }
  if (const char* path = getenv("PATH"); path != nullptr) {
    const std::vector<std::string> folders = absl::StrSplit(path, ':');
    for (const std::string& folder : folders) {
      const fs::path candidate = fs::path(folder) / "etcd";
      if (!folder.empty() && executable(candidate)) return candidate;
    }
  }
  for (fs::path folder = fs::current_path();; folder = folder.parent_path()) {
    for (const char* place : {".atoll/tools/usr/bin/etcd", ".atoll/tools/etcd"}) {
      if (executable(folder / place)) return folder / place;
    }
    if (folder == folder.parent_path()) return "";
  }
}

// The number behind the last colon in the first line of the log that has `marker` in it; 0 if
// there is none.
int PortIn(const std::string& log, const std::string& marker) {
  std::ifstream file(log);
  std::string line;
  while (std::getline(file, line)) {
    const size_t at = line.find(marker);
    if (at == std::string::npos) continue;
    const size_t colon = line.find("127.0.0.1:", at);
    if (colon == std::string::npos) continue;
    int port = 0;
    for (size_t i = colon + 10; i < line.size() && isdigit(line[i]) != 0; ++i) {
      port = port * 10 + (line[i] - '0');
    }
    if (port != 0) return port;
  }
  return 0;
}

bool Connects(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool connected =
      connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  return connected;
}

}  // namespace

bool EtcdProcess::Available() { return !FindBinary().empty(); }

absl::StatusOr<std::unique_ptr<EtcdProcess>> EtcdProcess::Start(const EtcdProcessOptions& options) {
  std::unique_ptr<EtcdProcess> etcd(new EtcdProcess);
  etcd->options_ = options;
  std::string folder = (fs::temp_directory_path() / "atoll-etcd-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) return absl::InternalError("mkdtemp failed");
  etcd->folder_ = folder;
  if (absl::Status s = etcd->Launch("127.0.0.1:0"); !s.ok()) return s;
  return etcd;
}

EtcdProcess::~EtcdProcess() {
  Kill();
  std::error_code ignored;
  if (!folder_.empty()) fs::remove_all(folder_, ignored);
}

absl::Status EtcdProcess::Launch(const std::string& client_address) {
  const std::string binary = FindBinary();
  if (binary.empty()) return absl::NotFoundError("etcd: no binary");
  const std::string log = absl::StrCat(folder_, "/log.", ++launches_);
  const std::string scheme = options_.certificate_file.empty() ? "http://" : "https://";
  const std::string peer = "http://127.0.0.1:0";
  std::vector<std::string> arguments = {
      binary, "--name=test", absl::StrCat("--data-dir=", folder_, "/data"),
      absl::StrCat("--listen-client-urls=", scheme, client_address),
      absl::StrCat("--advertise-client-urls=", scheme, client_address),
      absl::StrCat("--listen-peer-urls=", peer),
      absl::StrCat("--initial-advertise-peer-urls=", peer),
      absl::StrCat("--initial-cluster=test=", peer), "--logger=zap", "--log-outputs=stderr",
      // Its data are worth nothing: without this each write waits for the disk.
      "--unsafe-no-fsync"};
  if (!options_.certificate_file.empty()) {
    arguments.push_back(absl::StrCat("--cert-file=", options_.certificate_file));
    arguments.push_back(absl::StrCat("--key-file=", options_.key_file));
  }
  if (!options_.ca_file.empty()) {
    arguments.push_back(absl::StrCat("--trusted-ca-file=", options_.ca_file));
    arguments.push_back("--client-cert-auth");
  }
  for (const std::string& argument : options_.extra_arguments) arguments.push_back(argument);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);

  pid_ = fork();
  if (pid_ < 0) return absl::InternalError("fork failed");
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int fd = open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    execv(argv[0], argv.data());
    _exit(127);
  }
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (std::chrono::steady_clock::now() < deadline) {
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = -1;
      break;
    }
    // `"serving client traffic insecurely; ...","address":"127.0.0.1:34567"`
    const int port = PortIn(log, "serving client traffic");
    if (port != 0 && Connects(port)) {
      address_ = absl::StrCat("127.0.0.1:", port);
      return absl::OkStatus();
    }
    std::this_thread::sleep_for(kPoll);
  }
  std::ifstream file(log);
  std::ostringstream text;
  text << file.rdbuf();
  return absl::InternalError(absl::StrCat("etcd did not start:\n", text.str()));
}

void EtcdProcess::Kill() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

absl::Status EtcdProcess::Restart() {
  Kill();
  return Launch(address_);
}

absl::Status EtcdProcess::RestartEmpty() {
  Kill();
  std::error_code ignored;
  fs::remove_all(fs::path(folder_) / "data", ignored);
  return Launch(address_);
}

void EtcdProcess::Pause() { kill(pid_, SIGSTOP); }
void EtcdProcess::Continue() { kill(pid_, SIGCONT); }

}  // namespace atoll::test
