// Between std::string_view, which Atoll's interfaces use, and Abseil's, which in the distribution's
// build is a type of its own and converts in neither direction.
#pragma once

#include <string_view>

#include "absl/strings/string_view.h"

namespace atoll::base {

inline absl::string_view AsAbsl(std::string_view s) { return {s.data(), s.size()}; }
inline std::string_view AsStd(absl::string_view s) { return {s.data(), s.size()}; }

}  // namespace atoll::base
