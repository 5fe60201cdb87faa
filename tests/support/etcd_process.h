// A real etcd for a test, on ports that it chooses itself.
//
// Thread safety: none; from the test's main thread.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/support/child_process.h"

namespace atoll::test {

// PEM files for its client listener. All empty: no TLS.
struct EtcdTls {
  std::string certificate;
  std::string key;
  std::string client_ca;  // clients must show a certificate of it
};

class EtcdProcess {
 public:
  // The binary: ATOLL_ETCD_BINARY, else `etcd` of PATH, else .atoll/tools of the source tree. Waits
  // until it serves. `folder` is used for its data and log. NOT_FOUND if there is no etcd.
  static absl::StatusOr<std::unique_ptr<EtcdProcess>> Start(std::string folder, EtcdTls tls = {});

  // host:port for clients; the same after a restart.
  const std::string& endpoint() const { return endpoint_; }
  std::string log_path() const { return folder_ + "/etcd.log"; }
  void Kill() { process_.reset(); }
  void Signal(int signal) { process_->Signal(signal); }
  // With the same data, at the same endpoint.
  absl::Status Restart();

 private:
  EtcdProcess(std::string folder, EtcdTls tls) : folder_(std::move(folder)), tls_(std::move(tls)) {}
  absl::Status Launch();

  const std::string folder_;
  const EtcdTls tls_;
  std::string endpoint_;
  std::unique_ptr<ChildProcess> process_;
};

}  // namespace atoll::test
