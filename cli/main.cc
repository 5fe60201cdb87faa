// atoll: the command line of an Atoll cluster.

#include <unistd.h>

#include <iostream>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/context.h"

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  atoll::cli::Io io{std::cin, std::cout, std::cerr, isatty(STDIN_FILENO) == 1,
                    isatty(STDOUT_FILENO) == 1};
  atoll::cli::Context context(io, atoll::cli::MakeClientBackend);
  const int code = atoll::cli::RunLine(std::vector<std::string>(argv + 1, argv + argc), context);
  // A full disk or a closed pipe behind stdout must not look like success.
  if (!std::cout.flush() && code == 0) return atoll::cli::kExitOther;
  return code;
}
