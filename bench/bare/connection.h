// One connection of the bare server: bytes in, commands, bytes out.
//
// Thread safety: none; each belongs to one thread of the server.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bench/bare/engine.h"

namespace atoll::bench {

class BareConnection {
 public:
  // Takes `fd`, which does not block.
  BareConnection(int fd, BareEngine& engine) : fd_(fd), engine_(engine) {}
  ~BareConnection();
  BareConnection(const BareConnection&) = delete;
  BareConnection& operator=(const BareConnection&) = delete;

  int fd() const { return fd_; }
  // Both answer false when the connection is to be closed.
  // Reads once, answers what is complete and sends. Not while has_output().
  bool OnReadable();
  // Goes on sending.
  bool OnWritable() { return Send(); }
  bool has_output() const { return !output_.empty(); }

 private:
  enum class Parsed : uint8_t { kDone, kIncomplete, kBad };
  // Takes one command off the front of `input`.
  Parsed Command(std::string_view& input);
  Parsed Set(std::string_view line, std::string_view& input);
  // Looks up the gets that gathered, all at once, and answers them.
  void AnswerGets();
  // Where the next bytes of an answer go.
  std::string& Tail();
  void AppendValue(const store::Value& value);
  bool Send();

  const int fd_;
  BareEngine& engine_;
  std::string input_;
  size_t input_end_ = 0;
  // Keys of gets that follow each other, and where each get ends among them. Views into input_.
  std::vector<std::string_view> keys_;
  std::vector<size_t> ends_;
  std::vector<store::Found> found_;
  store::ReadBuffer buffer_;
  // Bytes of its own, one small answer behind the other; or those of a large value, by reference.
  struct Piece {
    std::string bytes;
    std::string_view referenced;
    std::shared_ptr<const void> owner;
    std::string_view data() const {
      return owner == nullptr ? std::string_view(bytes) : referenced;
    }
  };
  std::deque<Piece> output_;
  size_t sent_ = 0;  // of the first piece
};

}  // namespace atoll::bench
