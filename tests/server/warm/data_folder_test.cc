#include "server/warm/data_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace atoll::warm {
namespace {

using base::Incarnation;
using testing::HasSubstr;

class DataFolderTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "/folder with space-" +
            testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(path_);
  }
  void TearDown() override { std::filesystem::remove_all(path_); }
  std::unique_ptr<DataFolder> Open() {
    auto folder = DataFolder::Open(path_);
    EXPECT_TRUE(folder.ok()) << folder.status();
    return folder.ok() ? *std::move(folder) : nullptr;
  }
  std::string path_;
};

TEST_F(DataFolderTest, ANewOneIsNotUsableAndGetsAUuidThatStays) {
  auto folder = Open();
  EXPECT_EQ(folder->uuid().size(), 36u);
  EXPECT_EQ(folder->previous_incarnation(), Incarnation());
  EXPECT_FALSE(folder->usable());
  ASSERT_TRUE(folder->Begin("c", Incarnation(5)).ok());
  EXPECT_FALSE(folder->usable());
  const std::string uuid = folder->uuid();
  folder.reset();
  EXPECT_EQ(Open()->uuid(), uuid);
  std::filesystem::remove_all(path_);
  EXPECT_NE(Open()->uuid(), uuid);
}

TEST_F(DataFolderTest, IsUsableAfterACleanStopOnly) {
  auto folder = Open();
  ASSERT_TRUE(folder->Begin("c", Incarnation(5)).ok());
  ASSERT_TRUE(folder->MarkClean().ok());
  folder = nullptr;
  folder = Open();
  EXPECT_EQ(folder->previous_incarnation(), Incarnation(5));
  EXPECT_EQ(folder->previous_cluster_id(), "c");
  EXPECT_FALSE(folder->usable()) << "not before Begin";
  ASSERT_TRUE(folder->Begin("c", Incarnation(6)).ok());
  EXPECT_TRUE(folder->usable());
  // This process dies.
  folder = nullptr;
  folder = Open();
  EXPECT_EQ(folder->previous_incarnation(), Incarnation(6));
  ASSERT_TRUE(folder->Begin("c", Incarnation(7)).ok());
  EXPECT_FALSE(folder->usable());
}

TEST_F(DataFolderTest, OpeningAloneChangesNothing) {
  auto folder = Open();
  ASSERT_TRUE(folder->Begin("c", Incarnation(5)).ok());
  ASSERT_TRUE(folder->MarkClean().ok());
  folder = nullptr;
  Open();
  folder = Open();
  ASSERT_TRUE(folder->Begin("c", Incarnation(6)).ok());
  EXPECT_TRUE(folder->usable());
}

TEST_F(DataFolderTest, ASecondHolderIsRefused) {
  const auto folder = Open();
  const auto second = DataFolder::Open(path_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(second.status().ToString(), HasSubstr("another process holds it"));
}

TEST_F(DataFolderTest, AnotherClusterIsRefusedAndTheMarkStays) {
  auto folder = Open();
  ASSERT_TRUE(folder->Begin("c", Incarnation(5)).ok());
  ASSERT_TRUE(folder->MarkClean().ok());
  folder = nullptr;
  folder = Open();
  const absl::Status status = folder->Begin("d", Incarnation(6));
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.ToString(), HasSubstr("belongs to cluster c, not to d"));
  folder = nullptr;
  folder = Open();
  ASSERT_TRUE(folder->Begin("c", Incarnation(7)).ok());
  EXPECT_TRUE(folder->usable());
}

TEST_F(DataFolderTest, AMarkThatCannotBeReadIsRefused) {
  Open();
  std::ofstream(path_ + "/MARK") << "garbage";
  const auto folder = DataFolder::Open(path_);
  EXPECT_EQ(folder.status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(DataFolderTest, AFolderThatCannotBeMadeIsNamed) {
  std::ofstream(path_) << "a file";
  const auto folder = DataFolder::Open(path_ + "/below");
  EXPECT_FALSE(folder.ok());
  EXPECT_THAT(folder.status().ToString(), HasSubstr(path_));
}

}  // namespace
}  // namespace atoll::warm
