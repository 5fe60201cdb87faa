#include "bench/bare/server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/bare/connection.h"
#include "bench/bare/engine.h"

namespace atoll::bench {
namespace {

// Serves the connections that were given to it, for ever.
class Server {
 public:
  explicit Server(BareEngine& engine) : engine_(engine), epoll_(epoll_create1(EPOLL_CLOEXEC)) {}

  void Add(int fd) {
    // Owned by the epoll, so to speak: it is found again by its events only.
    auto* const connection = std::make_unique<BareConnection>(fd, engine_).release();
    epoll_event event{.events = EPOLLIN, .data = {.ptr = connection}};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  }

  [[noreturn]] void Run() {
    for (;;) {
      epoll_event events[64];
      const int count = epoll_wait(epoll_, events, 64, -1);
      for (int i = 0; i < count; ++i) {
        Serve(static_cast<BareConnection*>(events[i].data.ptr), events[i].events);
      }
    }
  }

 private:
  void Serve(BareConnection* connection, uint32_t events) {
    const bool had_output = connection->has_output();
    const bool open = had_output ? connection->OnWritable() : connection->OnReadable();
    if (!open || (events & EPOLLERR) != 0) {
      delete connection;
      return;
    }
    if (had_output == connection->has_output()) return;
    epoll_event event{.events = connection->has_output() ? EPOLLOUT : EPOLLIN,
                      .data = {.ptr = connection}};
    epoll_ctl(epoll_, EPOLL_CTL_MOD, connection->fd(), &event);
  }

  BareEngine& engine_;
  const int epoll_;
};

absl::StatusOr<int> ListenOn(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(fd, 1024) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("127.0.0.1:", port));
  }
  return fd;
}

}  // namespace

absl::Status RunBareServer(const BareServerOptions& options) {
  absl::StatusOr<std::unique_ptr<BareEngine>> engine =
      BareEngine::Create(options.memory_bytes, options.threads);
  if (!engine.ok()) return engine.status();
  const absl::StatusOr<int> listening = ListenOn(options.port);
  if (!listening.ok()) return listening.status();
  std::vector<std::unique_ptr<Server>> servers;
  std::vector<std::thread> threads;
  for (int i = 0; i < options.threads; ++i) {
    servers.push_back(std::make_unique<Server>(**engine));
    threads.emplace_back([&server = *servers.back()] { server.Run(); });
  }
  for (size_t next = 0;; ++next) {
    const int fd = accept4(*listening, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) continue;
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    servers[next % servers.size()]->Add(fd);
  }
}

}  // namespace atoll::bench
