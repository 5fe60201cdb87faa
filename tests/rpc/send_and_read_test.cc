// Messages of a paced stream that take the read of the next answers with them: whatever becomes of
// those, nobody is held up, and everything ends.
#include "rpc/send_and_read.h"

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include "tests/rpc/batch_stream_fixture.h"
#include "tests/support/door.h"

namespace atoll::rpc {
namespace {

// Operations of which each that is answered starts the next, so many at once.
class Chains {
 public:
  Chains(BatchStream* stream, size_t at_once, size_t rounds) : stream_(stream) {
    for (size_t r = 0; r < rounds; ++r) rounds_.emplace_back(at_once);
    for (size_t r = 0; r < rounds; ++r) {
      for (size_t i = 0; i < at_once; ++i) {
        Noted* const next = r + 1 < rounds ? &rounds_[r + 1][i] : nullptr;
        rounds_[r][i].at_end = [this, &ended = rounds_[r][i], next] {
          if (ended.code == absl::StatusCode::kOk && next != nullptr) Start(next);
          left_.fetch_sub(1);
        };
      }
    }
  }
  void Start() {
    for (Noted& first : rounds_[0]) Start(&first);
  }
  // Those that have not ended.
  int64_t left() const { return left_.load(); }

 private:
  void Start(Noted* operation) {
    left_.fetch_add(1);
    stream_->StartSoon(operation);
  }

  BatchStream* const stream_;
  std::atomic<int64_t> left_{0};
  std::deque<std::vector<Noted>> rounds_;
};

// Operations on "k" go by messages that take the next read with them.
class ReadsWithMessagesTest : public BatchStreamTest {
 protected:
  static constexpr size_t kAtOnce = 64;
  static constexpr size_t kRounds = 40;
  static constexpr int64_t kAnswered = kAtOnce * kRounds / 2;

  ~ReadsWithMessagesTest() override {
    door_.Open();
    stream_->Stop();
    node_.Stop();
  }
  // The first kAnswered are, the others as `then` says.
  void Run(const std::function<test::FakeAnswer()>& then) {
    node_.SetHook([this, then](const v1::Operation& operation) -> std::optional<test::FakeAnswer> {
      if (operation.get().key() != "k") return std::nullopt;
      if (++arrived_ > kAnswered) return then();
      // Answered when the next message is under way, too: nothing may be sent after that.
      while (stream_->messages() <= static_cast<uint64_t>(node_.messages()) && Lasts()) {
        std::this_thread::yield();
      }
      return std::nullopt;
    });
    chains_.Start();
  }
  void RunUntilTheNodeIsHeldUp() {
    Run([this] {
      door_.Pass();
      return test::FakeAnswer{.drop = true};
    });
    door_.WaitForArrivals(1);
    EXPECT_GT(node_.awaiting_messages(), 0);
  }
  bool Lasts() const { return base::Clock::Real().BootTime() < deadline_; }
  void WaitUntil(const std::function<bool()>& so) const {
    while (!so() && Lasts()) std::this_thread::yield();
    EXPECT_TRUE(so());
  }

  const absl::Duration deadline_ = In(absl::Seconds(20));
  std::atomic<int64_t> arrived_{0};
  test::Door door_;
  // All answers are in time, however slow the machine.
  Chains chains_{&Stream({.paced = true, .patience = absl::Milliseconds(300)}), kAtOnce, kRounds};
};

TEST_F(ReadsWithMessagesTest, HoldUpNobodyWhereAllOfAMessageWaits) {
  Run([] { return test::FakeAnswer{.drop = true}; });
  WaitUntil([this] { return arrived_ >= kAnswered + static_cast<int64_t>(kAtOnce); });
  Answer live;
  stream_->Start(GetOf("live"), deadline_, live.Fill());
  EXPECT_TRUE(live.status().ok()) << live.status();
  EXPECT_GT(node_.awaiting_messages(), 0);
}

TEST_F(ReadsWithMessagesTest, EndWithACutStreamAndTheNextConnects) {
  RunUntilTheNodeIsHeldUp();
  node_.CutStreams();
  WaitUntil([this] { return chains_.left() == 0; });
  door_.Open();
  EXPECT_TRUE(StartUntilConnected(*stream_).ok());
}

TEST_F(ReadsWithMessagesTest, EndWhereTheStreamIsStopped) {
  RunUntilTheNodeIsHeldUp();
  stream_->Stop();
  EXPECT_EQ(chains_.left(), 0);
}

}  // namespace
}  // namespace atoll::rpc
