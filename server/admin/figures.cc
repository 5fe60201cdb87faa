#include "server/admin/figures.h"

#include <fstream>
#include <string>

namespace atoll::admin {

uint64_t AnonymousBytesOfThisProcess() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    if (word == "RssAnon:") {
      uint64_t kib = 0;
      return status >> kib ? kib << 10 : 0;
    }
  }
  return 0;
}

}  // namespace atoll::admin
