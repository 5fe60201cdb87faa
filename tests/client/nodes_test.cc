// Which pollers of a process go out of a lone caller's way.
#include "client/nodes.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>

#include "base/clock.h"
#include "client/step_aside.h"

namespace atoll::client {
namespace {

std::unique_ptr<Nodes> MakeNodes() {
  ClientOptions options;
  options.endpoints = {"127.0.0.1:1"};
  return Nodes::Create(options).value();
}

TEST(Nodes, ALoneCallerSendsThePollersOfOtherClientsAwayToo) {
  const std::unique_ptr<Nodes> own = MakeNodes();
  std::unique_ptr<Nodes> idle = MakeNodes();
  const std::unique_ptr<Nodes> busy = MakeNodes();
  busy->CallBegins();
  // They are away for milliseconds only.
  const absl::Duration deadline = base::Clock::Real().BootTime() + absl::Seconds(20);
  bool seen = false;
  while (!seen && base::Clock::Real().BootTime() < deadline) {
    own->LoneCall();
    seen = own->io(0).aside->away() && idle->io(0).aside->away();
    EXPECT_FALSE(busy->io(0).aside->away());
  }
  EXPECT_TRUE(seen);
  busy->CallEnds();

  // One that has ended is asked no more.
  idle.reset();
  while (own->io(0).aside->away()) std::this_thread::yield();
  own->LoneCall();
}

}  // namespace
}  // namespace atoll::client
