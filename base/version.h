// What a program says of itself with --version: the project's version and the commit it was built
// from.
#pragma once

#include <string>
#include <string_view>

namespace atoll::base {

// "0.1.0", from project() in CMakeLists.txt.
std::string_view ProgramVersion();

// The first 12 digits of the commit, or "unknown" when it was built outside a git tree.
std::string_view ProgramCommit();

// "atolld 0.1.0 (1a2b3c4d5e6f)", without a newline.
std::string VersionLine(std::string_view program);

}  // namespace atoll::base
