// Which nodes to leave alone for a while.
//
// A node is out after 5 errors in a row, or when half of its last 20 answers (counted from its
// first error) were errors: for 1 s
// at first, twice as long each time it fails its trial, at most 30 s. When its time is over one
// operation is let through as a trial; it decides. Never more than half of the nodes are out:
// rather than leave most of the cluster alone for an error that may be the client's own, it asks.
//
// Thread safety: none of its own. Pure: time is an argument (BootTime).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"

namespace atoll::client {

class Breakers {
 public:
  static constexpr int kErrorsInARow = 5;
  static constexpr int kWindow = 20;
  static constexpr absl::Duration kFirstOut = absl::Seconds(1);
  static constexpr absl::Duration kLongestOut = absl::Seconds(30);

  // Whether an operation may be sent to the node. True for one operation when the node's time is
  // over: that is its trial, which must be recorded; a second is let through after kFirstOut more,
  // lest a trial that was lost shut the node out for good.
  bool Allows(std::string_view node, absl::Duration now);
  // As Allows, without making a trial of it.
  bool IsOut(std::string_view node, absl::Duration now) const;
  // What became of an operation that was sent to the node; `nodes` is how many there are.
  void Record(std::string_view node, bool ok, absl::Duration now, size_t nodes);
  void Forget(std::string_view node);
  // Whether an error of the node's is remembered: else recording that it did well changes nothing.
  // Errors are forgotten when kWindow answers in a row were none.
  bool Knows(std::string_view node) const;

 private:
  struct Node {
    uint32_t window = 0;  // the last answers, newest lowest; a set bit is an error
    int answers = 0;      // in the window
    int errors_in_a_row = 0;
    bool out = false;
    absl::Duration until;   // next trial
    absl::Duration period;  // of the current absence
  };

  size_t CountOut() const;

  absl::flat_hash_map<std::string, Node> nodes_;
};

}  // namespace atoll::client
