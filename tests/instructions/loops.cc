// Loops of the data path in one thread, each in a function of its own, for .ci/instructions: it
// runs this under callgrind and compares how many instructions each function took with what is
// written in `baseline`. Counts, unlike times, are the same on a busy machine.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "base/clock.h"
#include "base/hash.h"
#include "rpc/wire/decode.h"
#include "rpc/wire/encode.h"
#include "server/store/store.h"

namespace atoll::instructions {
namespace {

constexpr int kRounds = 200;
constexpr size_t kBatch = 100;
constexpr size_t kEntries = 20'000;
constexpr base::NamespaceId kNamespace{1};

[[noreturn]] void Fail(const char* what) {
  std::fprintf(stderr, "instructions: %s\n", what);
  std::abort();
}

std::vector<std::string> MakeKeys() {
  std::vector<std::string> keys;
  keys.reserve(kEntries);
  for (size_t i = 0; i < kEntries; ++i) {
    std::string key = std::to_string(i * 2654435761u % 1'000'000'007u);
    key.resize(20, '.');
    keys.push_back(std::move(key));
  }
  return keys;
}

std::unique_ptr<store::Store> MakeStore() {
  absl::StatusOr<std::unique_ptr<store::Store>> store = store::Store::Create(
      {.memory_bytes = uint64_t{64} << 20, .cores = 2, .clock = &base::Clock::Real()});
  if (!store.ok()) Fail("no store");
  (*store)->NameNamespace(kNamespace, "default");
  for (uint32_t p = 0; p < base::kPartitionCount; ++p) {
    (*store)->OpenPartition(base::PartitionId(static_cast<uint16_t>(p)));
    (*store)->SetCommitted(base::PartitionId(static_cast<uint16_t>(p)),
                           base::Version(~uint64_t{0}));
  }
  return *std::move(store);
}

store::Key KeyOf(std::string_view key) { return {kNamespace, key, base::HashKey("default", key)}; }

// What the loops work on.
struct Fixture {
  const std::vector<std::string> keys = MakeKeys();
  const std::string value = std::string(100, 'v');
  std::unique_ptr<store::Store> store = MakeStore();
  uint64_t version = 0;
  wire::Input input;
  std::string message;

  std::vector<std::string_view> Batch(int round) const {
    std::vector<std::string_view> batch(kBatch);
    for (size_t i = 0; i < kBatch; ++i) {
      batch[i] = keys[(static_cast<size_t>(round) * kBatch + i * 7) % kEntries];
    }
    return batch;
  }
};

void PutAll(Fixture& f, size_t from, size_t to) {
  const std::string_view piece = f.value;
  for (size_t i = from; i < to; ++i) {
    const store::EntryMeta meta{.version = base::Version(++f.version), .expiry = 4'000'000'000};
    if (f.store->Put(KeyOf(f.keys[i]), meta, {&piece, 1}) != store::WriteResult::kApplied) {
      Fail("a put that was not applied");
    }
  }
}

}  // namespace

extern "C" {

// New entries, until all are there.
[[gnu::noinline]] void atoll_loop_put_new(Fixture& f) { PutAll(f, 0, kEntries); }

// The same entries again.
[[gnu::noinline]] void atoll_loop_put_again(Fixture& f) { PutAll(f, 0, kEntries); }

// Hash, look up and copy out a hundred keys at a time.
[[gnu::noinline]] void atoll_loop_find_batch(Fixture& f) {
  store::ReadBuffer buffer;
  std::vector<store::Key> places(kBatch);
  std::vector<store::Found> found(kBatch);
  for (int round = 0; round < kRounds; ++round) {
    const std::vector<std::string_view> batch = f.Batch(round);
    for (size_t i = 0; i < kBatch; ++i) places[i] = KeyOf(batch[i]);
    buffer.Reset();
    f.store->FindBatch(places, {}, buffer, absl::MakeSpan(found));
    if (found[kBatch - 1].presence != store::Presence::kPresent) Fail("a key that is not there");
  }
}

// The same, but that each value goes where the caller says.
[[gnu::noinline]] void atoll_loop_find_each(Fixture& f) {
  struct Sink final : store::FindSink {
    bool Begin(size_t) override { return true; }
    char* Place(size_t, const store::EntryMeta&, size_t size) override {
      char* const place = next;
      next += size;
      return place;
    }
    void End(size_t, store::Found& found) override {
      present += found.presence == store::Presence::kPresent ? 1 : 0;
    }
    char* next = nullptr;
    size_t present = 0;
  } sink;
  std::string out(kBatch * f.value.size(), '\0');
  std::vector<store::Key> places(kBatch);
  for (int round = 0; round < kRounds; ++round) {
    const std::vector<std::string_view> batch = f.Batch(round);
    for (size_t i = 0; i < kBatch; ++i) places[i] = KeyOf(batch[i]);
    sink.next = out.data();
    sink.present = 0;
    f.store->FindEach(places, {}, sink);
    if (sink.present != kBatch) Fail("keys that are not there");
  }
}

// A message of a hundred gets, written as the client does.
[[gnu::noinline]] void atoll_loop_write_gets(Fixture& f) {
  for (int round = 0; round < kRounds; ++round) {
    f.message.resize(kBatch * 64);
    auto* const begin = reinterpret_cast<uint8_t*>(f.message.data());
    uint8_t* out = wire::WriteRefuseWrongOwner(begin);
    uint64_t id = static_cast<uint64_t>(round) * kBatch;
    for (const std::string_view key : f.Batch(round)) {
      const wire::GetRequest get{.key = key};
      const size_t size = wire::Size(get);
      out = wire::WriteOperationFrame(++id, 1000, wire::BodySize(size), out);
      out = wire::WriteBodyHead(wire::Kind::kGet, size, out);
      out = wire::Write(get, out);
    }
    f.message.resize(static_cast<size_t>(out - begin));
  }
}

// The last of them, read as the server does.
[[gnu::noinline]] void atoll_loop_read_gets(Fixture& f) {
  for (int round = 0; round < kRounds; ++round) {
    const std::string_view piece = f.message;
    f.input.Load({&piece, 1});
    wire::RequestReader reader(f.input);
    wire::Operation operation;
    size_t count = 0;
    while (reader.Next(&operation) == wire::Step::kItem) {
      count += operation.kind == wire::Kind::kGet ? 1 : 0;
    }
    if (count != kBatch) Fail("gets that were not read by hand");
  }
}

// A message of a hundred answers with values, written as the server does.
[[gnu::noinline]] void atoll_loop_write_answers(Fixture& f) {
  for (int round = 0; round < kRounds; ++round) {
    f.message.resize(kBatch * (f.value.size() + wire::kMaxHeadSize));
    auto* const begin = reinterpret_cast<uint8_t*>(f.message.data());
    uint8_t* out = begin;
    for (uint64_t id = 1; id <= kBatch; ++id) {
      const wire::GetResponse get{.outcome = 1,
                                  .value = {.bytes = f.value},
                                  .version = (uint64_t{1} << 40) + id,
                                  .ttl_ms = 86'400'000};
      const size_t size = wire::Size(get);
      out = wire::WriteResultFrame(id, wire::BodySize(size), out);
      out = wire::WriteBodyHead(wire::Kind::kGet, size, out);
      out = wire::Write(get, out);
    }
    f.message.resize(static_cast<size_t>(out - begin));
  }
}

// The last of them, read as the client does.
[[gnu::noinline]] void atoll_loop_read_answers(Fixture& f) {
  for (int round = 0; round < kRounds; ++round) {
    const std::string_view piece = f.message;
    f.input.Load({&piece, 1});
    wire::ResponseReader reader(f.input);
    wire::Result result;
    size_t bytes = 0;
    while (reader.Next(&result) == wire::Step::kItem) bytes += result.get.value.size();
    if (bytes != kBatch * f.value.size()) Fail("answers that were not read by hand");
  }
}

}  // extern "C"

}  // namespace atoll::instructions

int main() {
  using namespace atoll::instructions;  // NOLINT(google-build-using-namespace): this function alone
  Fixture f;
  atoll_loop_put_new(f);
  atoll_loop_put_again(f);
  atoll_loop_find_batch(f);
  atoll_loop_find_each(f);
  atoll_loop_write_gets(f);
  atoll_loop_read_gets(f);
  atoll_loop_write_answers(f);
  atoll_loop_read_answers(f);
  return 0;
}
