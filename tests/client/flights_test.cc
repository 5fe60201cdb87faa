#include "client/flights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace atoll::client {
namespace {

struct Read : FlightRead {
  explicit Read(std::string_view key, bool bounded = false, uint64_t hash = 7) {
    flight_key = {.hash = hash, .bounded = bounded, .ns = "default", .key = key};
  }
};

std::vector<FlightRead*> Drain(FlightList list) {
  std::vector<FlightRead*> all;
  while (FlightRead* const read = list.PopFront()) all.push_back(read);
  return all;
}

// Lands, expecting that nobody waits.
std::vector<FlightRead*> LandLast(Flights& flights, FlightRead* leader) {
  return Drain(flights.Land(leader, [](const FlightList&) -> FlightRead* {
    ADD_FAILURE() << "somebody waits for a next flight";
    return nullptr;
  }));
}

TEST(Flights, LeadersThatCountAreCountedWhenTheyLand) {
  Flights flights;
  Read first("a");
  Read second("b", false, 8);
  Read aboard("b", false, 8);
  first.counts = second.counts = aboard.counts = true;
  Read other("c", false, 9);
  flights.Board(&first);
  flights.Board(&second);
  flights.Board(&aboard);
  flights.Board(&other);
  EXPECT_EQ(flights.landed(), 0u);
  LandLast(flights, &first);
  LandLast(flights, &second);
  LandLast(flights, &other);
  EXPECT_EQ(flights.landed(), 2u);
}

TEST(Flights, WhoComesWhileAFlightBoardsFliesAlong) {
  Flights flights;
  Read leader("k"), second("k"), third("k");
  EXPECT_TRUE(flights.Board(&leader));
  EXPECT_FALSE(flights.Board(&second));
  EXPECT_FALSE(flights.Board(&third));
  leader.Depart();
  EXPECT_THAT(LandLast(flights, &leader), testing::ElementsAre(&second, &third));
  EXPECT_TRUE(flights.Board(&second)) << "the flight is over";
}

TEST(Flights, AStrictReadNeverJoinsAFlightInTheAir) {
  Flights flights;
  Read leader("k"), aboard("k"), late("k"), later("k"), next("k");
  flights.Board(&leader);
  flights.Board(&aboard);
  leader.Depart();
  EXPECT_FALSE(flights.Board(&late));
  EXPECT_FALSE(flights.Board(&later));
  int waiting = 0;
  FlightList landed = flights.Land(&leader, [&](const FlightList& list) {
    list.ForEach([&](FlightRead*) { ++waiting; });
    return &next;
  });
  EXPECT_EQ(waiting, 2);
  EXPECT_THAT(Drain(landed), testing::ElementsAre(&aboard));
  // The next flight has not departed: it still boards.
  Read joins("k");
  EXPECT_FALSE(flights.Board(&joins));
  next.Depart();
  EXPECT_THAT(LandLast(flights, &next), testing::ElementsAre(&late, &later, &joins));
}

TEST(Flights, ABoundedReadJoinsWhatIsInTheAirButNoStrictOne) {
  Flights flights;
  Read strict("k"), bounded("k", true), other("k", true);
  EXPECT_TRUE(flights.Board(&strict));
  EXPECT_TRUE(flights.Board(&bounded));
  bounded.Depart();
  EXPECT_FALSE(flights.Board(&other));
  EXPECT_THAT(LandLast(flights, &bounded), testing::ElementsAre(&other));
  EXPECT_TRUE(LandLast(flights, &strict).empty());
}

TEST(Flights, KeysOfOneHashAreToldApart) {
  Flights flights;
  Read a("a"), b("b"), c("a");
  c.flight_key.ns = "other";
  EXPECT_TRUE(flights.Board(&a));
  EXPECT_TRUE(flights.Board(&b));
  EXPECT_TRUE(flights.Board(&c));
  EXPECT_TRUE(LandLast(flights, &b).empty());
  Read d("a");
  EXPECT_FALSE(flights.Board(&d));
  EXPECT_TRUE(LandLast(flights, &c).empty());
  EXPECT_THAT(LandLast(flights, &a), testing::ElementsAre(&d));
}

TEST(Flights, HandsBackWhoExpired) {
  Flights flights;
  Read leader("k"), brief("k"), patient("k"), late("k");
  flights.Board(&leader);
  brief.expires = absl::Seconds(1);
  patient.expires = absl::Seconds(9);
  late.expires = absl::Seconds(2);
  flights.Board(&brief);
  flights.Board(&patient);
  leader.Depart();
  flights.Board(&late);
  absl::Duration next;
  EXPECT_TRUE(Drain(flights.Expire(absl::Milliseconds(500), &next)).empty());
  EXPECT_EQ(next, absl::Seconds(1));
  EXPECT_THAT(Drain(flights.Expire(absl::Seconds(2), &next)),
              testing::UnorderedElementsAre(&brief, &late));
  EXPECT_EQ(next, absl::Seconds(9));
  EXPECT_THAT(LandLast(flights, &leader), testing::ElementsAre(&patient));
}

// Each read sees a value at least as new as the newest that was written before it began.
TEST(Flights, StrictReadsOfManyThreadsAreNeverAnsweredOutOfThePast) {
  struct Waiting : Read {
    Waiting() : Read("k") {}
    std::atomic<uint64_t> seen{UINT64_MAX};
  };
  Flights flights;
  std::atomic<uint64_t> value{0};
  // Carries a flight out on this thread, and those that follow it.
  const auto fly = [&](Waiting* leader) {
    std::unique_ptr<Waiting> owned;
    while (leader != nullptr) {
      leader->Depart();
      const uint64_t read = value.load();
      std::unique_ptr<Waiting> next;
      FlightList landed = flights.Land(leader, [&](const FlightList&) {
        next = std::make_unique<Waiting>();
        return next.get();
      });
      leader->seen.store(read);
      while (FlightRead* const one = landed.PopFront()) {
        static_cast<Waiting*>(one)->seen.store(read);
      }
      owned = std::move(next);
      leader = owned.get();
    }
  };
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        const uint64_t written = value.fetch_add(1) + 1;
        Waiting read;
        if (flights.Board(&read)) fly(&read);
        while (read.seen.load() == UINT64_MAX) std::this_thread::yield();
        ASSERT_GE(read.seen.load(), written);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace atoll::client
