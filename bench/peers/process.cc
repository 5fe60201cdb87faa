#include "bench/peers/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "bench/peers/socket.h"

namespace atoll::bench {
namespace {

constexpr absl::Duration kStartTimeout = absl::Seconds(20);

bool IsProgram(const std::string& path) {
  struct stat found {};
  return stat(path.c_str(), &found) == 0 && S_ISREG(found.st_mode) &&
         access(path.c_str(), X_OK) == 0;
}

std::string OwnFolder() {
  char path[4096];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof(path));
  const std::string self(path, static_cast<size_t>(std::max<ssize_t>(length, 0)));
  return self.substr(0, self.rfind('/'));
}

// The child's side of fork: nothing here may allocate.
[[noreturn]] void BecomeProgram(char* const* argv, int null_fd) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  dup2(null_fd, STDIN_FILENO);
  dup2(null_fd, STDOUT_FILENO);
  dup2(null_fd, STDERR_FILENO);
  execv(argv[0], argv);
  _exit(127);
}

absl::Status WaitForPort(uint16_t port, const ServerProcess& process) {
  const absl::Time deadline = absl::Now() + kStartTimeout;
  while (absl::Now() < deadline) {
    if (Socket::Connect(port).ok()) return absl::OkStatus();
    if (waitpid(process.pid(), nullptr, WNOHANG) != 0) {
      return absl::UnavailableError("the server ended while it started");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return absl::DeadlineExceededError("the server does not listen after 20 s");
}

absl::StatusOr<PeerServer> StartListening(const std::vector<std::string>& arguments,
                                          uint16_t port) {
  absl::StatusOr<std::unique_ptr<ServerProcess>> process =
      ServerProcess::Start(WithItsLibraries(arguments));
  if (!process.ok()) return process.status();
  if (absl::Status up = WaitForPort(port, **process); !up.ok()) {
    return absl::Status(up.code(), absl::StrCat(arguments[0], ": ", up.message()));
  }
  return PeerServer{.process = *std::move(process), .port = port};
}

}  // namespace

std::vector<std::string> WithItsLibraries(const std::vector<std::string>& arguments) {
  // PREFIX/usr/bin/x wants PREFIX/usr/lib/TRIPLET.
  const size_t end = arguments[0].rfind("/usr/");
  if (end == std::string::npos || end == 0) return arguments;
  std::vector<std::string> command = {
      "/usr/bin/env",
      absl::StrCat("LD_LIBRARY_PATH=", arguments[0].substr(0, end), "/usr/lib/x86_64-linux-gnu")};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

absl::StatusOr<std::unique_ptr<ServerProcess>> ServerProcess::Start(
    const std::vector<std::string>& arguments) {
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  const pid_t pid = fork();
  if (pid == 0) BecomeProgram(argv.data(), null_fd);
  close(null_fd);
  if (pid < 0) return absl::UnavailableError(absl::StrCat("fork: ", std::strerror(errno)));
  return std::unique_ptr<ServerProcess>(new ServerProcess(pid));
}

ServerProcess::~ServerProcess() {
  kill(pid_, SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

absl::StatusOr<uint64_t> ServerProcess::AnonymousBytes() const {
  std::ifstream file(absl::StrCat("/proc/", pid_, "/status"));
  std::string word;
  uint64_t kib = 0;
  while (file >> word) {
    if (word == "RssAnon:" && file >> kib) return kib << 10;
  }
  return absl::UnavailableError(absl::StrCat("/proc/", pid_, "/status: no RssAnon"));
}

absl::StatusOr<std::string> FindProgram(const std::string& name) {
  std::string variable = "ATOLL_";
  for (const char c : name) {
    variable += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  variable += "_BINARY";
  if (const char* named = std::getenv(variable.c_str()); named != nullptr) return named;
  std::vector<std::string> folders = {OwnFolder()};
  if (const char* path = std::getenv("PATH"); path != nullptr) {
    for (const std::string& folder :
         std::vector<std::string>(absl::StrSplit(path, ':', absl::SkipEmpty()))) {
      folders.push_back(folder);
    }
  }
  // Below the working folder, and below the tree that this program was built in.
  for (const std::string& tree : {std::string("."), OwnFolder() + "/../../.."}) {
    folders.push_back(tree + "/.atoll/tools/usr/bin");
  }
  for (const std::string& folder : folders) {
    if (const std::string path = absl::StrCat(folder, "/", name); IsProgram(path)) return path;
  }
  return absl::NotFoundError(absl::StrCat(
      name,
      ": not beside this program, on PATH, or in .atoll/tools; scripts/bench unpacks what "
      "there is in packages, or set ",
      variable));
}

absl::StatusOr<PeerServer> StartPeer(PeerKind kind, uint64_t memory_bytes, int threads) {
  absl::StatusOr<uint16_t> port = FreePort();
  if (!port.ok()) return port.status();
  absl::StatusOr<std::string> program =
      FindProgram(kind == PeerKind::kMemcached ? "memcached" : "redis-server");
  if (!program.ok()) return program.status();
  std::vector<std::string> arguments = {*program};
  if (kind == PeerKind::kMemcached) {
    arguments.insert(arguments.end(),
                     {"-l", "127.0.0.1", "-p", absl::StrCat(*port), "-U", "0", "-m",
                      absl::StrCat(memory_bytes >> 20), "-t", absl::StrCat(threads), "-I",
                      absl::StrCat(std::min<uint64_t>(64, memory_bytes >> 22), "m"), "-c", "4096"});
    if (geteuid() == 0) arguments.insert(arguments.end(), {"-u", "root"});
  } else {
    arguments.insert(
        arguments.end(),
        {"--bind", "127.0.0.1", "--port", absl::StrCat(*port), "--save", "", "--appendonly", "no",
         "--daemonize", "no", "--maxmemory", absl::StrCat(memory_bytes), "--maxmemory-policy",
         "allkeys-lru", "--io-threads", absl::StrCat(threads)});
  }
  return StartListening(arguments, *port);
}

absl::StatusOr<PeerServer> StartAtolld(uint64_t memory_bytes, int io_threads,
                                       const std::vector<std::string>& more) {
  absl::StatusOr<uint16_t> port = FreePort();
  if (!port.ok()) return port.status();
  absl::StatusOr<std::string> program = FindProgram("atolld");
  if (!program.ok()) return program.status();
  std::vector<std::string> arguments = {*program,
                                        "--listen",
                                        absl::StrCat("client=127.0.0.1:", *port),
                                        "--listen",
                                        "peer=127.0.0.1:0",
                                        "--listen",
                                        "admin=127.0.0.1:0",
                                        "--memory",
                                        absl::StrCat(memory_bytes >> 20, "MiB")};
  if (io_threads != 0) {
    arguments.insert(arguments.end(), {"--io-threads", absl::StrCat(io_threads)});
  }
  arguments.insert(arguments.end(), more.begin(), more.end());
  return StartListening(arguments, *port);
}

absl::StatusOr<PeerServer> StartEtcd(const std::string& folder) {
  absl::StatusOr<uint16_t> port = FreePort();
  if (!port.ok()) return port.status();
  absl::StatusOr<std::string> program = FindProgram("etcd");
  if (!program.ok()) return program.status();
  const std::string clients = absl::StrCat("http://127.0.0.1:", *port);
  return StartListening(
      {*program, "--data-dir", folder, "--listen-client-urls", clients, "--advertise-client-urls",
       clients, "--listen-peer-urls", "http://127.0.0.1:0", "--log-level", "error"},
      *port);
}

absl::StatusOr<PeerServer> StartBareServer(uint64_t memory_bytes, int threads) {
  absl::StatusOr<uint16_t> port = FreePort();
  if (!port.ok()) return port.status();
  return StartListening(
      {"/proc/self/exe", "bare-server", "--port", absl::StrCat(*port), "--threads",
       absl::StrCat(threads), "--memory-bytes", absl::StrCat(memory_bytes)},
      *port);
}

}  // namespace atoll::bench
