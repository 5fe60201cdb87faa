// The hand-written codec of what nodes send each other (rpc/wire/peer_codec.h) against the
// generated classes: read as a message of a link and as a record, cut anywhere, the two agree; what
// it read and writes again they read the same.
//
// Input: as codec_fuzz.cc: a byte that says how many cuts (0-7), a byte for each with its distance
// from the last, then the message.
#include <cstdio>
#include <string>
#include <vector>

#include "tests/fuzz/fuzz.h"
#include "tests/rpc/wire/peer_check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const size_t count = data[0] % 8;
  if (size < 1 + count) return 0;
  const std::string_view bytes = atoll::fuzz::AsBytes(data + 1 + count, size - 1 - count);
  std::vector<size_t> cuts;
  cuts.reserve(count);
  size_t at = 0;
  for (size_t i = 0; i < count; ++i) {
    at += data[1 + i];
    if (at <= bytes.size()) cuts.push_back(at);
  }
  const std::string difference = atoll::wire::ComparePeerWithGenerated(bytes, cuts);
  if (!difference.empty()) std::fprintf(stderr, "%s\n", difference.c_str());
  FUZZ_EXPECT(difference.empty());
  return 0;
}
