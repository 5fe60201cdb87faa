// TLS and its absence: gRPC credentials from files.
//
// Thread safety: pure functions.
#pragma once

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace atoll::rpc {

// PEM files. All empty: no TLS.
struct TlsFiles {
  std::string ca;           // whom to trust; empty with a cert on a client: the system's roots
  std::string certificate;  // own chain
  std::string key;          // own private key

  bool empty() const { return ca.empty() && certificate.empty() && key.empty(); }
};

// INVALID_ARGUMENT if a certificate comes without its key or the reverse; NOT_FOUND names a file
// that cannot be read.
absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> ChannelCredentials(const TlsFiles& files,
                                                                             bool use_tls);
// With `ca`, a client must show a certificate that it signed.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> ServerCredentials(const TlsFiles& files);

}  // namespace atoll::rpc
