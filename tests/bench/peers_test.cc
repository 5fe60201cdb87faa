// Against the real servers where this machine has them; skipped, aloud, where it has not.
#include <gtest/gtest.h>

#include "bench/peers/auto_pipeline.h"
#include "bench/peers/connection.h"
#include "bench/peers/load.h"
#include "bench/peers/process.h"
#include "bench/peers/requests.h"

namespace atoll::bench {
namespace {

class Peers : public testing::TestWithParam<PeerKind> {
 protected:
  void SetUp() override {
    const std::string program = GetParam() == PeerKind::kMemcached ? "memcached" : "redis-server";
    if (absl::StatusOr<std::string> found = FindProgram(program); !found.ok()) {
      GTEST_SKIP() << found.status().message();
    }
    absl::StatusOr<PeerServer> server = StartPeer(GetParam(), uint64_t{64} << 20, 1);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    absl::StatusOr<std::unique_ptr<PeerConnection>> connection =
        ConnectPeer(GetParam(), server_.port);
    ASSERT_TRUE(connection.ok()) << connection.status();
    connection_ = *std::move(connection);
  }

  PeerServer server_;
  std::unique_ptr<PeerConnection> connection_;
};

TEST_P(Peers, GiveBackWhatWasStoredAndMissTheRest) {
  const std::string large(100'000, 'x');
  const std::vector<PeerItem> items = {{"a", "one"}, {"b", ""}, {"c", large}, {"d", "\r\nEND\r\n"}};
  ASSERT_TRUE(connection_->SetMany(items, 60).ok());
  const auto values = connection_->GetMany(std::vector<std::string>{"a", "nothing", "b", "c", "d"});
  ASSERT_TRUE(values.ok()) << values.status();
  EXPECT_EQ((*values)[0], "one");
  EXPECT_EQ((*values)[1], std::nullopt);
  EXPECT_EQ((*values)[2], "");
  EXPECT_EQ((*values)[3], large);
  EXPECT_EQ((*values)[4], "\r\nEND\r\n");
  const auto one = connection_->GetMany(std::vector<std::string>{"a"});
  ASSERT_TRUE(one.ok()) << one.status();
  EXPECT_EQ((*one)[0], "one");
}

TEST_P(Peers, MemoryGrowsWithWhatIsStored) {
  const absl::StatusOr<uint64_t> empty = server_.process->AnonymousBytes();
  ASSERT_TRUE(empty.ok()) << empty.status();
  const std::string value(10'000, 'v');
  for (int i = 0; i < 1000; ++i) {
    const std::string key = std::to_string(i);
    ASSERT_TRUE(connection_->SetMany({{PeerItem{key, value}}}, 0).ok());
  }
  const absl::StatusOr<uint64_t> loaded = server_.process->AnonymousBytes();
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_GT(*loaded, *empty + 9'000'000);
}

PeerLoadOptions ShortLoad(PeerKind kind, uint16_t port) {
  return {.kind = kind,
          .port = port,
          .connections = 2,
          .keys = 1000,
          .warmup = absl::ZeroDuration(),
          .duration = absl::Milliseconds(50)};
}

// A busy machine may not finish a round in so short a time: it gets more, up to 13 s.
template <typename Load>
absl::StatusOr<PeerLoadResult> UntilAnswered(PeerLoadOptions options, Load load) {
  absl::StatusOr<PeerLoadResult> result = load(options);
  while (result.ok() && result->keys == 0 && options.duration < absl::Seconds(10)) {
    options.duration *= 2;
    result = load(options);
  }
  return result;
}

TEST_P(Peers, AFilledPeerAnswersALoadWithHits) {
  PeerLoadOptions options = ShortLoad(GetParam(), server_.port);
  ASSERT_TRUE(FillPeer(options).ok());
  options.round_keys = 25;
  for (const int batch : {1, 10}) {
    SCOPED_TRACE(batch);
    options.batch = batch;
    const absl::StatusOr<PeerLoadResult> result = UntilAnswered(options, RunPeerLoad);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_GT(result->keys, 0u);
    EXPECT_EQ(result->keys % 25, 0u);
    // A multi-get that names a key twice may answer it once.
    EXPECT_GT(result->hits, result->keys * 9 / 10);
  }
}

TEST_P(Peers, EveryWayOfWritingStoresTheKeys) {
  const WriteStyle other =
      GetParam() == PeerKind::kMemcached ? WriteStyle::kQuiet : WriteStyle::kTogether;
  for (const WriteStyle style : {WriteStyle::kEach, other}) {
    SCOPED_TRACE(static_cast<int>(style));
    PeerLoadOptions options = ShortLoad(GetParam(), server_.port);
    options.key_prefix = style == WriteStyle::kEach ? "each:" : "other:";
    options.read = false;
    options.write_style = style;
    options.round_keys = 400;
    options.batch = 100;
    absl::StatusOr<PeerLoadResult> result = UntilAnswered(options, RunPeerLoad);
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_GT(result->keys, 0u);
    options.read = true;
    result = UntilAnswered(options, RunPeerLoad);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_GT(result->hits, result->keys * 9 / 10);
  }
}

TEST_P(Peers, CallersThatShareConnectionsGetTheirAnswers) {
  const PeerLoadOptions options = ShortLoad(GetParam(), server_.port);
  ASSERT_TRUE(FillPeer(options).ok());
  for (const bool one_message : {false, true}) {
    SCOPED_TRACE(one_message);
    const absl::StatusOr<PeerLoadResult> result =
        UntilAnswered(options, [one_message](const PeerLoadOptions& longer) {
          return RunAutoPipelineLoad(longer, 8, one_message);
        });
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_GT(result->keys, 0u);
    EXPECT_EQ(result->hits, result->keys);
    EXPECT_EQ(result->latency.count(), result->keys);
  }
}

TEST_P(Peers, CallersAreToldThatTheServerHasGone) {
  absl::StatusOr<std::unique_ptr<AutoPipeline>> pipeline =
      AutoPipeline::Connect(GetParam(), server_.port, false);
  ASSERT_TRUE(pipeline.ok()) << pipeline.status();
  std::string request;
  AppendRead(GetParam(), {"a"}, request);
  ASSERT_TRUE((*pipeline)->Get(request).ok());
  server_.process.reset();
  EXPECT_FALSE((*pipeline)->Get(request).ok());
}

INSTANTIATE_TEST_SUITE_P(All, Peers, testing::Values(PeerKind::kMemcached, PeerKind::kRedis),
                         [](const auto& each) { return std::string(PeerName(each.param)); });

TEST(FindProgram, SaysWhereItLookedAndHowToGetIt) {
  const absl::Status status = FindProgram("no-such-program").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_NE(std::string(status.message()).find("ATOLL_NO_SUCH_PROGRAM_BINARY"), std::string::npos);
}

}  // namespace
}  // namespace atoll::bench
