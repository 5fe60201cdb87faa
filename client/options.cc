#include "client/include/atoll/options.h"

#include <cstdlib>

#include "absl/strings/str_split.h"
#include "base/status.h"
#include "base/strings.h"

namespace atoll {
namespace {

std::string Variable(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): documented
  return value == nullptr ? "" : value;
}

bool IsNamespaceName(std::string_view name) {
  const auto is_word = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (name.empty() || name.size() > 63 || !is_word(name[0])) return false;
  for (const char c : name) {
    if (!is_word(c) && c != '.' && c != '_' && c != '-') return false;
  }
  return true;
}

}  // namespace

absl::Status ClientOptions::Validate() const {
  if (endpoints.empty()) return base::InvalidArgument("endpoints", "empty");
  for (const std::string& endpoint : endpoints) {
    const bool is_unix = endpoint.rfind("unix:", 0) == 0 && endpoint.size() > 5;
    const size_t colon = endpoint.rfind(':');
    const bool has_port = colon != std::string::npos && colon != 0 && colon + 1 < endpoint.size() &&
                          endpoint.find_first_not_of("0123456789", colon + 1) == std::string::npos;
    if (!is_unix && !has_port) {
      return base::InvalidArgument("endpoints", endpoint, "host:port or unix:/path");
    }
  }
  if (!IsNamespaceName(default_namespace)) {
    return base::InvalidArgument("default_namespace", default_namespace,
                                 "[a-z0-9][a-z0-9._-]{0,62}");
  }
  if (credentials.certificate_file.empty() != credentials.key_file.empty()) {
    return base::InvalidArgument("credentials",
                                 "certificate_file and key_file come together, or neither");
  }
  if (timeout <= absl::ZeroDuration()) return base::InvalidArgument("timeout", "not positive");
  if (stream_timeout <= absl::ZeroDuration()) {
    return base::InvalidArgument("stream_timeout", "not positive");
  }
  if (max_queued_operations == 0) {
    return base::InvalidArgument("max_queued_operations", "0", "at least 1");
  }
  if (max_queued_bytes < (size_t{1} << 20)) {
    return base::InvalidArgument("max_queued_bytes", std::to_string(max_queued_bytes),
                                 "at least 1048576");
  }
  if (io_threads < 1 || io_threads > 64) {
    return base::InvalidArgument("io_threads", std::to_string(io_threads), "1-64");
  }
  if (max_attempts < 1 || max_attempts > 10) {
    return base::InvalidArgument("max_attempts", std::to_string(max_attempts), "1-10");
  }
  if (!(retry_budget >= 0 && retry_budget <= 1)) {
    return base::InvalidArgument("retry_budget", std::to_string(retry_budget), "0-1");
  }
  return absl::OkStatus();
}

absl::StatusOr<ClientOptions> ClientOptions::FromEnvironment() {
  ClientOptions options;
  std::string endpoints = Variable("ATOLL_ENDPOINTS");
  if (endpoints.empty()) endpoints = "127.0.0.1:7850";
  for (const absl::string_view endpoint :
       absl::StrSplit(endpoints, absl::ByAnyChar(", "), absl::SkipEmpty())) {
    options.endpoints.emplace_back(base::AsStd(endpoint));
  }
  if (const std::string ns = Variable("ATOLL_NAMESPACE"); !ns.empty()) {
    options.default_namespace = ns;
  }
  if (const std::string timeout = Variable("ATOLL_TIMEOUT"); !timeout.empty()) {
    if (!absl::ParseDuration(timeout, &options.timeout)) {
      return base::InvalidArgument("ATOLL_TIMEOUT", timeout, "such as 500ms or 2s");
    }
  }
  const std::string tls = Variable("ATOLL_TLS");
  if (!tls.empty() && tls != "0" && tls != "1") {
    return base::InvalidArgument("ATOLL_TLS", tls, "0 or 1");
  }
  options.credentials.tls = tls == "1";
  options.credentials.ca_file = Variable("ATOLL_CA_FILE");
  options.credentials.certificate_file = Variable("ATOLL_CERTIFICATE_FILE");
  options.credentials.key_file = Variable("ATOLL_KEY_FILE");
  options.credentials.server_name = Variable("ATOLL_SERVER_NAME");
  return options;
}

}  // namespace atoll
