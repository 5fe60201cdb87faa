#include "bench/peers/connection.h"

#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/strings.h"
#include "bench/peers/socket.h"

namespace atoll::bench {
namespace {

using Values = std::vector<std::optional<std::string>>;

absl::Status Unexpected(std::string_view peer, std::string_view line) {
  return absl::InternalError(
      absl::StrCat(base::AsAbsl(peer), " answered: ", base::AsAbsl(line.substr(0, 200))));
}

// memcached's text protocol (doc/protocol.txt): `set` and `get`.
class MemcachedConnection final : public PeerConnection {
 public:
  explicit MemcachedConnection(std::unique_ptr<Socket> socket) : socket_(std::move(socket)) {}

  absl::Status SetMany(absl::Span<const PeerItem> items, uint32_t ttl_seconds) override {
    request_.clear();
    for (const PeerItem& item : items) {
      absl::StrAppend(&request_, "set ", base::AsAbsl(item.key), " 0 ", ttl_seconds, " ",
                      item.value.size(), "\r\n", base::AsAbsl(item.value), "\r\n");
    }
    if (absl::Status sent = socket_->Send(request_); !sent.ok()) return sent;
    for (size_t i = 0; i < items.size(); ++i) {
      absl::StatusOr<std::string_view> line = socket_->ReadLine();
      if (!line.ok()) return line.status();
      if (*line != "STORED") return Unexpected("memcached", *line);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Values> GetMany(absl::Span<const std::string> keys) override {
    request_ = "get";
    absl::flat_hash_map<std::string_view, size_t> places;
    for (size_t i = 0; i < keys.size(); ++i) {
      absl::StrAppend(&request_, " ", keys[i]);
      places[keys[i]] = i;
    }
    request_ += "\r\n";
    if (absl::Status sent = socket_->Send(request_); !sent.ok()) return sent;
    Values values(keys.size());
    for (;;) {
      absl::StatusOr<std::string_view> line = socket_->ReadLine();
      if (!line.ok()) return line.status();
      if (*line == "END") break;
      if (absl::Status read = ReadValue(*line, places, values); !read.ok()) return read;
    }
    // A key that was asked for twice is answered twice, under the same name.
    for (size_t i = 0; i < keys.size(); ++i) {
      if (!values[i].has_value()) values[i] = values[places[keys[i]]];
    }
    return values;
  }

 private:
  // VALUE <key> <flags> <bytes>
  absl::Status ReadValue(std::string_view line,
                         const absl::flat_hash_map<std::string_view, size_t>& places,
                         Values& values) {
    const size_t key_end = line.find(' ', 6);
    const size_t flags_end =
        key_end == std::string_view::npos ? key_end : line.find(' ', key_end + 1);
    size_t bytes = 0;
    if (!line.starts_with("VALUE ") || flags_end == std::string_view::npos ||
        !absl::SimpleAtoi(base::AsAbsl(line.substr(flags_end + 1)), &bytes)) {
      return Unexpected("memcached", line);
    }
    const auto place = places.find(line.substr(6, key_end - 6));
    if (place == places.end()) return Unexpected("memcached", line);
    const size_t at = place->second;  // `line` ends with the next read
    absl::StatusOr<std::string> value = socket_->Read(bytes + 2);
    if (!value.ok()) return value.status();
    value->resize(bytes);
    values[at] = *std::move(value);
    return absl::OkStatus();
  }

  std::unique_ptr<Socket> socket_;
  std::string request_;
};

// Redis' RESP2: SET, GET and MGET.
class RedisConnection final : public PeerConnection {
 public:
  explicit RedisConnection(std::unique_ptr<Socket> socket) : socket_(std::move(socket)) {}

  absl::Status SetMany(absl::Span<const PeerItem> items, uint32_t ttl_seconds) override {
    request_.clear();
    for (const PeerItem& item : items) {
      absl::StrAppend(&request_, "*", ttl_seconds == 0 ? 3 : 5, "\r\n");
      Bulk("SET");
      Bulk(item.key);
      Bulk(item.value);
      if (ttl_seconds == 0) continue;
      Bulk("EX");
      Bulk(absl::StrCat(ttl_seconds));
    }
    if (absl::Status sent = socket_->Send(request_); !sent.ok()) return sent;
    for (size_t i = 0; i < items.size(); ++i) {
      absl::StatusOr<std::string_view> line = socket_->ReadLine();
      if (!line.ok()) return line.status();
      if (*line != "+OK") return Unexpected("redis", *line);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Values> GetMany(absl::Span<const std::string> keys) override {
    request_.clear();
    const bool one = keys.size() == 1;
    absl::StrAppend(&request_, "*", keys.size() + 1, "\r\n");
    Bulk(one ? "GET" : "MGET");
    for (const std::string& key : keys) Bulk(key);
    if (absl::Status sent = socket_->Send(request_); !sent.ok()) return sent;
    if (!one) {
      absl::StatusOr<std::string_view> line = socket_->ReadLine();
      if (!line.ok()) return line.status();
      if (*line != absl::StrCat("*", keys.size())) return Unexpected("redis", *line);
    }
    Values values(keys.size());
    for (std::optional<std::string>& value : values) {
      if (absl::Status read = ReadBulk(value); !read.ok()) return read;
    }
    return values;
  }

 private:
  void Bulk(std::string_view bytes) {
    absl::StrAppend(&request_, "$", bytes.size(), "\r\n", base::AsAbsl(bytes), "\r\n");
  }

  absl::Status ReadBulk(std::optional<std::string>& value) {
    absl::StatusOr<std::string_view> line = socket_->ReadLine();
    if (!line.ok()) return line.status();
    int64_t bytes = 0;
    if (!line->starts_with('$') || !absl::SimpleAtoi(base::AsAbsl(line->substr(1)), &bytes)) {
      return Unexpected("redis", *line);
    }
    if (bytes < 0) return absl::OkStatus();
    absl::StatusOr<std::string> read = socket_->Read(static_cast<size_t>(bytes) + 2);
    if (!read.ok()) return read.status();
    read->resize(static_cast<size_t>(bytes));
    value = *std::move(read);
    return absl::OkStatus();
  }

  std::unique_ptr<Socket> socket_;
  std::string request_;
};

}  // namespace

std::string_view PeerName(PeerKind kind) {
  return kind == PeerKind::kMemcached ? "memcached" : "redis";
}

absl::StatusOr<std::unique_ptr<PeerConnection>> ConnectPeer(PeerKind kind, uint16_t port) {
  absl::StatusOr<std::unique_ptr<Socket>> socket = Socket::Connect(port);
  if (!socket.ok()) return socket.status();
  if (kind == PeerKind::kMemcached) {
    return std::make_unique<MemcachedConnection>(*std::move(socket));
  }
  return std::make_unique<RedisConnection>(*std::move(socket));
}

}  // namespace atoll::bench
