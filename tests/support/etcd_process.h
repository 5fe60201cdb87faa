// A real etcd for a test: on ports that the system chooses, with its data in a temporary folder.
//
// The binary is $ATOLL_ETCD_BINARY, `etcd` on PATH, or .atoll/tools below the working folder or one
// above it; without one EtcdProcess::Available is false and tests skip, aloud.
//
// Thread safety: none. The process dies with the object, and with the test's process.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace atoll::test {

struct EtcdProcessOptions {
  // TLS for clients, PEM files; empty: none.
  std::string certificate_file;
  std::string key_file;
  std::string ca_file;  // clients must show a certificate of it
  std::vector<std::string> extra_arguments;
};

class EtcdProcess {
 public:
  static bool Available();
  // Returns when it answers.
  static absl::StatusOr<std::unique_ptr<EtcdProcess>> Start(const EtcdProcessOptions& options = {});
  ~EtcdProcess();

  // host:port of its client listener: the same after a Restart.
  const std::string& address() const { return address_; }
  // Kills it (kill -9) and keeps its data and its port.
  void Kill();
  absl::Status Restart();
  // SIGSTOP and SIGCONT.
  void Pause();
  void Continue();
  // A new etcd on the same port that knows nothing.
  absl::Status RestartEmpty();

 private:
  EtcdProcess() = default;
  absl::Status Launch(const std::string& client_address);

  EtcdProcessOptions options_;
  std::string folder_;
  std::string address_;
  std::string peer_address_;
  int launches_ = 0;
  pid_t pid_ = -1;
};

}  // namespace atoll::test
