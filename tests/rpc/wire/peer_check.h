// Compares the hand-written codec of messages between nodes with the generated parser, for tests
// and for the fuzzer.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/types/span.h"

namespace atoll::wire {

// Decodes `bytes`, cut before each of `cuts` (ascending), as a LinkRequest and as a Record, and
// compares with what the generated parser makes of them. Also encodes what was decoded, and
// compares again. Returns what differs; empty if nothing does. `by_hand`, unless nullptr, is told
// whether the LinkRequest was not left to the generated parser.
std::string ComparePeerWithGenerated(std::string_view bytes, absl::Span<const size_t> cuts,
                                     bool* by_hand = nullptr);

}  // namespace atoll::wire
