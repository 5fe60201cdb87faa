// What is retired is destroyed, and never under a reader.
#include "server/replication/read_epochs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace atoll::replication {
namespace {

TEST(ReadEpochs, WhatNobodyReadsIsDestroyedAtOnce) {
  ReadEpochs epochs;
  auto thing = std::make_shared<int>(1);
  const std::weak_ptr<int> watched = thing;
  epochs.Retire(std::move(thing));
  EXPECT_TRUE(watched.expired());
  EXPECT_EQ(epochs.waiting(), 0u);
}

TEST(ReadEpochs, WhatAReaderMayHoldStaysUntilItLeaves) {
  ReadEpochs epochs;
  auto thing = std::make_shared<int>(1);
  const std::weak_ptr<int> watched = thing;
  {
    const ReadEpochs::Reader reading(epochs);
    epochs.Retire(std::move(thing));
    for (int i = 0; i < 10; ++i) {
      // Of later readers and later things it is the same.
      const ReadEpochs::Reader later(epochs);
      epochs.Retire(std::make_shared<int>(i));
    }
    EXPECT_FALSE(watched.expired());
    EXPECT_EQ(epochs.waiting(), 11u);
  }
  epochs.Reclaim();
  EXPECT_TRUE(watched.expired());
  EXPECT_EQ(epochs.waiting(), 0u);
}

// Under a sanitizer a read of what was destroyed is an error; under any the value gives it away.
TEST(ReadEpochs, ReadersOnManyThreadsSeeNothingThatIsDestroyed) {
  struct Thing {
    ~Thing() { alive = 0; }
    uint64_t alive = 0x600d600d;
  };
  ReadEpochs epochs;
  auto held = std::make_shared<const Thing>();
  std::atomic<const Thing*> published{held.get()};
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> wrong{0};
  std::vector<std::thread> readers;
  readers.reserve(4);
  for (int t = 0; t < 4; ++t) {
    readers.emplace_back([&] {
      while (!stop) {
        const ReadEpochs::Reader reading(epochs);
        if (published.load()->alive != 0x600d600d) ++wrong;
      }
    });
  }
  size_t most = 0;
  for (int i = 0; i < 20'000; ++i) {
    auto before = std::exchange(held, std::make_shared<const Thing>());
    published.store(held.get());
    epochs.Retire(std::move(before));
    most = std::max(most, epochs.waiting());
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  epochs.Reclaim();
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(epochs.waiting(), 0u);
  EXPECT_LT(most, 20'000u) << "nothing was destroyed on the way";
}

}  // namespace
}  // namespace atoll::replication
