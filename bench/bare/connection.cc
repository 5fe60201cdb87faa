#include "bench/bare/connection.h"

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/strings.h"

namespace atoll::bench {
namespace {

constexpr size_t kReadBytes = 256 << 10;
constexpr size_t kMaxPieces = 64;  // of one sendmsg

// Takes the first word off the line.
std::string_view NextWord(std::string_view& line) {
  const size_t end = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

}  // namespace

BareConnection::~BareConnection() { close(fd_); }

bool BareConnection::OnReadable() {
  if (input_.size() - input_end_ < kReadBytes) input_.resize(input_end_ + kReadBytes);
  const ssize_t got = recv(fd_, input_.data() + input_end_, input_.size() - input_end_, 0);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  if (got == 0) return false;
  input_end_ += static_cast<size_t>(got);
  std::string_view left(input_.data(), input_end_);
  Parsed parsed = Parsed::kDone;
  while (!left.empty() && parsed == Parsed::kDone) parsed = Command(left);
  AnswerGets();
  std::copy(left.begin(), left.end(), input_.begin());
  input_end_ = left.size();
  return parsed != Parsed::kBad && Send();
}

BareConnection::Parsed BareConnection::Command(std::string_view& input) {
  const size_t end = input.find("\r\n");
  if (end == std::string_view::npos) return Parsed::kIncomplete;
  std::string_view line = input.substr(0, end);
  const std::string_view verb = NextWord(line);
  if (verb == "get") {
    while (!line.empty()) keys_.push_back(NextWord(line));
    ends_.push_back(keys_.size());
    input.remove_prefix(end + 2);
    return Parsed::kDone;
  }
  return verb == "set" ? Set(line, input) : Parsed::kBad;
}

// set KEY FLAGS SECONDS BYTES, and the bytes on a line of their own. Flags are not kept.
BareConnection::Parsed BareConnection::Set(std::string_view line, std::string_view& input) {
  const size_t head = input.find("\r\n") + 2;
  const std::string_view key = NextWord(line);
  NextWord(line);
  uint32_t ttl_seconds = 0;
  size_t bytes = 0;
  if (!absl::SimpleAtoi(base::AsAbsl(NextWord(line)), &ttl_seconds) ||
      !absl::SimpleAtoi(base::AsAbsl(NextWord(line)), &bytes) || key.empty() ||
      key.size() > store::kMaxKeyBytes || bytes > store::kMaxValueBytes) {
    return Parsed::kBad;
  }
  if (input.size() < head + bytes + 2) return Parsed::kIncomplete;
  AnswerGets();  // in the order of the commands
  Tail() += engine_.Set(key, input.substr(head, bytes), ttl_seconds)
                ? "STORED\r\n"
                : "SERVER_ERROR out of memory storing object\r\n";
  input.remove_prefix(head + bytes + 2);
  return Parsed::kDone;
}

void BareConnection::AnswerGets() {
  if (ends_.empty()) return;
  buffer_.Reset();
  engine_.Get(keys_, buffer_, found_);
  size_t at = 0;
  for (const size_t end : ends_) {
    for (; at < end; ++at) {
      const store::Found& found = found_[at];
      if (found.presence != store::Presence::kPresent) continue;
      absl::StrAppend(&Tail(), "VALUE ", base::AsAbsl(keys_[at]), " 0 ", found.value_size, "\r\n");
      AppendValue(found.value);
      Tail() += "\r\n";
    }
    Tail() += "END\r\n";
  }
  keys_.clear();
  ends_.clear();
  found_.clear();
}

std::string& BareConnection::Tail() {
  if (output_.empty() || output_.back().owner != nullptr) output_.emplace_back();
  return output_.back().bytes;
}

void BareConnection::AppendValue(const store::Value& value) {
  for (const std::string_view piece : value.pieces()) {
    if (value.owner() == nullptr) {
      Tail() += piece;
    } else {
      output_.push_back({.referenced = piece, .owner = value.owner()});
    }
  }
}

bool BareConnection::Send() {
  while (!output_.empty()) {
    iovec pieces[kMaxPieces];
    size_t count = 0;
    for (; count < std::min(kMaxPieces, output_.size()); ++count) {
      std::string_view data = output_[count].data();
      if (count == 0) data.remove_prefix(sent_);
      pieces[count] = {.iov_base = const_cast<char*>(data.data()), .iov_len = data.size()};
    }
    msghdr message{};
    message.msg_iov = pieces;
    message.msg_iovlen = count;
    const ssize_t sent = sendmsg(fd_, &message, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN || errno == EINTR;
    sent_ += static_cast<size_t>(sent);
    while (!output_.empty() && sent_ >= output_.front().data().size()) {
      sent_ -= output_.front().data().size();
      output_.pop_front();
    }
  }
  return true;
}

}  // namespace atoll::bench
