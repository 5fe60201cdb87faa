// What a message costs beside the work: allocations, which are as many for a hundred keys as for
// one, and copies of values, which are one to 8 KiB and none above.
//
// Both are counted by standing in for the C library's functions, in this thread and all libraries;
// sanitizers bring functions of their own, so that there is nothing to count.
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <cstdint>
#include <string>

#include "rpc/chunks.h"
#include "server/service/operation_batch.h"
#include "tests/support/cache_nodes.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ATOLL_COUNTS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define ATOLL_COUNTS 0
#endif
#endif
#ifndef ATOLL_COUNTS
#define ATOLL_COUNTS 1
#endif

namespace {

thread_local size_t allocations = 0;
// In copies of a part of a value: 512 bytes or more at once.
thread_local size_t copied_bytes = 0;

}  // namespace

#if ATOLL_COUNTS
extern "C" {
// NOLINTBEGIN(bugprone-reserved-identifier): what the C library calls its own.
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* old, size_t size);
void* __libc_memalign(size_t alignment, size_t size);
// NOLINTEND(bugprone-reserved-identifier)

void* malloc(size_t size) {
  ++allocations;
  return __libc_malloc(size);
}
void* calloc(size_t count, size_t size) {
  ++allocations;
  return __libc_calloc(count, size);
}
void* realloc(void* old, size_t size) {
  ++allocations;
  const size_t had = old == nullptr ? 0 : malloc_usable_size(old);
  const auto was = reinterpret_cast<uintptr_t>(old);
  void* const now = __libc_realloc(old, size);
  if (had >= 512 && size >= 512 && reinterpret_cast<uintptr_t>(now) != was) {
    copied_bytes += std::min(had, size);
  }
  return now;
}
void* aligned_alloc(size_t alignment, size_t size) {
  ++allocations;
  return __libc_memalign(alignment, size);
}

void* memcpy(void* __restrict to, const void* __restrict from, size_t size) {
  if (size >= 512) copied_bytes += size;
  void* at = to;
  asm volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(size) : : "memory");
  return to;
}
void* memmove(void* to, const void* from, size_t size) {
  if (size >= 512) copied_bytes += size;
  void* at = to;
  if (reinterpret_cast<uintptr_t>(to) - reinterpret_cast<uintptr_t>(from) >= size) {
    asm volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(size) : : "memory");
  } else {  // From the last byte on: its end lies behind `from`.
    at = static_cast<char*>(at) + size - 1;
    from = static_cast<const char*>(from) + size - 1;
    asm volatile("std\n\trep movsb\n\tcld" : "+D"(at), "+S"(from), "+c"(size) : : "memory", "cc");
  }
  return to;
}
}
#endif

namespace atoll::service {
namespace {

class Cost : public ::testing::Test, public OperationBatch::Owner {
 protected:
  struct Spent {
    size_t allocations = 0;
    size_t copied_bytes = 0;
    size_t sent_bytes = 0;
  };

  void SetUp() override {
    if (ATOLL_COUNTS == 0) GTEST_SKIP() << "sanitizers bring their own malloc and memcpy";
  }

  void OnFull() override {}
  bool HasRoom() override { return true; }
  void OnFailed(const absl::Status& status) override { FAIL() << status; }
  void StartOther(std::unique_ptr<v1::Operation>) override { FAIL(); }
  void OnLate(OperationBatch::Late*, replication::OperationResult) override { FAIL(); }

  // From the message's bytes, as gRPC has them, to those of its answer.
  Spent Run(const v1::ExchangeRequest& request, size_t expect,
            uint64_t max_value_bytes = routing::kExchangeValueBytes) {
    const std::string bytes = request.SerializeAsString();
    grpc::Slice slice(bytes);
    grpc::ByteBuffer message(&slice, 1);
    batch_.input().buffer()->Swap(&message);
    CallInfo info;
    info.options.max_value_bytes = max_value_bytes;
    const size_t before = allocations;
    const size_t copied_before = copied_bytes;
    EXPECT_TRUE(batch_.Decode().ok());
    output_.Expect(expect);
    batch_.Run(info, &output_, this);
    const size_t size = output_.size();
    grpc::ByteBuffer answer = output_.Finish();
    EXPECT_TRUE(batch_.Leave());
    batch_.Clear();
    const Spent spent{allocations - before, copied_bytes - copied_before, size};
    v1::ExchangeResponse response;
    EXPECT_TRUE(
        grpc::SerializationTraits<v1::ExchangeResponse>::Deserialize(&answer, &response).ok());
    EXPECT_EQ(response.results_size(), request.operations_size());
    for (const v1::OperationResult& result : response.results()) {
      EXPECT_FALSE(result.has_error()) << result.error().message();
    }
    return spent;
  }

