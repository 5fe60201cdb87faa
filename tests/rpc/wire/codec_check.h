// Compares the hand-written codec with the generated parser, for tests and for the fuzzer.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"

namespace atoll::wire {

// Decodes `bytes`, cut before each of `cuts` (ascending), as every message that the codec knows,
// and compares with what the generated parser makes of them. Also encodes what was decoded, and
// compares again. Returns what differs; empty if nothing does.
std::string CompareWithGenerated(std::string_view bytes, absl::Span<const size_t> cuts);

// Whether the codec read all of it by hand: what programs of ours send must not be left to the
// generated parser. `bytes` are an ExchangeRequest or an ExchangeResponse.
bool RequestReadByHand(std::string_view bytes);
bool ResponseReadByHand(std::string_view bytes);

}  // namespace atoll::wire
