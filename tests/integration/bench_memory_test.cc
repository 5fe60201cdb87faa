// `atoll-bench memory` against all three caches: what it writes.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "bench/peers/process.h"
#include "nlohmann/json.hpp"
#include "tests/support/child_process.h"

namespace atoll {
namespace {

TEST(BenchMemoryTest, TellsWhatAnItemTakesInEachCache) {
  for (const char* program : {"memcached", "redis-server"}) {
    if (const auto found = bench::FindProgram(program); !found.ok()) {
      GTEST_SKIP() << found.status().message();
    }
  }
  const std::string folder = test::FreshFolder("bench memory");
  auto process = test::ChildProcess::Start(
      {std::string(ATOLL_BIN_FOLDER) + "/atoll-bench", "memory", "--quiet", "--items", "20000",
       "--value-bytes", "300", "--json", folder + "/result.json"},
      folder + "/log");
  ASSERT_TRUE(process.ok()) << process.status();
  const auto code = (*process)->Wait(absl::Seconds(60));
  ASSERT_TRUE(code.ok()) << code.status();
  ASSERT_EQ(*code, 0) << test::TailOf(folder + "/log");
  const nlohmann::json result = nlohmann::json::parse(test::ContentOf(folder + "/result.json"));
  EXPECT_EQ(result["items"], 20'000);
  for (const char* cache : {"atoll", "memcached", "redis"}) {
    SCOPED_TRACE(cache);
    const double loaded = result[cache]["loaded_bytes"];
    const double empty = result[cache]["empty_bytes"];
    EXPECT_GT(loaded, empty);
    // 24 B of a key, 300 of a value.
    EXPECT_NEAR(result[cache]["bytes_beyond_payload"].get<double>(),
                (loaded - empty) / 20'000 - 324, 0.001);
  }
}

}  // namespace
}  // namespace atoll
