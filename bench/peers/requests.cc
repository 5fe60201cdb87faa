#include "bench/peers/requests.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/strings.h"

namespace atoll::bench {
namespace {

void AppendBulk(std::string_view bytes, std::string& request) {
  absl::StrAppend(&request, "$", bytes.size(), "\r\n", base::AsAbsl(bytes), "\r\n");
}

void AppendMemcachedWrite(WriteStyle style, absl::Span<const std::string> keys,
                          std::string_view value, uint32_t ttl_seconds, std::string& request) {
  for (const std::string& key : keys) {
    if (style == WriteStyle::kQuiet) {
      absl::StrAppend(&request, "ms ", key, " ", value.size(), " T", ttl_seconds, " q\r\n");
    } else {
      absl::StrAppend(&request, "set ", key, " 0 ", ttl_seconds, " ", value.size(), "\r\n");
    }
    absl::StrAppend(&request, base::AsAbsl(value), "\r\n");
  }
  if (style == WriteStyle::kQuiet) request += "mn\r\n";
}

void AppendRedisWrite(WriteStyle style, absl::Span<const std::string> keys, std::string_view value,
                      uint32_t ttl_seconds, std::string& request) {
  if (style == WriteStyle::kTogether) {
    absl::StrAppend(&request, "*", 2 * keys.size() + 1, "\r\n");
    AppendBulk("MSET", request);
    for (const std::string& key : keys) {
      AppendBulk(key, request);
      AppendBulk(value, request);
    }
    return;
  }
  for (const std::string& key : keys) {
    request += "*5\r\n";
    AppendBulk("SET", request);
    AppendBulk(key, request);
    AppendBulk(value, request);
    AppendBulk("EX", request);
    AppendBulk(absl::StrCat(ttl_seconds), request);
  }
}

}  // namespace

void AppendRead(PeerKind kind, absl::Span<const std::string> keys, std::string& request) {
  if (kind == PeerKind::kMemcached) {
    request += "get";
    for (const std::string& key : keys) absl::StrAppend(&request, " ", key);
    request += "\r\n";
    return;
  }
  absl::StrAppend(&request, "*", keys.size() + 1, "\r\n");
  AppendBulk(keys.size() == 1 ? "GET" : "MGET", request);
  for (const std::string& key : keys) AppendBulk(key, request);
}

void AppendWrite(PeerKind kind, WriteStyle style, absl::Span<const std::string> keys,
                 std::string_view value, uint32_t ttl_seconds, std::string& request) {
  kind == PeerKind::kMemcached ? AppendMemcachedWrite(style, keys, value, ttl_seconds, request)
                               : AppendRedisWrite(style, keys, value, ttl_seconds, request);
}

absl::StatusOr<uint64_t> AnswerReader::Reads(size_t keys) {
  return kind_ == PeerKind::kMemcached ? MemcachedReads() : RedisReads(keys);
}

absl::Status AnswerReader::Writes(size_t keys, WriteStyle style) {
  const size_t answers = style == WriteStyle::kEach ? keys : 1;
  for (size_t i = 0; i < answers; ++i) {
    absl::StatusOr<std::string_view> line = socket_.ReadLine();
    if (!line.ok()) return line.status();
    if (*line != "STORED" && *line != "+OK" && *line != "MN") return Unexpected(*line);
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> AnswerReader::MemcachedReads() {
  for (uint64_t hits = 0;; ++hits) {
    absl::StatusOr<std::string_view> line = socket_.ReadLine();
    if (!line.ok()) return line.status();
    if (*line == "END") return hits;
    size_t bytes = 0;
    if (!line->starts_with("VALUE ") ||
        !absl::SimpleAtoi(base::AsAbsl(line->substr(line->rfind(' ') + 1)), &bytes)) {
      return Unexpected(*line);
    }
    if (absl::Status skipped = socket_.Skip(bytes + 2); !skipped.ok()) return skipped;
  }
}

absl::StatusOr<uint64_t> AnswerReader::RedisReads(size_t keys) {
  if (keys > 1) {
    absl::StatusOr<std::string_view> head = socket_.ReadLine();
    if (!head.ok()) return head.status();
    if (!head->starts_with('*')) return Unexpected(*head);
  }
  uint64_t hits = 0;
  for (size_t i = 0; i < keys; ++i) {
    absl::StatusOr<std::string_view> line = socket_.ReadLine();
    if (!line.ok()) return line.status();
    int64_t bytes = 0;
    if (!line->starts_with('$') || !absl::SimpleAtoi(base::AsAbsl(line->substr(1)), &bytes)) {
      return Unexpected(*line);
    }
    if (bytes < 0) continue;
    ++hits;
    if (absl::Status skipped = socket_.Skip(static_cast<size_t>(bytes) + 2); !skipped.ok()) {
      return skipped;
    }
  }
  return hits;
}

absl::Status AnswerReader::Unexpected(std::string_view line) const {
  return absl::InternalError(absl::StrCat(base::AsAbsl(PeerName(kind_)),
                                          " answered: ", base::AsAbsl(line.substr(0, 200))));
}

}  // namespace atoll::bench
