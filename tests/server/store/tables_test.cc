#include "server/store/tables.h"

#include <gtest/gtest.h>

#include <memory>

#include "base/clock.h"

namespace atoll::store {
namespace {

class TablesTest : public testing::Test {
 protected:
  std::unique_ptr<Tables> Create(uint64_t mebibytes, int cores) {
    return *Tables::Create({.memory_bytes = mebibytes << 20, .cores = cores, .clock = &clock_});
  }
  static void Seat(Tables& tables, int partition) {
    Partition& p = tables.partitions[static_cast<size_t>(partition)];
    base::BriefLockHold lock(p.mu);
    tables.Seat(p);
  }

  base::FakeClock clock_;
};

TEST_F(TablesTest, ShardsAreAPowerOfTwoByCoresThatLeavesEach64Segments) {
  // Segments are of 64 KiB, and from 4 GiB on of 256.
  struct Case {
    uint64_t mebibytes;
    int cores;
    size_t shards;
  };
  for (const Case& c : {Case{64, 1, 16}, Case{64, 64, 16}, Case{127, 64, 16}, Case{128, 64, 32},
                        Case{256, 1, 16}, Case{256, 2, 32}, Case{256, 3, 32}, Case{256, 4, 64},
                        Case{4096, 64, 256}, Case{4096, 5, 64}}) {
    SCOPED_TRACE(testing::Message() << c.mebibytes << " MiB, " << c.cores << " cores");
    const std::unique_ptr<Tables> tables = Create(c.mebibytes, c.cores);
    EXPECT_EQ(tables->shards.size(), c.shards);
    EXPECT_GE(tables->arena->segment_count() / tables->shards.size(), 64u);
  }
}

TEST_F(TablesTest, APartitionIsSeatedInTheShardWithTheFewest) {
  const std::unique_ptr<Tables> tables = Create(64, 1);
  const auto count = static_cast<int>(tables->shards.size());
  for (int p = 0; p < 10 * count; ++p) {
    Seat(*tables, p);
    for (const Shard& shard : tables->shards) {
      ASSERT_GE(static_cast<int>(shard.partitions.load()), (p + 1) / count) << p;
      ASSERT_LE(static_cast<int>(shard.partitions.load()), p / count + 1) << p;
    }
  }
  tables->shards[3].partitions.store(7);
  for (int p = 10 * count; p < 10 * count + 3; ++p) Seat(*tables, p);
  EXPECT_EQ(tables->shards[3].partitions.load(), 10u);
}

}  // namespace
}  // namespace atoll::store
