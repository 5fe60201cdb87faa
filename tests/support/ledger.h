// Remembers what a test wrote, and judges what it reads back: an acknowledged write is there, or a
// later one of the same key is; nothing older, and nothing that was never written.
//
// A key's writes must come one after another, from one thread; the values number them.
// Thread safety: different keys may be used by different threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "client/include/atoll/client.h"

namespace atoll::test {

class Ledger {
 public:
  // Of the keys `prefix` 0 .. `keys` - 1. `padding` makes values so much longer.
  Ledger(std::string prefix, int keys, size_t padding = 0)
      : prefix_(std::move(prefix)), padding_(padding), keys_(static_cast<size_t>(keys)) {}

  int size() const { return static_cast<int>(keys_.size()); }
  std::string KeyOf(int key) const { return prefix_ + std::to_string(key); }

  // The next write of the key; false if it was not acknowledged, and then it may have been applied.
  bool Set(Client& client, int key, const SetOptions& options = {});
  bool Delete(Client& client, int key);
  // Reads the key (again, within `patience`, while it gets errors): empty if what came is right,
  // else what is wrong. With `miss_is_legal` a miss is right too.
  std::string Check(Client& client, int key, absl::Duration patience = absl::Seconds(10),
                    bool miss_is_legal = false) const;
  // All keys: the first of what is wrong, with a count; empty if all is right.
  std::string CheckAll(Client& client, absl::Duration patience = absl::Seconds(10),
                       bool miss_is_legal = false) const;

  uint64_t acknowledged() const;
  uint64_t attempted() const;

 private:
  struct Record {
    uint64_t attempted = 0;     // writes, deletions too
    uint64_t acknowledged = 0;  // the number of the last one that was
    uint64_t acknowledgements = 0;
    std::vector<uint64_t> deletions;
  };
  void NoteFailure(int key, const absl::Status& status);
  std::string ValueOf(int key, uint64_t number) const;
  std::string Judge(int key, const GetResult& got, bool miss_is_legal) const;

  const std::string prefix_;
  const size_t padding_;
  std::vector<Record> keys_;
  std::atomic<int> failures_{0};
};

}  // namespace atoll::test
