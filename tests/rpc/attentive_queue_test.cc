#include "rpc/attentive_queue.h"

#include <grpcpp/alarm.h>
#include <gtest/gtest.h>

#include <thread>

namespace atoll::rpc {
namespace {

using Status = grpc::CompletionQueue::NextStatus;
constexpr auto kForever = AttentiveQueue::Time::max();

class AttentiveQueueTest : public testing::Test {
 protected:
  ~AttentiveQueueTest() override {
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
    }
  }

  static AttentiveQueue::Time Soon(int64_t us) {
    return std::chrono::system_clock::now() + std::chrono::microseconds(us);
  }

  grpc::CompletionQueue queue_;
  AttentiveQueue attentive_{&queue_};
  void* tag_ = nullptr;
  bool ok_ = false;
};

TEST_F(AttentiveQueueTest, BringsWhatTheQueueHas) {
  grpc::Alarm alarm;
  alarm.Set(&queue_, Soon(0), this);
  EXPECT_EQ(attentive_.Next(kForever, &tag_, &ok_), Status::GOT_EVENT);
  EXPECT_EQ(tag_, this);
  EXPECT_TRUE(ok_);
}

TEST_F(AttentiveQueueTest, ItsDeadlineComes) {
  EXPECT_EQ(attentive_.Next(Soon(-1), &tag_, &ok_), Status::TIMEOUT);
  EXPECT_EQ(attentive_.Next(Soon(1000), &tag_, &ok_), Status::TIMEOUT);
}

TEST_F(AttentiveQueueTest, TellsOfTheQueuesEnd) {
  std::thread other([this] { queue_.Shutdown(); });
  EXPECT_EQ(attentive_.Next(kForever, &tag_, &ok_), Status::SHUTDOWN);
  other.join();
}

// One that looks.
Looks Looking() {
  Looks looks;
  for (int i = 0; i < Looks::kFewest; ++i) looks.Slept(absl::Microseconds(30));
  return looks;
}

TEST_F(AttentiveQueueTest, WhoLooksIsBroughtTheSame) {
  AttentiveQueue attentive(&queue_, Looking());
  grpc::Alarm alarm;
  alarm.Set(&queue_, Soon(0), this);
  EXPECT_EQ(attentive.Next(kForever, &tag_, &ok_), Status::GOT_EVENT);
  EXPECT_EQ(tag_, this);
  EXPECT_EQ(attentive.Next(Soon(-1), &tag_, &ok_), Status::TIMEOUT);
  std::thread other([this] { queue_.Shutdown(); });
  EXPECT_EQ(attentive.Next(kForever, &tag_, &ok_), Status::SHUTDOWN);
  other.join();
}

TEST_F(AttentiveQueueTest, WhoLooksInVainSleepsAfterwards) {
  AttentiveQueue attentive(&queue_, Looking());
  absl::Duration before = absl::ZeroDuration();
  for (int i = 0; i < Looks::kCredit / Looks::kFindsPerMiss; ++i) {
    EXPECT_EQ(attentive.Next(Soon(1000), &tag_, &ok_), Status::TIMEOUT);
    EXPECT_GE(attentive.looked(), before + Looks::kMost);
    before = attentive.looked();
  }
  EXPECT_EQ(attentive.Next(Soon(1000), &tag_, &ok_), Status::TIMEOUT);
  EXPECT_EQ(attentive.looked(), before);
}

}  // namespace
}  // namespace atoll::rpc
