#include "bench/peers/socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

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

void Socket::Shutdown() { shutdown(fd_, SHUT_RDWR); }

absl::Status Socket::WaitForBytes() { return HasBytes() ? absl::OkStatus() : Fill(); }

// Makes room for at least kReadBytes behind what is unread, and receives once.
absl::Status Socket::Fill() {
  const size_t unread = end_ - begin_;
  if (begin_ > 0) {
    std::memmove(data_.get(), data_.get() + begin_, unread);
    begin_ = 0;
    end_ = unread;
  }
  if (capacity_ - end_ < kReadBytes) {
    capacity_ = std::max(2 * capacity_, end_ + kReadBytes);
    std::unique_ptr<char[]> larger(new char[capacity_]);  // not cleared
    if (end_ > 0) std::memcpy(larger.get(), data_.get(), end_);
    data_ = std::move(larger);
  }
  ssize_t got = 0;
  do {
    got = recv(fd_, data_.get() + end_, capacity_ - end_, 0);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return Error("recv");
  if (got == 0) return absl::UnavailableError("recv: the other end closed");
  end_ += static_cast<size_t>(got);
  return absl::OkStatus();
}

absl::StatusOr<std::string_view> Socket::ReadLine() {
  size_t from = 0;
  for (;;) {
    const size_t length = Unread().find("\r\n", from);
    if (length != std::string_view::npos) {
      const std::string_view line = Unread().substr(0, length);
      begin_ += length + 2;
      return line;
    }
    // A line's end may be split between two reads: look at the last byte again.
    from = Unread().empty() ? 0 : Unread().size() - 1;
    if (absl::Status filled = Fill(); !filled.ok()) return filled;
  }
}

absl::StatusOr<std::string> Socket::Read(size_t size) {
  while (Unread().size() < size) {
    if (absl::Status filled = Fill(); !filled.ok()) return filled;
  }
  std::string bytes(Unread().substr(0, size));
  begin_ += size;
  return bytes;
}

absl::Status Socket::Skip(size_t size) {
  while (Unread().size() < size) {
    size -= Unread().size();
    begin_ = end_;
    if (absl::Status filled = Fill(); !filled.ok()) return filled;
  }
  begin_ += size;
  return absl::OkStatus();
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
