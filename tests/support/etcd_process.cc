#include "tests/support/etcd_process.h"

#include <cstdlib>
#include <filesystem>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace atoll::test {
namespace {

std::string EtcdBinary() {
  if (const char* given = std::getenv("ATOLL_ETCD_BINARY")) {
    return given;
  }
  const std::string unpacked = ATOLL_SOURCE_FOLDER "/.atoll/tools/usr/bin/etcd";
  return std::filesystem::exists(unpacked) ? unpacked : "etcd";
}

// What stands between `before` and the next quote, after the last `before`; empty if there is none.
std::string LastQuoted(const std::string& text, const std::string& before) {
  const size_t at = text.rfind(before);
  if (at == std::string::npos) {
    return "";
  }
  const size_t start = at + before.size();
  return text.substr(start, text.find('"', start) - start);
}

}  // namespace

absl::StatusOr<std::unique_ptr<EtcdProcess>> EtcdProcess::Start(std::string folder, EtcdTls tls) {
  std::filesystem::create_directories(folder);
  std::unique_ptr<EtcdProcess> etcd(new EtcdProcess(std::move(folder), std::move(tls)));
  if (absl::Status status = etcd->Launch(); !status.ok()) {
    return status;
  }
  return etcd;
}

absl::Status EtcdProcess::Restart() {
  Kill();
  return Launch();
}

absl::Status EtcdProcess::Launch() {
  std::filesystem::remove(log_path());
  const std::string client = absl::StrCat(tls_.certificate.empty() ? "http://" : "https://",
                                          endpoint_.empty() ? "127.0.0.1:0" : endpoint_);
  const std::string peer = "http://127.0.0.1:0";
  std::vector<std::string> command = {EtcdBinary(),
                                      "--name=test",
                                      "--data-dir",
                                      folder_ + "/data",
                                      "--listen-client-urls",
                                      client,
                                      "--advertise-client-urls",
                                      client,
                                      "--listen-peer-urls",
                                      peer,
                                      "--initial-advertise-peer-urls",
                                      peer,
                                      "--initial-cluster",
                                      "test=" + peer,
                                      "--unsafe-no-fsync",
                                      "--auto-compaction-mode=revision",
                                      "--auto-compaction-retention=1000",
                                      "--logger=zap",
                                      "--log-outputs=stderr"};
  if (!tls_.certificate.empty()) {
    command.insert(command.end(), {"--cert-file", tls_.certificate, "--key-file", tls_.key});
  }
  if (!tls_.client_ca.empty()) {
    command.insert(command.end(), {"--client-cert-auth", "--trusted-ca-file", tls_.client_ca});
  }
  auto process = ChildProcess::Start(std::move(command), log_path());
  if (!process.ok()) {
    return process.status();
  }
  process_ = *std::move(process);
  // {"msg":"serving client traffic insecurely; ...","address":"127.0.0.1:43210"}
  const bool serves = WaitUntil(
      [&] {
        const std::string log = ContentOf(log_path());
        const size_t at = log.find("serving client traffic");
        if (at != std::string::npos && log.find('\n', at) != std::string::npos) {
          endpoint_ = LastQuoted(log.substr(at, log.find('\n', at) - at), "\"address\":\"");
          return true;
        }
        return !process_->Running();
      },
      absl::Seconds(30));
  if (!serves || endpoint_.empty() || !process_->Running()) {
    return absl::InternalError(absl::StrCat("etcd does not serve:\n", TailOf(log_path())));
  }
  return absl::OkStatus();
}

}  // namespace atoll::test
