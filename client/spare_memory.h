// Memory of objects that ended, kept by the thread for the next of its kind: a callback's thread
// destroys a call and makes another for each answer, and what it takes again is in its cache.
//
// Thread safety: all functions. What a thread keeps is given back when it ends.
#pragma once

#include <array>
#include <cstddef>
#include <new>

#include "absl/base/config.h"

namespace atoll::client {

template <typename T>
class SpareMemory {
 public:
  // A callback starts few calls for each that ended.
  static constexpr size_t kMost = 16;

  static void* Take() {
    State& state = Mine();
    if (state.count == 0) return ::operator new(sizeof(T));
    return state.places[--state.count];
  }
  static void Give(void* place) {
    State& state = Mine();
    if (state.count >= state.most) return GiveSlowly(state, place);
    state.places[state.count++] = place;
  }

 private:
  // Destroyed by nobody, so that a call may end while its thread's objects are being destroyed.
  struct State {
    std::array<void*, kMost> places;
    size_t count = 0;
    size_t most = 0;  // until somebody sees to it that they are given back
    bool over = false;
  };
  struct Owner {
    ~Owner() {
      State& state = Mine();
      state.most = 0;
      state.over = true;
      while (state.count > 0) ::operator delete(state.places[--state.count]);
    }
  };

  static State& Mine() {
    static constinit thread_local State state = {};
    return state;
  }
  static void GiveSlowly([[maybe_unused]] State& state, void* place) {
#ifndef ABSL_HAVE_ADDRESS_SANITIZER  // which is to see every use of what was given back
    if (state.most == 0 && !state.over) {
      thread_local const Owner owner;
      static_cast<void>(&owner);
      state.most = kMost;
      state.places[state.count++] = place;
      return;
    }
#endif
    ::operator delete(place);
  }
};

}  // namespace atoll::client
