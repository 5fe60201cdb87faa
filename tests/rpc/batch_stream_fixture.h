// A fake node and a stream to it, for tests of the calling side of Exchange.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "atoll/v1/cache.pb.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "rpc/batch_stream.h"
#include "rpc/channel.h"
#include "rpc/completion_queue.h"
#include "rpc/timers.h"
#include "tests/support/fake_cache_node.h"

namespace atoll::rpc {

inline absl::Duration In(absl::Duration delay) { return base::Clock::Real().BootTime() + delay; }

inline OperationBytes SetOf(const std::string& key, const std::string& value) {
  v1::Operation op;
  op.mutable_set()->set_key(key);
  op.mutable_set()->set_value(value);
  return EncodeOperation(op);
}

inline OperationBytes GetOf(const std::string& key) {
  v1::Operation op;
  op.mutable_get()->set_key(key);
  return EncodeOperation(op);
}

// An answer that a test waits for.
class Answer {
 public:
  BatchStream::Done Fill() {
    return [this](BatchReply reply) {
      base::MutexLock lock(mu_);
      EXPECT_FALSE(done_) << "answered twice";
      status_ = reply.status;
      fate_ = reply.fate;
      if (reply.result != nullptr) result_ = *reply.result;
      done_ = true;
      changed_.SignalAll();
    };
  }
  void Wait() {
    base::MutexLock lock(mu_);
    while (!done_) changed_.Wait(mu_);
  }
  absl::Status status() {
    Wait();
    base::MutexLock lock(mu_);
    return status_;
  }
  Fate fate() {
    Wait();
    base::MutexLock lock(mu_);
    return fate_;
  }
  v1::OperationResult result() {
    Wait();
    base::MutexLock lock(mu_);
    return result_;
  }
  bool done() {
    base::MutexLock lock(mu_);
    return done_;
  }

 private:
  base::Mutex mu_;
  base::CondVar changed_;
  bool done_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mu_);
  Fate fate_ ABSL_GUARDED_BY(mu_) = Fate::kNotSent;
  v1::OperationResult result_ ABSL_GUARDED_BY(mu_);
};

class BatchStreamTest : public testing::Test {
 protected:
  BatchStreamTest() : node_(&cluster_, "n1"), poller_("test"), timers_(poller_.queue()) {
    node_.Start();
    poller_.Start();
    cluster_.SetMap(test::MapOf({&node_}, 1));
  }
  ~BatchStreamTest() override {
    if (stream_ != nullptr) stream_->Stop();
    timers_.Stop();
    poller_.Stop();
    for (std::thread& helper : helpers_) helper.join();
  }
  // More threads for the queue.
  void ServeWith(int helpers) {
    for (int i = 0; i < helpers; ++i) {
      helpers_.emplace_back([queue = poller_.queue()] {
        void* tag = nullptr;
        bool ok = false;
        while (queue->Next(&tag, &ok)) Finish(tag, ok);
      });
    }
  }
  BatchStream& Stream(BatchStreamOptions options = {}) {
    stream_ = std::make_unique<BatchStream>(MakeChannel(node_.address()), poller_.queue(), &timers_,
                                            options);
    return *stream_;
  }
  // Starts until the answer is not one of the pause after a failure.
  absl::Status StartUntilConnected(BatchStream& stream) {
    const absl::Duration deadline = In(absl::Seconds(20));
    absl::Status status;
    while (base::Clock::Real().BootTime() < deadline) {
      Answer answer;
      stream.Start(GetOf("probe"), In(absl::Seconds(10)), answer.Fill());
      status = answer.status();
      if (status.ok()) break;
      std::this_thread::yield();
    }
    return status;
  }

  test::FakeCacheCluster cluster_;
  test::FakeCacheNode node_;
  Poller poller_;
  Timers timers_;
  std::unique_ptr<BatchStream> stream_;
  std::vector<std::thread> helpers_;
};

// A get of "k" that notes its end, from where `at_end` goes on.
class Noted final : public BatchOperation {
 public:
  Noted() {
    head = *bytes_;
    deadline = In(absl::Seconds(600));
  }
  std::function<void()> at_end;
  int ends = 0;
  absl::StatusCode code = absl::StatusCode::kOk;

 private:
  void OnEnd(BatchEnd& end) override {
    ++ends;
    code = end.status.code();
    if (at_end) at_end();
  }
  const OperationBytes bytes_ = GetOf("k");
};

}  // namespace atoll::rpc
