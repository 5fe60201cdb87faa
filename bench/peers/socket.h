// A blocking TCP connection to loopback with a read buffer.
//
// Thread safety: none. Reads and writes end with DEADLINE_EXCEEDED after 30 s.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace atoll::bench {

class Socket {
 public:
  static absl::StatusOr<std::unique_ptr<Socket>> Connect(uint16_t port);
  ~Socket();
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  absl::Status Send(std::string_view bytes);
  // Ends both directions: a read or write under way on another thread fails.
  void Shutdown();
  // Waits until there is something to read.
  absl::Status WaitForBytes();
  bool HasBytes() const { return begin_ != end_; }
  // Up to and without "\r\n". The view lives until the next read.
  absl::StatusOr<std::string_view> ReadLine();
  // Exactly `size` bytes.
  absl::StatusOr<std::string> Read(size_t size);
  // Passes over so many bytes.
  absl::Status Skip(size_t size);

 private:
  explicit Socket(int fd) : fd_(fd) {}
  absl::Status Fill();

  std::string_view Unread() const { return {data_.get() + begin_, end_ - begin_}; }

  const int fd_;
  // Bytes that were received and not yet read: [begin_, end_) of data_.
  std::unique_ptr<char[]> data_;
  size_t capacity_ = 0;
  size_t begin_ = 0;
  size_t end_ = 0;
};

// A port of 127.0.0.1 that nobody listens on now.
absl::StatusOr<uint16_t> FreePort();

}  // namespace atoll::bench
