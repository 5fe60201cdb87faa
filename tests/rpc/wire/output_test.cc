#include "rpc/wire/output.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "rpc/wire/input.h"

namespace atoll::wire {
namespace {

std::string Text(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(buffer.Dump(&slices).ok());
  std::string text;
  for (const grpc::Slice& slice : slices) {
    text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return text;
}

TEST(Output, HandsOverWhatWasWritten) {
  Output out;
  std::string expected;
  for (int i = 0; i < 1000; ++i) {
    const std::string text(static_cast<size_t>(i), static_cast<char>('a' + i % 26));
    out.Append(text);
    expected += text;
  }
  EXPECT_EQ(out.size(), expected.size());
  EXPECT_EQ(Text(out.Finish()), expected);
  EXPECT_TRUE(out.empty());
  out.Append("again");
  EXPECT_EQ(Text(out.Finish()), "again");
}

TEST(Output, AMessageAsLargeAsExpectedIsOneSlice) {
  Output out;
  out.Expect(5000);
  for (int i = 0; i < 500; ++i) out.Append("0123456789");
  const grpc::ByteBuffer buffer = out.Finish();
  grpc::Slice slice;
  EXPECT_TRUE(buffer.TrySingleSlice(&slice).ok());
  EXPECT_EQ(slice.size(), 5000u);
}

TEST(Output, FillsAHoleWithWhatIsKnownLater) {
  Output out;
  out.Append("before|");
  const Output::Hole hole = out.LeaveHole();
  out.Append("behind");
  out.Fill(hole, "the length|");
  EXPECT_EQ(out.size(), 24u);
  EXPECT_EQ(Text(out.Finish()), "before|the length|behind");
}

// A hole lies in no block: whatever room the block has left where it is left, it is filled whole.
TEST(Output, AHoleIsWholeWhereverABlockEnds) {
  const std::string length(Output::kHoleBytes, 'L');
  for (size_t before = 200; before < 300; ++before) {
    SCOPED_TRACE(before);
    Output out;
    out.Append(std::string(before, 'b'));
    const Output::Hole hole = out.LeaveHole();
    const Output::Hole empty = out.LeaveHole();
    out.Append(std::string(300, 'a'));
    out.Fill(empty, "");
    out.Fill(hole, length);
    EXPECT_EQ(out.size(), before + length.size() + 300);
    EXPECT_EQ(Text(out.Finish()), std::string(before, 'b') + length + std::string(300, 'a'));
  }
}

TEST(Output, TakesWhatAnotherHolds) {
  Output out;
  Output other;
  out.Append("one|");
  other.Append("two|");
  other.Append(std::string(1000, '2'));
  out.Splice(other);
  EXPECT_TRUE(other.empty());
  EXPECT_EQ(Text(other.Finish()), "");
  out.Append("|three");
  out.Splice(other);
  other.Append("anew");
  EXPECT_EQ(out.size(), 1014u);
  EXPECT_EQ(Text(out.Finish()), "one|two|" + std::string(1000, '2') + "|three");
  EXPECT_EQ(Text(other.Finish()), "anew");
}

TEST(Output, RollsBackToAMark) {
  // So many bytes after the mark that they end in its block, at its end, and in others.
  for (const size_t dropped : {0, 1, 100, 250, 256, 1000, 100'000}) {
    SCOPED_TRACE(dropped);
    auto value = std::make_shared<const std::string>(20'000, 'v');
    const std::weak_ptr<const std::string> watched = value;
    Output out;
    out.Append("kept|");
    const Output::Hole hole = out.LeaveHole();
    const Output::Mark mark = out.SetMark();
    (void)out.LeaveHole();
    for (size_t i = 0; i < dropped; ++i) out.Append("x");
    const std::string_view view = *value;
    out.AppendShared(view, std::move(value));
    out.Append("dropped");
    out.RollBack(mark);
    EXPECT_TRUE(watched.expired());
    out.Append("|end");
    out.Fill(hole, "filled");
    EXPECT_EQ(out.size(), 15u);
    EXPECT_EQ(Text(out.Finish()), "kept|filled|end");
  }
}

TEST(Output, KeepsWhatIsSharedUntilGrpcHasLetGo) {
  auto value = std::make_shared<const std::string>(20'000, 'v');
  const std::weak_ptr<const std::string> watched = value;
  grpc::ByteBuffer buffer;
  {
    Output out;
    out.Append("head");
    const std::string_view view = *value;
    out.AppendShared(view, std::move(value));
    out.Append("tail");
    grpc::ByteBuffer made = out.Finish();
    buffer.Swap(&made);
  }
  ASSERT_FALSE(watched.expired());
  EXPECT_EQ(Text(buffer), "head" + std::string(20'000, 'v') + "tail");
  // By reference, not a copy.
  Input input;
  input.buffer()->Swap(&buffer);
  ASSERT_TRUE(input.Load());
  ASSERT_EQ(input.pieces().size(), 3u);
  EXPECT_EQ(input.pieces()[1].data(), watched.lock()->data());
  input.Clear();
  EXPECT_TRUE(watched.expired());
}

TEST(Output, TakesBackWhatWasWrittenLast) {
  Output out;
  out.Append("kept");
  uint8_t* const place = out.Reserve(10);
  std::memcpy(place, "dropped", 7);
  out.Advance(place + 7);
  out.TakeBack(7);
  out.Append("!");
  EXPECT_EQ(out.size(), 5u);
  EXPECT_EQ(Text(out.Finish()), "kept!");
}

TEST(Output, DropsWhatIsNotHandedOver) {
  auto value = std::make_shared<const std::string>(20'000, 'v');
  const std::weak_ptr<const std::string> watched = value;
  Output out;
  const std::string_view view = *value;
  out.AppendShared(view, std::move(value));
  out.Clear();
  EXPECT_TRUE(watched.expired());
  EXPECT_EQ(Text(out.Finish()), "");
}

}  // namespace
}  // namespace atoll::wire
