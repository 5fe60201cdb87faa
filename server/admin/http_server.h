// The admin listener: HTTP for those who look after the node.
//
//   /metrics   figures in Prometheus' text format
//   /livez     200 while the process runs
//   /readyz    200 while the node serves; else 503 with the reason in a line
//
// Thread safety: Stop may be called by one thread at a time. The callbacks run on the server's own
// threads. Ownership: owns its threads; what the callbacks use must outlive Stop.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/admin/figures.h"

struct mg_connection;
struct mg_context;

namespace atoll::admin {

struct HttpOptions {
  // host:port; port 0 takes a free one.
  std::string address;
  std::string node_name;
  std::string version;
  FiguresSource figures;
  // OK while the node serves.
  std::function<absl::Status()> ready;
};

class HttpServer {
 public:
  // UNAVAILABLE names the address if it cannot be bound.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(HttpOptions options);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // The port that is bound.
  uint16_t port() const { return port_; }
  // Ends requests under way and joins the threads. Safe to repeat.
  void Stop();

 private:
  explicit HttpServer(HttpOptions options) : options_(std::move(options)) {}
  static int Metrics(mg_connection* connection, void* self);
  static int Live(mg_connection* connection, void* self);
  static int Ready(mg_connection* connection, void* self);

  const HttpOptions options_;
  mg_context* context_ = nullptr;
  uint16_t port_ = 0;
};

}  // namespace atoll::admin
