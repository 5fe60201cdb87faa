#include "bench/peers/socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace atoll::bench {
namespace {

constexpr int kTimeoutSeconds = 30;
constexpr size_t kReadBytes = 256 << 10;

absl::Status Error(const char* what) {
  if (errno == EAGAIN || errno == EWOULDBLOCK) {
    return absl::DeadlineExceededError(absl::StrCat(what, ": no progress in 30 s"));
  }
  return absl::UnavailableError(absl::StrCat(what, ": ", std::strerror(errno)));
}

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Socket>> Socket::Connect(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return Error("socket");
  auto connection = std::unique_ptr<Socket>(new Socket(fd));
  const timeval timeout{.tv_sec = kTimeoutSeconds, .tv_usec = 0};
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  const sockaddr_in address = Loopback(port);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return Error("connect");
  }
  return connection;
}

Socket::~Socket() { close(fd_); }

absl::Status Socket::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return Error("send");
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return absl::OkStatus();
}

absl::Status Socket::Fill() {
  if (used_ > 0) {
    buffer_.erase(0, used_);
    used_ = 0;
  }
  const size_t had = buffer_.size();
  buffer_.resize(had + kReadBytes);
  ssize_t got = 0;
  do {
    got = recv(fd_, buffer_.data() + had, kReadBytes, 0);
  } while (got < 0 && errno == EINTR);
  buffer_.resize(had + static_cast<size_t>(std::max<ssize_t>(got, 0)));
  if (got < 0) return Error("recv");
  if (got == 0) return absl::UnavailableError("recv: the other end closed");
  return absl::OkStatus();
}

absl::StatusOr<std::string_view> Socket::ReadLine() {
  size_t from = used_;
  for (;;) {
    const size_t end = buffer_.find("\r\n", from);
    if (end != std::string::npos) {
      const std::string_view line(buffer_.data() + used_, end - used_);
      used_ = end + 2;
      return line;
    }
    // A line's end may be split between two reads: look at the last byte again.
    const size_t unread = buffer_.size() - used_;
    if (absl::Status filled = Fill(); !filled.ok()) return filled;
    from = unread == 0 ? 0 : unread - 1;
  }
}

absl::StatusOr<std::string> Socket::Read(size_t size) {
  while (buffer_.size() - used_ < size) {
    if (absl::Status filled = Fill(); !filled.ok()) return filled;
  }
  std::string bytes = buffer_.substr(used_, size);
  used_ += size;
  return bytes;
}

absl::StatusOr<uint16_t> FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return Error("socket");
  sockaddr_in address = Loopback(0);
  socklen_t length = sizeof(address);
  const bool bound = bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 &&
                     getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0;
  absl::Status status = bound ? absl::OkStatus() : Error("bind");
  close(fd);
  if (!status.ok()) return status;
  return ntohs(address.sin_port);
}

}  // namespace atoll::bench