  static v1::ExchangeRequest Sets(int count, size_t value_bytes) {
    v1::ExchangeRequest request;
    for (int i = 0; i < count; ++i) {
      v1::Operation& operation = *request.add_operations();
      operation.set_id(static_cast<uint64_t>(i));
      operation.mutable_set()->set_key("key " + std::to_string(i));
      operation.mutable_set()->set_value(std::string(value_bytes, 'v'));
    }
    return request;
  }
  static v1::ExchangeRequest Gets(int count) {
    v1::ExchangeRequest request;
    for (int i = 0; i < count; ++i) {
      v1::Operation& operation = *request.add_operations();
      operation.set_id(static_cast<uint64_t>(i));
      operation.mutable_get()->set_key("key " + std::to_string(i));
    }
    return request;
  }
  static v1::ExchangeRequest MultiGet(int count) {
    v1::ExchangeRequest request;
    v1::Operation& operation = *request.add_operations();
    for (int i = 0; i < count; ++i)
      operation.mutable_multi_get()->add_keys("key " + std::to_string(i));
    return request;
  }
  static v1::ExchangeRequest MultiDelete(int count) {
    v1::ExchangeRequest request;
    v1::Operation& operation = *request.add_operations();
    for (int i = 0; i < count; ++i)
      operation.mutable_multi_delete()->add_keys("key " + std::to_string(i));
    return request;
  }
  static v1::ExchangeRequest MultiSet(int count) {
    v1::ExchangeRequest request;
    v1::Operation& operation = *request.add_operations();
    for (int i = 0; i < count; ++i) {
      v1::MultiSetEntry& entry = *operation.mutable_multi_set()->add_entries();
      entry.set_key("key " + std::to_string(i));
      entry.set_value(std::string(100, 'v'));
    }
    return request;
  }

  test::CacheNodes nodes_;
  OperationBatch batch_{&nodes_.handler(0)};
  wire::Output output_;
};

TEST_F(Cost, AMessageOfAHundredKeysAllocatesAsOftenAsOneOfOne) {
  using Make = v1::ExchangeRequest (*)(int);
  const Make set_100 = [](int count) { return Sets(count, 100); };
  const std::pair<const char*, Make> kinds[] = {{"set", set_100},
                                                {"get", &Gets},
                                                {"multi set", &MultiSet},
                                                {"multi get", &MultiGet},
                                                {"multi delete", &MultiDelete}};
  for (const auto& [name, make] : kinds) {
    SCOPED_TRACE(name);
    // The first ones make what the later ones use again.
    for (int i = 0; i < 3; ++i) Run(make(100), 32 << 10);
    const Spent one = Run(make(1), 32 << 10);
    const Spent hundred = Run(make(100), 32 << 10);
    RecordProperty(name, static_cast<int>(one.allocations));
    EXPECT_EQ(hundred.allocations, one.allocations);
    EXPECT_LE(one.allocations, 4u);
    // Those that were deleted before are misses.
    EXPECT_GT(hundred.sent_bytes, 100u * (make == &MultiDelete ? 8 : 10));
  }
}

TEST_F(Cost, AValueIsCopiedOnceOnItsWayInAndAtMostOnceOnItsWayOut) {
  for (const size_t size : {1000, 5003, 8192}) {
    SCOPED_TRACE(size);
    EXPECT_EQ(Run(Sets(10, size), 4096).copied_bytes, 10 * size);
    EXPECT_EQ(Run(Gets(10), 100 << 10).copied_bytes, 10 * size);
    // Nor where the message turns out larger than expected.
    EXPECT_EQ(Run(Gets(10), 0).copied_bytes, 10 * size);
    EXPECT_EQ(Run(MultiGet(10), 0).copied_bytes, 10 * size);
  }
  for (const size_t size : {8193, 20'011, 65'536}) {
    SCOPED_TRACE(size);
    EXPECT_EQ(Run(Sets(3, size), 4096).copied_bytes, 3 * size);
    const Spent gets = Run(Gets(3), 0);
    EXPECT_EQ(gets.copied_bytes, 0u);
    EXPECT_GT(gets.sent_bytes, 3 * size);
    EXPECT_EQ(Run(MultiGet(3), 0).copied_bytes, 0u);
  }
  // As unary calls and streams for large values have them: to 1 MiB.
  for (const size_t size : {66'500, 300'007, 1 << 20}) {
    SCOPED_TRACE(size);
    const uint64_t most = routing::kUnaryValueBytes;
    EXPECT_EQ(Run(Sets(3, size), 4096, most).copied_bytes, 3 * size);
    const Spent gets = Run(Gets(3), 0, most);
    // But for the list of their pieces, which grows.
    EXPECT_LT(gets.copied_bytes, 4096u);
    EXPECT_GT(gets.sent_bytes, 3 * size);
  }
}

TEST_F(Cost, AValueLeavesInChunksWithoutACopy) {
  for (const size_t size : {100'003, 1 << 20, 5'000'011}) {
    SCOPED_TRACE(size);
    v1::SetRequest set;
    set.set_key("k");
    const std::string value(size, 'v');
    const std::string_view pieces[] = {value};
    v1::SetResponse stored;
    const size_t copied_before = copied_bytes;
    nodes_.handler(0).Store(set, pieces, {}, &stored,
                            [](const absl::Status& status) { EXPECT_TRUE(status.ok()) << status; });
    EXPECT_EQ(stored.outcome(), v1::OUTCOME_OK);
    EXPECT_EQ(copied_bytes - copied_before, size);

    // What GetStream makes of it.
    v1::GetRequest get;
    get.set_key("k");
    size_t sent = 0;
    const size_t copied_between = copied_bytes;
    nodes_.handler(0).Read(get, {}, [&](const replication::OperationResult& result) {
      ASSERT_TRUE(result.status.ok()) << result.status;
      ASSERT_NE(result.value.owner(), nullptr);
      rpc::ChunkCutter cutter(result.value.pieces());
      for (auto chunk = cutter.Next(); !chunk.empty(); chunk = cutter.Next()) {
        sent += rpc::EncodeChunk(chunk, result.value.owner()).Length();
      }
    });
    EXPECT_GT(sent, size);
    EXPECT_EQ(copied_bytes - copied_between, 0u);
  }
}

}  // namespace
}  // namespace atoll::service
