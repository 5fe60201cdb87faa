// A line of the shell, cut into words.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace atoll::cli {

// Words are parted by blanks; '...' and "..." keep blanks; outside '...', \n \t \r \\ \" \' \xNN
// and backslash blank mean what they do in Escape's output. INVALID_ARGUMENT: an open quote or an
// unknown escape.
absl::StatusOr<std::vector<std::string>> SplitWords(std::string_view line);

}  // namespace atoll::cli
