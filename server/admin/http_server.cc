#include "server/admin/http_server.h"

#include <civetweb.h>

#include <array>
#include <cstring>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/strings.h"
#include "server/admin/metrics.h"

namespace atoll::admin {
namespace {

int Reply(mg_connection* connection, int code, const char* type, std::string_view body) {
  const mg_request_info* request = mg_get_request_info(connection);
  const bool head = std::strcmp(request->request_method, "HEAD") == 0;
  if (!head && std::strcmp(request->request_method, "GET") != 0) {
    mg_send_http_error(connection, 405, "only GET and HEAD");
    return 405;
  }
  mg_printf(connection,
            "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
            "Cache-Control: no-store\r\nConnection: close\r\n\r\n",
            code, mg_get_response_code_text(connection, code), type, body.size());
  if (!head) mg_write(connection, body.data(), body.size());
  return code;
}

}  // namespace

int HttpServer::Metrics(mg_connection* connection, void* self) {
  const auto& options = static_cast<HttpServer*>(self)->options_;
  return Reply(connection, 200, "text/plain; version=0.0.4; charset=utf-8",
               MetricsText(options.figures(), options.node_name, options.version));
}

int HttpServer::Live(mg_connection* connection, void* /*self*/) {
  return Reply(connection, 200, "text/plain; charset=utf-8", "ok\n");
}

int HttpServer::Ready(mg_connection* connection, void* self) {
  const absl::Status ready = static_cast<HttpServer*>(self)->options_.ready();
  if (ready.ok()) return Reply(connection, 200, "text/plain; charset=utf-8", "ok\n");
  return Reply(connection, 503, "text/plain; charset=utf-8", absl::StrCat(ready.message(), "\n"));
}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(HttpOptions options) {
  auto server = std::unique_ptr<HttpServer>(new HttpServer(std::move(options)));
  // Two threads: a scrape that hangs does not stop a health check. A connection that is silent for
  // 5 s is closed.
  const std::array<const char*, 11> settings = {"listening_ports",
                                                server->options_.address.c_str(),
                                                "num_threads",
                                                "2",
                                                "request_timeout_ms",
                                                "5000",
                                                "enable_keep_alive",
                                                "no",
                                                "max_request_size",
                                                "16384",
                                                nullptr};
  mg_callbacks callbacks{};
  // Its messages would be a second log: what matters is told by the returned status.
  callbacks.log_message = [](const mg_connection*, const char*) { return 1; };
  std::array<char, 256> error{};
  mg_init_data init{};
  init.callbacks = &callbacks;
  init.configuration_options = const_cast<const char**>(settings.data());
  mg_error_data error_data{};
  error_data.text = error.data();
  error_data.text_buffer_size = error.size();
  server->context_ = mg_start2(&init, &error_data);
  if (server->context_ == nullptr) {
    return absl::UnavailableError(absl::StrCat("admin listener ", server->options_.address, ": ",
                                               error[0] == 0 ? "cannot be bound" : error.data()));
  }
  mg_server_port bound{};
  if (mg_get_server_ports(server->context_, 1, &bound) < 1) {
    return absl::InternalError("the admin listener has no port");
  }
  server->port_ = static_cast<uint16_t>(bound.port);
  mg_set_request_handler(server->context_, "/metrics$", &HttpServer::Metrics, server.get());
  mg_set_request_handler(server->context_, "/livez$", &HttpServer::Live, server.get());
  mg_set_request_handler(server->context_, "/readyz$", &HttpServer::Ready, server.get());
  return server;
}

HttpServer::~HttpServer() { Stop(); }

void HttpServer::Stop() {
  if (context_ != nullptr) mg_stop(context_);
  context_ = nullptr;
}

}  // namespace atoll::admin
