// What a batch stream is made of: the table of operations, queues, pace, and memory for values.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "rpc/batch_operation.h"
#include "rpc/congestion.h"
#include "rpc/crowd.h"
#include "rpc/gathering.h"
#include "rpc/operation_table.h"
#include "rpc/pacer.h"
#include "rpc/value_block.h"

namespace atoll::rpc {
namespace {

class NoOperation final : public BatchOperation {
 private:
  void OnEnd(BatchEnd& /*end*/) override {}
};

TEST(OperationTable, FindsEachByItsNumberUntilItIsErased) {
  OperationTable table;
  std::vector<std::unique_ptr<NoOperation>> operations;
  std::vector<uint64_t> numbers;
  for (int i = 0; i < 1000; ++i) {
    operations.push_back(std::make_unique<NoOperation>());
    numbers.push_back(table.Insert(operations.back().get()));
  }
  EXPECT_EQ(std::set<uint64_t>(numbers.begin(), numbers.end()).size(), 1000u);
  EXPECT_EQ(table.size(), 1000u);
  for (size_t i = 0; i < 1000; i += 2) table.Erase(numbers[i]);
  for (size_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(table.Find(numbers[i]), i % 2 == 0 ? nullptr : operations[i].get());
  }
  size_t left = 0;
  table.ForEach([&](BatchOperation* operation) {
    ++left;
    EXPECT_NE(operation, operations[0].get());
  });
  EXPECT_EQ(left, 500u);
}

TEST(OperationTable, ASlotUsedAgainHasAnotherNumber) {
  OperationTable table;
  NoOperation operation;
  std::set<uint64_t> seen;
  for (int i = 0; i < 1000; ++i) {
    const uint64_t number = table.Insert(&operation);
    EXPECT_NE(number, 0u);
    EXPECT_TRUE(seen.insert(number).second) << "a late answer would find another operation";
    for (const uint64_t old : seen) {
      EXPECT_EQ(table.Find(old), old == number ? &operation : nullptr);
    }
    table.Erase(number);
  }
  // The same slot all along.
  EXPECT_EQ(*seen.begin() % OperationTable::kMostOperations,
            *seen.rbegin() % OperationTable::kMostOperations);
}

TEST(OperationTable, KnowsNoNumberThatItNeverGave) {
  OperationTable table;
  NoOperation operation;
  const uint64_t number = table.Insert(&operation);
  for (const uint64_t other : {uint64_t{0}, uint64_t{1}, number + 1, ~uint64_t{0}}) {
    EXPECT_EQ(table.Find(other), nullptr) << other;
  }
}

TEST(OperationTable, RefusesBeyondItsNumbers) {
  OperationTable table;
  NoOperation operation;
  for (size_t i = 0; i < OperationTable::kMostOperations; ++i) {
    ASSERT_NE(table.Insert(&operation), 0u);
  }
  EXPECT_EQ(table.Insert(&operation), 0u);
}

TEST(OperationQueue, KeepsTheOrderWhateverIsTakenOut) {
  NoOperation a, b, c, d;
  OperationQueue queue;
  for (NoOperation* one : {&a, &b, &c, &d}) queue.PushBack(one);
  queue.Remove(&b);
  queue.Remove(&d);
  queue.PushBack(&b);
  std::vector<BatchOperation*> seen;
  queue.ForEach([&](BatchOperation* one) { seen.push_back(one); });
  EXPECT_THAT(seen, testing::ElementsAre(&a, &c, &b));
  EXPECT_EQ(queue.PopFront(), &a);
  EXPECT_EQ(queue.PopFront(), &c);
  EXPECT_EQ(queue.PopFront(), &b);
  EXPECT_EQ(queue.PopFront(), nullptr);
  EXPECT_TRUE(queue.empty());
}

TEST(Pacer, OneMessageIsUnderWayWhileCallersBlockAndTwoOtherwise) {
  Pacer pacer;
  const absl::Duration now = absl::Seconds(1);
  EXPECT_TRUE(pacer.MayWrite(/*blocking=*/true));
  const uint64_t first = pacer.Write(now);
  EXPECT_FALSE(pacer.MayWrite(true));
  EXPECT_TRUE(pacer.MayWrite(false));
  const uint64_t second = pacer.Write(now);
  EXPECT_FALSE(pacer.MayWrite(true));
  EXPECT_FALSE(pacer.MayWrite(false));
  pacer.Answered(first);
  EXPECT_TRUE(pacer.MayWrite(false));
  EXPECT_FALSE(pacer.MayWrite(true));
  pacer.Answered(second);
  pacer.Answered(first);  // Late ones change nothing.
  EXPECT_TRUE(pacer.MayWrite(true));
  EXPECT_EQ(Pacer::MostOperations(true, 64), 64u);
  EXPECT_EQ(Pacer::MostOperations(false, 255), 128u);
  EXPECT_EQ(Pacer::MostOperations(false, 1), 1u);
}

TEST(Pacer, KnowsWhetherTheNewestAnswerWasPrompt) {
  Pacer pacer;
  const absl::Duration at = absl::Seconds(1);
  EXPECT_FALSE(pacer.WasPrompt(at)) << "nothing was written";
  const uint64_t first = pacer.Write(at);
  const uint64_t second = pacer.Write(at + Pacer::kPatience);
  pacer.Answered(first);
  EXPECT_TRUE(pacer.WasPrompt(at + Pacer::kPatience));
  EXPECT_FALSE(pacer.WasPrompt(at + Pacer::kPatience + absl::Nanoseconds(1)));
  pacer.Answered(second);
  EXPECT_TRUE(pacer.WasPrompt(at + 2 * Pacer::kPatience));
}

TEST(Pacer, WhatIsNotAnsweredHoldsNothingUpForLong) {
  Pacer pacer;
  const absl::Duration now = absl::Seconds(1);
  pacer.Write(now);
  EXPECT_EQ(pacer.patience_ends(), now + Pacer::kPatience);
  pacer.GiveUp();
  EXPECT_TRUE(pacer.MayWrite(true));
  pacer.Write(now);
  EXPECT_FALSE(pacer.MayWrite(true));
  pacer.Restart();
  EXPECT_TRUE(pacer.MayWrite(true));
}

// Writes `count` messages, one a second, each answered after `time`.
void Answer(Pacer& pacer, int count, absl::Duration time, absl::Duration& now) {
  for (int i = 0; i < count; ++i) {
    now += absl::Seconds(1);
    pacer.Answered(pacer.Write(now));
    pacer.Learn(now + time);
  }
}

TEST(Pacer, IsPatientForTwiceTheUsualTimeWithinLimits) {
  Pacer pacer;
  absl::Duration now = absl::Seconds(1);
  const auto patience = [&] { return pacer.patience_ends() - now; };
  Answer(pacer, 100, absl::Microseconds(100), now);
  EXPECT_EQ(patience(), Pacer::kPatience);
  Answer(pacer, 100, absl::Milliseconds(3), now);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(patience()), 6, 0.1);
  Answer(pacer, 100, absl::Milliseconds(30), now);
  EXPECT_EQ(patience(), Pacer::kMostPatience);
  Answer(pacer, 100, absl::Microseconds(100), now);
  EXPECT_EQ(patience(), Pacer::kPatience);
}

TEST(Pacer, LearnsOfAMessageThatDoesNotCountAnyMore) {
  Pacer pacer;
  absl::Duration now = absl::Seconds(1);
  for (int i = 0; i < 100; ++i) {
    const uint64_t slow = pacer.Write(now);
    pacer.GiveUp();
    pacer.Write(now + absl::Milliseconds(2));
    pacer.GiveUp();
    pacer.Answered(slow);
    pacer.Learn(now += absl::Milliseconds(4));
  }
  EXPECT_NEAR(absl::ToDoubleMilliseconds(pacer.patience_ends() - now), 8 - 2, 0.1);
}

TEST(Pacer, LearnsNothingOfLateAnswers) {
  Pacer pacer;
  absl::Duration now = absl::Seconds(1);
  const uint64_t waits = pacer.Write(now);
  Answer(pacer, 100, absl::Microseconds(100), now);
  pacer.Answered(waits);
  pacer.Learn(now + absl::Seconds(5));
  EXPECT_EQ(pacer.patience_ends(), now + Pacer::kPatience);
}

TEST(Gathering, WaitsUntilAllWhoWereWokenAreBack) {
  Gathering gathering;
  const absl::Duration now = absl::Seconds(1);
  EXPECT_FALSE(gathering.active());
  for (int i = 0; i < 3; ++i) gathering.Woken();
  EXPECT_TRUE(gathering.active());
  gathering.Begin(/*waiting=*/5, now);
  EXPECT_TRUE(gathering.GoesOn(5, now));
  EXPECT_TRUE(gathering.GoesOn(7, now));
  EXPECT_TRUE(gathering.active());
  EXPECT_FALSE(gathering.GoesOn(8, now));
  EXPECT_FALSE(gathering.active());
}

TEST(Gathering, GivesUpOnThoseWhoDoNotComeAndTriesLessTheNextTime) {
  Gathering gathering;
  const absl::Duration now = absl::Seconds(1);
  const auto tries = [&](size_t back) {
    for (int i = 0; i < 4; ++i) gathering.Woken();
    gathering.Begin(0, now);
    int count = 1;
    while (gathering.GoesOn(back, now)) ++count;
    return count;
  };
  int before = tries(0);
  EXPECT_EQ(before, Gathering::kMostIdle + 1);
  for (int i = 0; i < 10; ++i) {
    const int next = tries(0);
    EXPECT_LE(next, before);
    before = next;
  }
  EXPECT_EQ(before, 2);
  // Half of them are enough for the old patience.
  tries(2);
  EXPECT_EQ(tries(0), Gathering::kMostIdle + 1);
}

TEST(Gathering, NobodyWaitsForLong) {
  Gathering gathering;
  const absl::Duration now = absl::Seconds(1);
  for (int i = 0; i < 1000; ++i) gathering.Woken();
  gathering.Begin(0, now);
  EXPECT_TRUE(gathering.GoesOn(1, now));
  EXPECT_FALSE(gathering.GoesOn(2, now + Gathering::kLongest));
}

TEST(Crowd, IsThereFromSoManyOnAndUntilThereAreFewForAWhile) {
  Crowd crowd;
  const absl::Duration now = absl::Seconds(1);
  crowd.Count(Crowd::kFewest - 1, now);
  EXPECT_FALSE(crowd.there());
  crowd.Answered();
  EXPECT_FALSE(crowd.Holds());
  crowd.Count(Crowd::kFewest, now);
  EXPECT_TRUE(crowd.there());
  for (int i = 0; i < 2 * Crowd::kMostFew; ++i) {
    crowd.Count(i % 2 == 0 ? Crowd::kFewest / 2 : Crowd::kFewest / 2 - 1, now);
    EXPECT_TRUE(crowd.there()) << i;
  }
  crowd.Count(Crowd::kFewest / 2, now);
  for (int i = 0; i < Crowd::kMostFew; ++i) {
    EXPECT_TRUE(crowd.there()) << i;
    crowd.Count(1, now);
  }
  EXPECT_FALSE(crowd.there());
  crowd.Count(Crowd::kFewest - 1, now);
  EXPECT_FALSE(crowd.there());
}

TEST(Crowd, HoldsUntilTheLastWhoWasAnsweredIsBackOrNobodyWaitsForHim) {
  Crowd crowd;
  const absl::Duration now = absl::Seconds(1);
  crowd.Came();  // Of those who were never answered there may be any number.
  crowd.Count(Crowd::kFewest, now);
  EXPECT_EQ(crowd.patience_ends(), now + Crowd::kPatience);
  EXPECT_FALSE(crowd.Holds());
  crowd.Answered();
  crowd.Answered();
  crowd.Came();
  EXPECT_TRUE(crowd.Holds());
  crowd.Came();
  EXPECT_FALSE(crowd.Holds());
  crowd.Answered();
  EXPECT_TRUE(crowd.Holds());
  crowd.GiveUp();
  EXPECT_FALSE(crowd.Holds());
  crowd.Came();  // Late.
  crowd.Answered();
  EXPECT_TRUE(crowd.Holds());
  // A crowd that is none any more waits for nobody.
  for (int i = 0; i < Crowd::kMostFew; ++i) crowd.Count(1, now);
  EXPECT_FALSE(crowd.Holds());
}

TEST(Congestion, LimitsNothingUntilItIsRefused) {
  Congestion congestion;
  EXPECT_FALSE(congestion.limited());
  EXPECT_GE(congestion.Room(100'000), 1000u);
  congestion.Answered(1, absl::Seconds(1));
  EXPECT_FALSE(congestion.limited());
}

TEST(Congestion, ARefusalHalvesWhatMayBeUnansweredOnceForAllThatWasSent) {
  Congestion congestion;
  const absl::Duration now = absl::Seconds(1);
  EXPECT_TRUE(congestion.Refused(5, /*written=*/7, /*unanswered=*/999, absl::ZeroDuration(), now));
  EXPECT_EQ(congestion.Room(0), 500u);
  EXPECT_EQ(congestion.Room(500), 0u);
  EXPECT_EQ(congestion.Room(600), 0u);
  EXPECT_EQ(congestion.paused_until(), now + Congestion::kPause);
  // Others of what was sent before: the same news.
  EXPECT_FALSE(congestion.Refused(6, 7, 998, absl::ZeroDuration(), now));
  EXPECT_FALSE(congestion.Refused(7, 7, 400, absl::ZeroDuration(), now));
  EXPECT_EQ(congestion.Room(0), 500u);
  EXPECT_TRUE(congestion.Refused(8, 9, 499, absl::Milliseconds(30), now));
  EXPECT_EQ(congestion.Room(0), 250u);
  EXPECT_EQ(congestion.MostAtOnce(), 125u);
  // There is something to halve: a pause would leave the node idle.
  EXPECT_EQ(congestion.paused_until(), now + Congestion::kPause);
}

TEST(Congestion, PausesAsLongAsTheNodeAsksWhereNothingIsLeftToHalve) {
  Congestion congestion;
  const absl::Duration now = absl::Seconds(1);
  congestion.Refused(1, 1, /*unanswered=*/2 * Congestion::kLeast - 1, absl::Milliseconds(30), now);
  EXPECT_EQ(congestion.Room(0), Congestion::kLeast);
  EXPECT_EQ(congestion.paused_until(), now + Congestion::kPause);
  congestion.Refused(2, 2, Congestion::kLeast - 1, absl::Milliseconds(30), now);
  EXPECT_EQ(congestion.Room(0), Congestion::kLeast);
  EXPECT_EQ(congestion.paused_until(), now + absl::Milliseconds(30));
}

// Each message is answered `trip` after it was written.
void Exchange(Congestion& congestion, uint64_t message, absl::Duration trip) {
  const absl::Duration now = absl::Seconds(10) * static_cast<int64_t>(message);
  congestion.Written(message, now);
  congestion.Answered(message, now + trip);
}

TEST(Congestion, MessagesThatTakeLongMakeItLessBeforeTheNodeRefuses) {
  Congestion congestion;
  congestion.Refused(1, 1, 1999, absl::ZeroDuration(), absl::ZeroDuration());
  Exchange(congestion, 2, absl::Milliseconds(1));
  const size_t before = congestion.Room(0);
  EXPECT_GT(before, 1000u);
  Exchange(congestion, 3, absl::Milliseconds(1) + Congestion::kQueueing);
  EXPECT_GT(congestion.Room(0), before) << "not too long yet";
  const size_t most = congestion.Room(0);
  Exchange(congestion, 4, absl::Milliseconds(10) + 2 * Congestion::kQueueing);
  EXPECT_LT(congestion.Room(0), most * 2 / 3);
  EXPECT_GE(congestion.Room(0), most / 2);
  for (uint64_t message = 5; message < 100; ++message) {
    Exchange(congestion, message, absl::Seconds(1));
  }
  EXPECT_EQ(congestion.Room(0), Congestion::kLeast);
}

TEST(Congestion, ANodeThatIsFarAwayIsNotOverloadedForThat) {
  Congestion congestion;
  congestion.Refused(1, 1, 1999, absl::ZeroDuration(), absl::ZeroDuration());
  uint64_t message = 2;
  while (congestion.limited() && message < 1000) {
    Exchange(congestion, message++, 5 * Congestion::kQueueing);
  }
  EXPECT_FALSE(congestion.limited());
  // Nor once it is farther away than before.
  congestion.Refused(message, message, 1999, absl::ZeroDuration(), absl::ZeroDuration());
  const uint64_t start = ++message;
  while (congestion.limited() && message < start + 10'000) {
    Exchange(congestion, message++, 8 * Congestion::kQueueing);
  }
  EXPECT_FALSE(congestion.limited());
}

TEST(Congestion, NeverStopsAltogether) {
  Congestion congestion;
  for (uint64_t i = 1; i < 20; ++i) {
    congestion.Refused(i, i, 1000, absl::Hours(1), absl::ZeroDuration());
  }
  EXPECT_EQ(congestion.Room(0), Congestion::kLeast);
  EXPECT_EQ(congestion.paused_until(), Congestion::kLongestPause);
}

TEST(Congestion, LetsInMoreForEachMessageThatIsAnsweredUntilItIsNoLimit) {
  Congestion congestion;
  congestion.Refused(1, 1, 15, absl::ZeroDuration(), absl::ZeroDuration());
  ASSERT_EQ(congestion.Room(0), 8u);
  congestion.Answered(1, absl::Seconds(1));  // Sent before.
  EXPECT_EQ(congestion.Room(0), 8u);
  congestion.Answered(2, absl::Seconds(1));
  congestion.Answered(2, absl::Seconds(1));  // Another operation of it.
  EXPECT_EQ(congestion.Room(0), 10u);
  uint64_t message = 3;
  while (congestion.limited() && message < 1000) congestion.Answered(message++, absl::Seconds(1));
  EXPECT_FALSE(congestion.limited());
  EXPECT_LT(message, 100u);
}

wire::Payload In(std::string_view bytes) { return {.bytes = bytes, .pieces = {}}; }

TEST(Congestion, SendsNothingThatWouldBeTooLate) {
  Congestion congestion;
  const absl::Duration now = absl::Seconds(1);
  congestion.Written(6, now);
  EXPECT_FALSE(congestion.Hopeless(absl::Milliseconds(1))) << "it is not overloaded";
  EXPECT_TRUE(congestion.Refused(6, /*written=*/6, /*unanswered=*/500, absl::ZeroDuration(), now));
  EXPECT_FALSE(congestion.Hopeless(absl::Milliseconds(1))) << "no message has been timed";
  // Those that follow before it is answered are not timed.
  for (uint64_t message = 7; message < 60; ++message) {
    congestion.Written(message, now + absl::Milliseconds(message - 7));
  }
  congestion.Answered(7, now + absl::Milliseconds(120));
  EXPECT_TRUE(congestion.Hopeless(absl::Milliseconds(239)));
  EXPECT_FALSE(congestion.Hopeless(absl::Milliseconds(240)));
  // One that was quick says little of the next.
  congestion.Written(60, now + absl::Milliseconds(200));
  congestion.Answered(60, now + absl::Milliseconds(201));
  EXPECT_TRUE(congestion.Hopeless(absl::Milliseconds(209)));
  EXPECT_FALSE(congestion.Hopeless(absl::Milliseconds(211)));
  // Nothing is sent, so nothing is timed any more: others must get a chance.
  congestion.AllWereHopeless();
  EXPECT_FALSE(congestion.Hopeless(absl::Milliseconds(106)));
}

TEST(ValueBlock, PacksSmallValuesAndKeepsThemWhileOneLives) {
  ValueBlock::Copy one, two;
  {
    ValueBlock block(1000);
    one = block.Take(In("one"));
    two = block.Take(In("two"));
    EXPECT_EQ(one.owner, two.owner);
    EXPECT_NE(one.bytes.data(), two.bytes.data());
  }
  const std::weak_ptr<const void> alive = one.owner;
  one = {};
  EXPECT_EQ(two.bytes, "two");
  EXPECT_FALSE(alive.expired());
  two = {};
  EXPECT_TRUE(alive.expired());
}

TEST(ValueBlock, AKeptValueHoldsLittleMore) {
  ValueBlock block(1 << 20);
  const std::string small(100, 's');
  const std::string large(ValueBlock::kAloneBytes + 1, 'l');
  std::set<std::shared_ptr<const void>> owners;
  for (int i = 0; i < 1000; ++i) owners.insert(block.Take(In(small)).owner);
  EXPECT_GE(owners.size(), 1000 * small.size() / ValueBlock::kMostBlockBytes);
  const ValueBlock::Copy alone = block.Take(In(large));
  EXPECT_EQ(owners.count(alone.owner), 0u);
  EXPECT_EQ(alone.bytes, large);
}

TEST(ValueBlock, KeepsItsMessageWhereItHasOne) {
  EXPECT_EQ(ValueBlock(100).KeepMessage(), nullptr);
  const auto message = std::make_shared<wire::Input>();
  ValueBlock block(message);
  EXPECT_FALSE(block.kept_message());
  EXPECT_EQ(block.KeepMessage(), message);
  EXPECT_TRUE(block.kept_message());
}

TEST(ValueBlock, PutsPiecesTogether) {
  ValueBlock block(100);
  const std::vector<std::string_view> pieces = {"ab", "", "cde"};
  EXPECT_EQ(block.Take({.bytes = {}, .pieces = pieces}).bytes, "abcde");
  EXPECT_EQ(block.Take(In("")).owner, nullptr);
}

}  // namespace
}  // namespace atoll::rpc
