// A batch of look-ups: every kind of entry beside every other, keys that share partitions.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "server/store/store.h"
#include "tests/server/store/store_test_util.h"

namespace atoll::store {
namespace {

using base::NamespaceId;
using base::PartitionId;
using base::Version;

constexpr NamespaceId kNamed{2};
constexpr NamespaceId kFlushed{3};
constexpr int kPartitions = 5;

class StoreBatch : public OneStoreTest {
 protected:
  void SetUp() override {
    OneStoreTest::SetUp();
    store_->NameNamespace(kNamed, "named");
    store_->NameNamespace(kFlushed, "flushed");
    for (int p = 0; p < kPartitions; ++p) store_->OpenPartition(PartitionId(p));
    // Longer and shorter than what is compared and copied at once.
    for (const std::string_view name : {"named", "flushed"}) {
      for (std::vector<std::string>& some : KeysByPartition(kPartitions, 60, name)) {
        for (std::string& key : some) names_[name == "named" ? 0 : 1].push_back(std::move(key));
      }
    }
    for (size_t i = 0; i < names_[0].size(); ++i) AddKey(i);
    for (size_t i = 0; i < names_[1].size(); i += 7) {
      keys_.push_back({kFlushed, names_[1][i], base::HashKey("flushed", names_[1][i])});
      PutBytes(*store_, keys_.back(), Meta(1 + i % 3), "flushed or not");
    }
    for (int p = 0; p < kPartitions; ++p) store_->Flush(PartitionId(p), kFlushed, Version(2));
    clock_.Advance(absl::Seconds(200));
    // Some twice, near by and far away.
    for (size_t i = 0; i < 100; ++i) keys_.push_back(keys_[random_() % keys_.size()]);
    std::shuffle(keys_.begin(), keys_.end(), random_);
  }

  void AddKey(size_t i) {
    const std::string& name = names_[0][i];
    Key key{kNamed, name, base::HashKey("named", name)};
    EntryMeta meta = Meta(10 + i);
    std::string value(i, static_cast<char>('a' + i % 26));
    switch (i % 11) {
      case 0:
        meta.flags = 7;
        break;
      case 1:
        meta.max_idle = i % 2 == 0 ? 100 : 1000;  // 200 s go by
        break;
      case 2:
        meta.expiry = base::ToCacheSeconds(clock_.Now()) + (i % 2 == 0 ? 100 : 1000);
        break;
      case 3:
        value.clear();
        break;
      case 4:
        value.resize(kInlineValueBytes + 1 + i);
        break;
      case 5:
        // Its hash is not its name's, but another's, whose entry is found first.
        key.hash = base::HashKey("named", names_[0][i - 3]);
        break;
      case 6:
        keys_.push_back(key);
        store_->Erase(key, meta.version);
        return;
      case 7:
        keys_.push_back(key);  // was never there
        return;
      default:
        break;
    }
    keys_.push_back(key);
    ASSERT_EQ(PutBytes(*store_, key, meta, value), WriteResult::kApplied);
  }

  void ExpectAsFound(const FindOptions& options) {
    std::vector<Found> found(keys_.size());
    store_->FindBatch(keys_, options, buffer_, absl::MakeSpan(found));
    for (size_t i = 0; i < keys_.size(); ++i) {
      SCOPED_TRACE(std::to_string(i) + " " + std::string(keys_[i].key));
      const Found alone = store_->Find(keys_[i], options, buffer_);
      ASSERT_EQ(found[i].presence, alone.presence);
      EXPECT_EQ(found[i].meta.version, alone.meta.version);
      EXPECT_EQ(found[i].meta.expiry, alone.meta.expiry);
      EXPECT_EQ(found[i].meta.max_idle, alone.meta.max_idle);
      EXPECT_EQ(found[i].meta.flags, alone.meta.flags);
      EXPECT_EQ(found[i].value_size, alone.value_size);
      EXPECT_EQ(found[i].value.Flatten(), alone.value.Flatten());
    }
  }

  std::mt19937_64 random_{TestSeed()};
  std::vector<std::string> names_[2];
  std::vector<Key> keys_;
};

TEST_F(StoreBatch, AnswersWhatFindAnswers) {
  ExpectAsFound({.touch = false, .enforce_idle = false});
  ExpectAsFound({.touch = false, .metadata_only = true});
  ExpectAsFound({});
}

TEST_F(StoreBatch, CountsEachKeyAsFindDoes) {
  std::vector<Found> found(keys_.size());
  store_->FindBatch(keys_, {.touch = false}, buffer_, absl::MakeSpan(found));
  EXPECT_EQ(store_->Stats().hits + store_->Stats().misses, 0u);
  store_->FindBatch(keys_, {}, buffer_, absl::MakeSpan(found));
  const auto present =
      static_cast<uint64_t>(std::count_if(found.begin(), found.end(), [](const Found& one) {
        return one.presence == Presence::kPresent;
      }));
  EXPECT_GT(present, 100u);
  EXPECT_EQ(store_->Stats().hits, present);
  EXPECT_EQ(store_->Stats().misses, keys_.size() - present);
}

// A result that held something else before holds what was found now.
TEST_F(StoreBatch, ResultsMayBeUsedAgain) {
  std::vector<Found> used(keys_.size());
  for (int round = 0; round < 3; ++round) {
    std::vector<Found> fresh(keys_.size());
    store_->FindBatch(keys_, {.touch = false}, buffer_, absl::MakeSpan(used));
    store_->FindBatch(keys_, {.touch = false}, buffer_, absl::MakeSpan(fresh));
    for (size_t i = 0; i < keys_.size(); ++i) {
      ASSERT_EQ(used[i].presence, fresh[i].presence) << i;
      EXPECT_EQ(used[i].meta.flags, fresh[i].meta.flags) << i;
      EXPECT_EQ(used[i].value.Flatten(), fresh[i].value.Flatten()) << i;
    }
    std::shuffle(keys_.begin(), keys_.end(), random_);
  }
}

// As much as a batch may have to copy under its locks.
TEST_F(StoreBatch, FindsManyOfTheLongestInlineValues) {
  keys_.clear();
  for (size_t i = 0; i < 60; ++i) {
    const std::string& name = names_[0][i * 5];
    keys_.push_back({kNamed, name, base::HashKey("named", name)});
    const std::string value(kInlineValueBytes - i % 2, static_cast<char>('a' + i % 26));
    ASSERT_EQ(PutBytes(*store_, keys_.back(), Meta(1000), value), WriteResult::kApplied);
  }
  ExpectAsFound({});
  EXPECT_EQ(store_->Stats().hits, 2 * keys_.size()) << "once by the batch, once by Find";
}

// What stayed locked would hang here: groups pass partitions on to each other.
TEST_F(StoreBatch, LeavesNoPartitionLocked) {
  for (size_t size = 1; size <= 64; ++size) {
    std::vector<Found> found(size);
    store_->FindBatch(absl::MakeConstSpan(keys_).subspan(size, size), {.touch = false}, buffer_,
                      absl::MakeSpan(found));
    for (int p = 0; p < kPartitions; ++p) store_->ItemsIn(PartitionId(p));
  }
}

}  // namespace
}  // namespace atoll::store
