#include "bench/trace.h"

#include <lzma.h>

#include <array>
#include <fstream>
#include <iterator>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace atoll::bench {
namespace {

constexpr uint64_t kDecoderMemoryBytes = uint64_t{256} << 20;

absl::StatusOr<std::string> Unpack(const std::string& packed, const std::string& path) {
  lzma_stream stream = LZMA_STREAM_INIT;
  if (lzma_stream_decoder(&stream, kDecoderMemoryBytes, 0) != LZMA_OK) {
    return absl::InternalError("the xz decoder did not start");
  }
  stream.next_in = reinterpret_cast<const uint8_t*>(packed.data());
  stream.avail_in = packed.size();
  std::string plain;
  std::array<uint8_t, 1 << 16> piece;
  lzma_ret result = LZMA_OK;
  while (result == LZMA_OK) {
    stream.next_out = piece.data();
    stream.avail_out = piece.size();
    result = lzma_code(&stream, LZMA_FINISH);
    plain.append(reinterpret_cast<const char*>(piece.data()), piece.size() - stream.avail_out);
  }
  lzma_end(&stream);
  if (result != LZMA_STREAM_END) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": damaged xz file (liblzma says ", static_cast<int>(result), ")"));
  }
  return plain;
}

uint32_t BigEndian32(const unsigned char* p) {
  return uint32_t{p[0]} << 24 | uint32_t{p[1]} << 16 | uint32_t{p[2]} << 8 | p[3];
}

template <typename Integer>
Integer LittleEndian(const unsigned char* p) {
  Integer value = 0;
  for (size_t i = 0; i < sizeof(Integer); ++i) value |= Integer{p[i]} << (8 * i);
  return value;
}

}  // namespace

absl::StatusOr<std::vector<TraceRequest>> ReadTrace(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat(path, ": cannot be opened"));
  std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (path.ends_with(".xz")) {
    absl::StatusOr<std::string> plain = Unpack(bytes, path);
    if (!plain.ok()) return plain.status();
    bytes = *std::move(plain);
  }
  const bool keys_only = path.ends_with(".trace.xz") || path.ends_with(".trace");
  const size_t record = keys_only ? 4 : 16;
  if (bytes.empty() || bytes.size() % record != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": ", bytes.size(), " bytes, not a multiple of a record's ", record));
  }
  std::vector<TraceRequest> requests;
  requests.reserve(bytes.size() / record);
  for (size_t at = 0; at < bytes.size(); at += record) {
    const auto* p = reinterpret_cast<const unsigned char*>(bytes.data()) + at;
    if (keys_only) {
      requests.push_back({.key = BigEndian32(p)});
    } else {
      requests.push_back({.key = LittleEndian<uint64_t>(p), .size = LittleEndian<uint32_t>(p + 8)});
    }
  }
  return requests;
}

}  // namespace atoll::bench
