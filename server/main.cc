// atolld: reads its settings, runs a node until it is told to stop.
//
// Exit codes: 0 a clean stop on SIGTERM or SIGINT (and --help, --version, --print-config); 1 the
// node could not start, or could not stop cleanly; 2 a setting that cannot be used.
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/version.h"
#include "server/node.h"
#include "server/settings.h"

namespace atoll::server {
namespace {

// Complete as soon as it is there: it takes its name when it has been written.
absl::Status WritePortsFile(const std::string& path, const Node& node) {
  const std::string temporary = path + ".new";
  std::ofstream out(temporary);
  for (const Node::Address& address : node.addresses()) {
    out << address.name << "=" << address.address << "\n";
  }
  out << "pid=" << getpid() << "\n";
  out.close();
  if (!out || std::rename(temporary.c_str(), path.c_str()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("ports-file: ", path));
  }
  return absl::OkStatus();
}

// SIGTERM and SIGINT come to a thread of its own and nowhere else: other threads inherit that they
// are blocked. After Wait a second one ends the process at once.
class StopSignal {
 public:
  StopSignal() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGTERM);
    sigaddset(&signals_, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    waiter_ = std::thread([this] {
      int ignored = 0;
      sigwait(&signals_, &ignored);
      came_ = true;
    });
  }
  ~StopSignal() {
    if (!waiter_.joinable()) return;
    kill(getpid(), SIGTERM);  // for the waiter, if it still waits
    waiter_.join();
  }
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  const std::atomic<bool>& came() const { return came_; }
  void Wait() {
    waiter_.join();
    pthread_sigmask(SIG_UNBLOCK, &signals_, nullptr);
  }

 private:
  sigset_t signals_;
  std::atomic<bool> came_{false};
  std::thread waiter_;
};

int Fail(int code, const absl::Status& status) {
  std::cerr << "atolld: " << std::string(status.message()) << "\n";
  return code;
}

int Run(int argc, char** argv) {
  absl::StatusOr<Invocation> invocation = ReadSettings(argc, argv, environ);
  if (!invocation.ok()) return Fail(2, invocation.status());
  if (!invocation->print.empty()) {
    std::cout << invocation->print;
    return 0;
  }
  NodeOptions options = invocation->options;
  if (absl::Status status = base::SetLogLevel(options.log_level); !status.ok()) {
    return Fail(2, status);
  }

  StopSignal stop;  // before there are other threads
  signal(SIGPIPE, SIG_IGN);

  base::LogInfo(absl::StrCat(base::VersionLine("atolld"), ", node ", options.node_name,
                             ": the process may take ", options.Budgets().Text()));
  absl::StatusOr<std::unique_ptr<Node>> node = Node::Start(options, stop.came());
  if (!node.ok()) return absl::IsCancelled(node.status()) ? 0 : Fail(1, node.status());
  for (const Node::Address& address : (*node)->addresses()) {
    base::LogInfo(absl::StrCat("listening: ", address.name, "=", address.address));
  }
  if (!options.ports_file.empty()) {
    if (absl::Status status = WritePortsFile(options.ports_file, **node); !status.ok()) {
      return Fail(1, status);
    }
  }
  base::LogInfo("ready");

  stop.Wait();
  base::LogInfo("stopping");
  if (absl::Status status = (*node)->Stop(); !status.ok()) {
    base::LogWarning(absl::StrCat("stopped, but: ", status.ToString()));
  } else {
    base::LogInfo("stopped");
  }
  node->reset();
  return 0;
}

}  // namespace
}  // namespace atoll::server

int main(int argc, char** argv) { return atoll::server::Run(argc, argv); }
