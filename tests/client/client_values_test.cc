// The client and large values: by a stream of their own, in chunks, shared by those who read them
// at once.
#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "tests/client/client_test_util.h"

namespace atoll {
namespace {

using test::FakeAnswer;

class ClientValues : public ClientTest {};

TEST_F(ClientValues, AHundredReadersOfALargeValueReadItOnceAndShareIt) {
  Client& client = Connect();
  const std::string key = KeyOf(1);
  const std::string large(5 << 20, 'x');
  ASSERT_TRUE(client.Set(key, large).ok());
  ASSERT_EQ(cluster_.Find("default", key)->value.size(), large.size());
  Door door;
  std::atomic<int> streams{0};
  nodes_[1]->SetHook([&](const v1::Operation& op) -> std::optional<FakeAnswer> {
    // Comes first by the batch stream, then by one of its own.
    if (op.has_get() && op.id() != 0) door.Pass();
    if (op.has_get() && op.id() == 0) ++streams;
    return std::nullopt;
  });
  constexpr size_t kReaders = 100;
  base::Mutex mu;
  base::CondVar changed;
  std::vector<Value> values;
  const auto keep = [&](absl::StatusOr<GetResult> got) {
    ASSERT_TRUE(got.ok()) << got.status();
    base::MutexLock lock(mu);
    values.push_back(got->value);
    changed.SignalAll();
  };
  client.GetAsync(key, {}, keep);
  door.WaitForArrivals(1);
  for (size_t i = 1; i < kReaders; ++i) client.GetAsync(key, {}, keep);
  const int64_t before = cluster_.values_read();
  door.Open();
  base::MutexLock lock(mu);
  while (values.size() < kReaders) changed.Wait(mu);
  EXPECT_EQ(cluster_.values_read() - before, 1);
  EXPECT_EQ(streams, 1);  // The second flight was a revalidation.
  for (const Value& value : values) {
    EXPECT_EQ(value.size(), large.size());
    EXPECT_TRUE(value.SharesWith(values[0]));
  }
}

TEST_F(ClientValues, AValueThatGrowsAboveWhatOneMessageHoldsComesInChunks) {
  Client& client = Connect();
  const std::string key = KeyOf(1);
  ASSERT_TRUE(client.Set(key, std::string(1 << 20, 'x')).ok());
  const std::string larger((1 << 20) + 1, 'y');
  std::atomic<int> calls{0};
  nodes_[1]->SetHook([&](const v1::Operation& op) -> std::optional<FakeAnswer> {
    // The stream for small ones told its size.
    const bool larger_than_small = test::FakeCacheNode::ForLargeValues() || op.id() == 0;
    if (op.has_get() && larger_than_small && calls++ == 0) {
      v1::SetRequest set;
      set.set_namespace_("default");
      set.set_key(key);
      set.set_value(larger);
      cluster_.Store(set);
    }
    return std::nullopt;
  });
  const auto got = client.Get(key);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_TRUE(got->value.view() == larger);
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(client.stats().retries, 0u);
}

TEST_F(ClientValues, AValueThatWasLargeIsAskedForWhereItIsAnswered) {
  Client& client = Connect();
  const std::string key = KeyOf(1);
  const std::string large(200'000, 'x');
  std::atomic<int> messages{0};
  std::atomic<int> calls{0};
  nodes_[1]->SetHook([&](const v1::Operation& op) -> std::optional<FakeAnswer> {
    if (op.has_get()) ++(test::FakeCacheNode::ForLargeValues() ? calls : messages);
    return std::nullopt;
  });
  const auto expect = [&](std::string_view value, int more_messages, int more_calls) {
    const int messages_before = messages;
    const int calls_before = calls;
    const auto got = client.Get(key);
    ASSERT_TRUE(got.ok()) << got.status();
    EXPECT_TRUE(got->value.view() == value);
    EXPECT_EQ(messages - messages_before, more_messages);
    EXPECT_EQ(calls - calls_before, more_calls);
  };
  ASSERT_TRUE(client.Set(key, large).ok());
  expect(large, 1, 1);
  expect(large, 0, 1);
  // As soon as it is small it goes with others again.
  ASSERT_TRUE(client.Set(key, "small").ok());
  expect("small", 0, 1);
  expect("small", 1, 0);
  ASSERT_TRUE(client.Set(key, large).ok());
  expect(large, 1, 1);
  ASSERT_TRUE(client.Delete(key).ok());
  const auto gone = client.Get(key);
  ASSERT_TRUE(gone.ok()) << gone.status();
  EXPECT_EQ(gone->outcome, Outcome::kMiss);
}

TEST_F(ClientValues, ANodeThatKnowsNoStreamForLargeValuesIsAskedForChunks) {
  nodes_[1]->IgnoreValueLimits();
  Client& client = Connect();
  const std::string key = KeyOf(1);
  const std::string large(200'000, 'x');
  ASSERT_TRUE(client.Set(key, large).ok());
  for (int i = 0; i < 2; ++i) {
    const auto got = client.Get(key);
    ASSERT_TRUE(got.ok()) << got.status();
    EXPECT_TRUE(got->value.view() == large);
  }
  EXPECT_EQ(client.stats().retries, 0u);
}

// That its value is large is no failure, of the tries that a call has.
TEST_F(ClientValues, ACutStreamOfLargeValuesIsAskedAgain) {
  Client& client = Connect({.max_attempts = 2});
  const std::string key = KeyOf(1);
  const std::string large(1 << 20, 'x');
  ASSERT_TRUE(client.Set(key, large).ok());
  std::atomic<int> asked{0};
  nodes_[1]->SetHook([&](const v1::Operation& op) -> std::optional<FakeAnswer> {
    if (op.has_get() && test::FakeCacheNode::ForLargeValues() && asked++ == 0) {
      return FakeAnswer{.cut = true};
    }
    return std::nullopt;
  });
  const auto got = client.Get(key);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_TRUE(got->value.view() == large);
  EXPECT_EQ(client.stats().retries, 1u);
}

TEST_F(ClientValues, LargeValuesThatTakeTooLongSayNothingAboutTheirNode) {
  Client& client = Connect();
  const std::string key = KeyOf(1);
  ASSERT_TRUE(client.Set(key, std::string(1 << 20, 'x')).ok());
  ASSERT_TRUE(client.Set(KeyOf(1, 3, 1), "small").ok());
  ASSERT_TRUE(client.Get(key).ok());  // From now on no small answer comes between.
  nodes_[1]->SetHook([&](const v1::Operation& op) -> std::optional<FakeAnswer> {
    if (op.has_get() && test::FakeCacheNode::ForLargeValues()) return FakeAnswer{.drop = true};
    return std::nullopt;
  });
  // As many in a row as would have it left alone.
  for (int i = 0; i < 6; ++i) {
    const auto got = client.Get(key, {.timeout = absl::Milliseconds(20)});
    EXPECT_EQ(got.status().code(), absl::StatusCode::kDeadlineExceeded) << got.status();
  }
  const auto small = client.Get(KeyOf(1, 3, 1));
  ASSERT_TRUE(small.ok()) << small.status();
  EXPECT_EQ(client.stats().through_others, 0u);
}

// Each keeps the message that it came by, whatever comes on the stream behind it.
TEST_F(ClientValues, LargeValuesOutliveTheStreamThatBroughtThem) {
  Client& client = Connect();
  constexpr int kValues = 40;
  const auto value_of = [](int i) {
    std::string value(static_cast<size_t>(64 << 10) + 1 + static_cast<size_t>(i) * 25'000, 'a');
    for (size_t at = 0; at < value.size(); at += 1000) {
      value[at] = static_cast<char>('b' + (i + static_cast<int>(at / 1000)) % 20);
    }
    return value;
  };
  std::vector<std::string> keys;
  for (int i = 0; i < kValues; ++i) {
    keys.push_back(KeyOf(1, 3, i));
    cluster_.Put("default", keys.back(), {.value = value_of(i)});
  }
  std::vector<Value> values(kValues);
  base::Mutex mu;
  base::CondVar changed;
  for (int round = 0; round < 2;
       ++round) {  // The second by the stream for large ones from the start.
    int done = 0;
    for (int i = 0; i < kValues; ++i) {
      client.GetAsync(keys[static_cast<size_t>(i)], {}, [&, i](absl::StatusOr<GetResult> got) {
        ASSERT_TRUE(got.ok()) << got.status();
        base::MutexLock lock(mu);
        values[static_cast<size_t>(i)] = std::move(got->value);
        ++done;
        changed.SignalAll();
      });
    }
    base::MutexLock lock(mu);
    while (done < kValues) changed.Wait(mu);
  }
  client_.reset();
  for (int i = 0; i < kValues; ++i) {
    EXPECT_TRUE(values[static_cast<size_t>(i)].view() == value_of(i)) << i;
  }
}

TEST_F(ClientValues, LargeValuesGoBothWays) {
  Client& client = Connect();
  std::string large(10 << 20, 0);
  for (size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 2654435761u >> 13);
  ASSERT_TRUE(client.Set("large", large, {.flags = 3}).ok());
  const auto got = client.Get("large");
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_TRUE(got->value.view() == large);
  EXPECT_EQ(got->flags, 3u);
  EXPECT_EQ(client.stats().streamed, 2u);
}

}  // namespace
}  // namespace atoll
