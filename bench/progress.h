// A line that tells how far a run is: redrawn in place on a terminal, a line every ten seconds
// elsewhere.
//
// Thread safety: Update may be called by one thread at a time.
#pragma once

#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace atoll::bench {

class Progress {
 public:
  // Writes to stderr, so that the figures on stdout stay clean. `quiet` writes nothing.
  Progress(std::string title, uint64_t total, bool quiet);
  // Ends the line.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `note` stands behind the bar, such as "hit ratio 71.2%".
  void Update(uint64_t done, const std::string& note);

 private:
  const std::string title_;
  const uint64_t total_;
  const bool quiet_;
  const bool terminal_;
  absl::Time last_ = absl::InfinitePast();
  bool drawn_ = false;
};

}  // namespace atoll::bench
