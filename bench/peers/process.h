// Server processes under measurement: memcached, redis-server, and atolld itself. Each listens on a
// free port of 127.0.0.1, keeps nothing on disk, and ends with its owner.
//
// Thread safety: none, but for the const methods.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bench/peers/connection.h"

namespace atoll::bench {

class ServerProcess {
 public:
  // Runs `arguments` (the program first), its output thrown away. The child dies with this process.
  static absl::StatusOr<std::unique_ptr<ServerProcess>> Start(
      const std::vector<std::string>& arguments);
  // SIGKILL, and waits.
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  pid_t pid() const { return pid_; }
  // Anonymous resident memory. UNAVAILABLE if the process is gone.
  absl::StatusOr<uint64_t> AnonymousBytes() const;

 private:
  explicit ServerProcess(pid_t pid) : pid_(pid) {}
  const pid_t pid_;
};

// The path of a program: $ATOLL_<NAME>_BINARY, the folder of this program, PATH, or
// .atoll/tools/usr/bin below the working folder or the tree that this program was built in.
// NOT_FOUND says where it was looked for and how to get it.
absl::StatusOr<std::string> FindProgram(const std::string& name);

// The command with what its program needs to be run: one that was only unpacked has its libraries
// beside it.
std::vector<std::string> WithItsLibraries(const std::vector<std::string>& arguments);

struct PeerServer {
  std::unique_ptr<ServerProcess> process;
  uint16_t port = 0;
};

// Starts a peer with so much memory and so many threads (Redis: --io-threads above 1), and waits
// until it answers.
absl::StatusOr<PeerServer> StartPeer(PeerKind kind, uint64_t memory_bytes, int threads);

// Starts one standalone atolld without a data folder, and waits until it listens. `io_threads` 0:
// its default. `more`: further arguments.
absl::StatusOr<PeerServer> StartAtolld(uint64_t memory_bytes, int io_threads,
                                       const std::vector<std::string>& more = {});

// Starts etcd with its data in the folder, and waits until it listens.
absl::StatusOr<PeerServer> StartEtcd(const std::string& folder);

// Starts this program's own bare-server (bench/bare/server.h).
absl::StatusOr<PeerServer> StartBareServer(uint64_t memory_bytes, int threads);

}  // namespace atoll::bench
