#include "client/spare_memory.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include "absl/base/config.h"

namespace atoll::client {
namespace {

struct Object {
  char bytes[200];
};

// The places that are in use at once.
std::vector<void*> TakeMany(size_t count) {
  std::vector<void*> places(count);
  for (void*& place : places) {
    place = SpareMemory<Object>::Take();
    std::memset(place, 0xAB, sizeof(Object));
  }
  return places;
}

TEST(SpareMemory, HandsOutPlacesThatDiffer) {
  for (int round = 0; round < 3; ++round) {
    const std::vector<void*> places = TakeMany(3 * SpareMemory<Object>::kMost);
    EXPECT_EQ(std::set<void*>(places.begin(), places.end()).size(), places.size());
    for (void* const place : places) SpareMemory<Object>::Give(place);
  }
}

#ifndef ABSL_HAVE_ADDRESS_SANITIZER
TEST(SpareMemory, TheLastPlaceGivenBackIsTheNextOne) {
  void* const place = SpareMemory<Object>::Take();
  SpareMemory<Object>::Give(place);
  EXPECT_EQ(SpareMemory<Object>::Take(), place);
  SpareMemory<Object>::Give(place);
}
#endif

TEST(SpareMemory, WhatOneThreadTookAnotherMayGiveBack) {
  std::vector<void*> places = TakeMany(2 * SpareMemory<Object>::kMost);
  std::thread([&] {
    for (void* const place : places) SpareMemory<Object>::Give(place);
  }).join();
  // Without a leak, says the sanitizer.
  places = TakeMany(1);
  SpareMemory<Object>::Give(places[0]);
}

}  // namespace
}  // namespace atoll::client
