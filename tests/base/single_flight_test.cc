#include "base/single_flight.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace atoll::base {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Flights = SingleFlight<std::string, int>;

TEST(SingleFlight, TheFirstLeadsAndOthersBoard) {
  Flights flights;
  EXPECT_TRUE(flights.Board("k", 1));
  EXPECT_FALSE(flights.Board("k", 2));
  EXPECT_TRUE(flights.Board("other", 3));
  flights.Depart("k");
  const Flights::Landing landing = flights.Land("k");
  EXPECT_THAT(landing.waiters, ElementsAre(1, 2));
  EXPECT_FALSE(landing.next);
  EXPECT_EQ(flights.size(), 1u);
}

TEST(SingleFlight, NobodyJoinsAFlightInTheAir) {
  Flights flights;
  ASSERT_TRUE(flights.Board("k", 1));
  flights.Depart("k");
  EXPECT_FALSE(flights.Board("k", 2));
  EXPECT_FALSE(flights.Board("k", 3));
  Flights::Landing landing = flights.Land("k");
  EXPECT_THAT(landing.waiters, ElementsAre(1));
  EXPECT_TRUE(landing.next);
  flights.Depart("k");
  landing = flights.Land("k");
  EXPECT_THAT(landing.waiters, ElementsAre(2, 3));
  EXPECT_FALSE(landing.next);
  EXPECT_EQ(flights.size(), 0u);
}

TEST(SingleFlight, WhoComesBetweenLandingAndDepartureBoardsTheNextFlight) {
  Flights flights;
  ASSERT_TRUE(flights.Board("k", 1));
  flights.Depart("k");
  ASSERT_FALSE(flights.Board("k", 2));
  ASSERT_TRUE(flights.Land("k").next);
  EXPECT_FALSE(flights.Board("k", 3));
  flights.Depart("k");
  EXPECT_THAT(flights.Land("k").waiters, ElementsAre(2, 3));
}

TEST(SingleFlight, ABoundedReadJoinsTheFlightInTheAir) {
  Flights flights;
  ASSERT_TRUE(flights.BoardAny("k", 1));
  flights.Depart("k");
  EXPECT_FALSE(flights.BoardAny("k", 2));
  const Flights::Landing landing = flights.Land("k");
  EXPECT_THAT(landing.waiters, ElementsAre(1, 2));
  EXPECT_FALSE(landing.next);
}

TEST(SingleFlight, AFlightThatNeverDepartedLandsItsWaiters) {
  Flights flights;
  ASSERT_TRUE(flights.Board("k", 1));
  EXPECT_THAT(flights.Land("k").waiters, ElementsAre(1));
  EXPECT_THAT(flights.Land("k").waiters, IsEmpty());
  EXPECT_TRUE(flights.Board("k", 2));
}

TEST(SingleFlight, DepartingAgainTakesNobodyAboard) {
  Flights flights;
  ASSERT_TRUE(flights.Board("k", 1));
  flights.Depart("k");
  ASSERT_FALSE(flights.Board("k", 2));
  flights.Depart("k");
  EXPECT_THAT(flights.Land("k").waiters, ElementsAre(1));
}

TEST(SingleFlight, StrandsNobodyUnderRacingThreads) {
  SingleFlight<int, std::atomic<int>*> flights;
  constexpr int kThreads = 4;
  constexpr int kRounds = 5000;
  std::atomic<int> answered{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kRounds; ++i) {
        bool launch = flights.Board(i % 3, &answered);
        while (launch) {
          flights.Depart(i % 3);
          auto landing = flights.Land(i % 3);
          for (std::atomic<int>* waiter : landing.waiters) {
            ++*waiter;
          }
          launch = landing.next;
        }
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(answered.load(), kThreads * kRounds);
  EXPECT_EQ(flights.size(), 0u);
}

}  // namespace
}  // namespace atoll::base
