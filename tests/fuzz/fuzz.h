// What every fuzz target does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

// libFuzzer's entry. Ends the process if what it is told about `data` does not hold.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace atoll::fuzz {

// Says what was broken and ends the process: libFuzzer keeps the input.
[[noreturn]] inline void Broken(const char* what, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
  std::abort();
}

inline std::string_view AsBytes(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace atoll::fuzz

#define FUZZ_EXPECT(condition)                                               \
  do {                                                                       \
    if (!(condition)) ::atoll::fuzz::Broken(#condition, __FILE__, __LINE__); \
  } while (false)
