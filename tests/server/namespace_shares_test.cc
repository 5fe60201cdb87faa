#include "server/namespace_shares.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/server/store/store_test_util.h"
#include "tests/support/fake_cluster_view.h"

namespace atoll::server {
namespace {

using store::KeyIn;

constexpr base::PartitionId kPartition{5};
constexpr base::NamespaceId kMine{7};
constexpr base::NamespaceId kOther{8};
constexpr uint64_t kMemory = uint64_t{64} << 20;

v1::NamespaceSettings Settings(uint32_t min_percent, uint32_t max_percent) {
  v1::NamespaceSettings settings;
  settings.set_min_memory_percent(min_percent);
  settings.set_max_memory_percent(max_percent);
  return settings;
}

class NamespaceSharesTest : public testing::Test {
 protected:
  NamespaceSharesTest() {
    store::StoreOptions options;
    options.memory_bytes = kMemory;
    options.clock = &clock_;
    store_ = *store::Store::Create(options);
    store_->OpenPartition(kPartition);
    store_->SetCommitted(kPartition, base::Version(~uint64_t{0}));
    shares_ = std::make_unique<NamespaceShares>(&view_, store_.get());
    view_.AddListener(shares_.get());
  }

  // Writes values of 1 KB; the bytes that those hold which are left.
  uint64_t Fill(base::NamespaceId ns, int values) {
    const std::string value(1000, 'v');
    const std::string_view piece = value;
    const auto key = [&](int i, std::string* name) {
      *name = "k" + std::to_string(i);
      return KeyIn(kPartition, *name, ns);
    };
    std::string name;
    for (int i = 0; i < values; ++i) {
      store_->Put(key(i, &name), {.version = base::Version(++version_)},
                  absl::MakeConstSpan(&piece, 1));
    }
    return Held(ns, values);
  }
  uint64_t Held(base::NamespaceId ns, int values) {
    uint64_t held = 0;
    store::ReadBuffer buffer;
    for (int i = 0; i < values; ++i) {
      const std::string name = "k" + std::to_string(i);
      buffer.Reset();
      const store::Found found =
          store_->Find(KeyIn(kPartition, name, ns), {.touch = false}, buffer);
      if (found.presence == store::Presence::kPresent) held += 1000 + name.size() + 32;
    }
    return held;
  }

  base::FakeClock clock_;
  test::FakeClusterView view_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<NamespaceShares> shares_;
  uint64_t version_ = 0;
};

TEST_F(NamespaceSharesTest, TheStoreKeepsToWhatTheSettingsSay) {
  view_.SetNamespace("mine", kMine.value(), Settings(0, 20));
  EXPECT_LT(Fill(kMine, 100'000), kMemory / 100 * 23);
  // The limit is taken back.
  view_.SetNamespace("mine", kMine.value(), Settings(0, 0));
  EXPECT_GT(Fill(kMine, 100'000), kMemory / 100 * 70);
}

TEST_F(NamespaceSharesTest, AMinimumIsTold) {
  view_.SetNamespace("mine", kMine.value(), Settings(10, 0));
  view_.SetNamespace("other", kOther.value());
  const uint64_t before = Fill(kMine, 5000);
  EXPECT_GT(before, 5'000'000u);
  Fill(kOther, 150'000);
  EXPECT_GT(Held(kMine, 5000), before / 100 * 98);
}

}  // namespace
}  // namespace atoll::server
