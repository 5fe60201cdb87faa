#include "rpc/credentials.h"

#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"

namespace atoll::rpc {
namespace {

absl::Status ReadInto(const std::string& path, std::string& out) {
  if (path.empty()) return absl::OkStatus();
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  if (!file) return absl::NotFoundError(absl::StrCat(path, ": cannot be read"));
  out = content.str();
  return absl::OkStatus();
}

absl::Status CheckPair(const TlsFiles& files) {
  if (files.certificate.empty() == files.key.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError("TLS: a certificate and its key go together");
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> ChannelCredentials(const TlsFiles& files,
                                                                             bool use_tls) {
  if (files.empty() && !use_tls) return grpc::InsecureChannelCredentials();
  if (absl::Status status = CheckPair(files); !status.ok()) return status;
  grpc::SslCredentialsOptions options;
  for (const auto& [path, out] : {std::pair(&files.ca, &options.pem_root_certs),
                                  std::pair(&files.certificate, &options.pem_cert_chain),
                                  std::pair(&files.key, &options.pem_private_key)}) {
    if (absl::Status status = ReadInto(*path, *out); !status.ok()) return status;
  }
  return grpc::SslCredentials(options);
}

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> ServerCredentials(const TlsFiles& files) {
  if (files.empty()) return grpc::InsecureServerCredentials();
  if (absl::Status status = CheckPair(files); !status.ok()) return status;
  if (files.certificate.empty()) {
    return absl::InvalidArgumentError("TLS: a listener needs a certificate");
  }
  grpc::SslServerCredentialsOptions options(
      files.ca.empty() ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                       : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  grpc::SslServerCredentialsOptions::PemKeyCertPair pair;
  for (const auto& [path, out] : {std::pair(&files.ca, &options.pem_root_certs),
                                  std::pair(&files.certificate, &pair.cert_chain),
                                  std::pair(&files.key, &pair.private_key)}) {
    if (absl::Status status = ReadInto(*path, *out); !status.ok()) return status;
  }
  options.pem_key_cert_pairs.push_back(std::move(pair));
  return grpc::SslServerCredentials(options);
}

}  // namespace atoll::rpc
