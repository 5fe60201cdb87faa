// The production replicators against faults from a seed (world.h), checked by what clients saw
// (history.h): no acknowledged write is lost, nothing older is read, no request is applied twice.
// And rules are switched off in turn: the same faults must then be seen to do harm. (R3, R4 and R6
// are punished too seldom to be waited for: rules_test.cc.)
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/status.h"
#include "tests/server/replication/history.h"
#include "tests/server/replication/world.h"

namespace atoll::replication::sim {
namespace {

constexpr int kClients = 6;
constexpr int kKeys = 40;
constexpr absl::Duration kPatience = absl::Milliseconds(800);

struct TrialOptions {
  uint64_t seed = 1;
  uint32_t replication_factor = 2;
  absl::Duration length = absl::Seconds(20);
  Rules rules;
};

class Trial {
 public:
  explicit Trial(const TrialOptions& options)
      : options_(options),
        world_({.seed = options.seed,
                .replication_factor = options.replication_factor,
                .partitions = Partitions(),
                .rules = options.rules}) {}

  void Go() {
    world_.RunFor(absl::Seconds(2));
    for (int client = 0; client < kClients; ++client) NextOperation();
    NextCount();
    NextFault();
    for (absl::Duration ran; ran < options_.length; ran += absl::Seconds(1)) {
      world_.RunFor(absl::Seconds(1));
      if (!history_.violations().empty()) return;
    }
    faults_ = false;
    world_.HealAll();
    world_.RunFor(absl::Seconds(12));
    if (!world_.Whole()) history_.Add("the copies are not whole 12 s after the last fault");
    stopping_ = true;
    world_.RunFor(absl::Seconds(3));
    CheckAtRest();
    // Once more, from the other copies.
    for (int slot = 0; slot < world_.nodes() && options_.replication_factor < 3; ++slot) {
      if (!world_.Kill(slot)) continue;
      world_.RunFor(absl::Seconds(5));
      CheckAtRest();
      world_.Restart(slot);
      world_.RunFor(absl::Seconds(8));
    }
  }

  const History& history() const { return history_; }

 private:
  // Several keys a partition, so that what is lost is not soon overwritten.
  static const std::vector<std::string>& Keys() {
    static const auto* const keys = [] {
      auto* found = new std::vector<std::string>;
      const auto base = base::PartitionOfHash(base::HashKey("default", "counter")).value();
      for (int n = 0; found->size() < size_t{kKeys}; ++n) {
        std::string key = absl::StrCat("k", n);
        const auto at = base::PartitionOfHash(base::HashKey("default", key)).value();
        if ((at - base) % 1024 == 0) found->push_back(std::move(key));
      }
      return found;
    }();
    return *keys;
  }
  static std::vector<base::PartitionId> Partitions() {
    const auto base = base::PartitionOfHash(base::HashKey("default", "counter")).value();
    std::vector<base::PartitionId> partitions;
    for (uint32_t step = 0; step < 4; ++step) {
      partitions.push_back(
          base::PartitionId(static_cast<uint16_t>((base + 1024 * step) % base::kPartitionCount)));
    }
    return partitions;
  }

  // One operation on its way: what it borrows lives here until it is done.
  struct Call {
    std::string key;
    std::string value;
    std::string_view piece;
    Operation operation;
    History::Start start;
    bool done = false;
  };

  void Send(const std::shared_ptr<Call>& call, std::function<void(OperationResult)> then) {
    call->piece = call->value;
    Operation& op = call->operation;
    op.ns = world_.ns();
    op.key = {op.ns->id, call->key, base::HashKey("default", call->key)};
    op.value = {&call->piece, 1};
    op.deadline = world_.now() + kPatience;
    const auto once = [call, then](OperationResult result) {
      if (call->done) return;
      call->done = true;
      then(std::move(result));
    };
    // A process that dies answers nothing; nor does one that is paused, in time.
    world_.After(kPatience + absl::Milliseconds(200), [once] {
      once({.status = base::WithReason(absl::AbortedError("no answer"), base::reason::kAmbiguous)});
    });
    int node = world_.PrimaryOf(op.key.partition());
    if (node < 0 || world_.Random() < 0.15) node = world_.Pick(world_.nodes());
    if (!world_.alive(node)) return;
    world_.OnNode(node, [call, once](Replicator& replicator) {
      if (!call->done) replicator.Execute(call->operation, once);
    });
  }

  void NextOperation() {
    if (stopping_) return;
    auto call = std::make_shared<Call>();
    call->key = Keys()[static_cast<size_t>(world_.Pick(int{kKeys}))];
    call->start = history_.Begin(call->key);
    const double draw = world_.Random();
    OpKind& kind = call->operation.kind;
    if (draw < 0.5) {
      kind = OpKind::kGet;
    } else if (draw < 0.8) {
      kind = OpKind::kSet;
    } else if (draw < 0.85) {
      kind = OpKind::kAdd;
    } else if (draw < 0.93) {
      kind = OpKind::kCompareAndSwap;
      call->operation.expected = call->start.floor;
    } else {
      kind = OpKind::kDelete;
    }
    if (kind != OpKind::kGet && kind != OpKind::kDelete) call->value = absl::StrCat("v", ++unique_);
    if (IsWrite(kind)) history_.WriteBegins(call->key, kind == OpKind::kDelete);
    Send(call, [this, call](OperationResult result) {
      Note(*call, result);
      world_.After(world_.Between({}, absl::Milliseconds(8)), [this] { NextOperation(); });
    });
  }

  void Note(const Call& call, const OperationResult& result) {
    const OpKind kind = call.operation.kind;
    const bool is_delete = kind == OpKind::kDelete;
    if (!result.status.ok()) {
      const bool ambiguous = base::HasReason(result.status, base::reason::kAmbiguous);
      if (IsWrite(kind) && !ambiguous) history_.WriteRefused(call.key, is_delete);
      return;
    }
    if (result.outcome == v1::OUTCOME_OK && kind == OpKind::kGet) {
      history_.SawVersion(call.key, call.start, result.meta.version, result.value.Flatten());
    } else if (result.outcome == v1::OUTCOME_OK) {
      history_.WriteAcknowledged(call.key, call.start, result.meta.version, call.value);
    } else {
      if (IsWrite(kind)) history_.WriteRefused(call.key, is_delete);
      if (result.outcome == v1::OUTCOME_MISS) {
        history_.SawNothing(call.key, call.start);
      } else {  // not stored, mismatch
        history_.SawVersion(call.key, call.start, result.meta.version, {});
      }
    }
  }

  // A client that counts, and repeats each request until it is answered.
  void NextCount() {
    if (stopping_) return;
    auto call = std::make_shared<Call>();
    call->key = "counter";
    call->operation.kind = OpKind::kIncrement;
    call->operation.delta = 1;
    call->operation.initial = 1;
    call->operation.request_id = {77, static_cast<uint64_t>(counted_) + 1};
    Send(call, [this](OperationResult result) {
      if (result.status.ok()) {
        ++counted_;
        if (result.number != counted_) {
          history_.Add(absl::StrCat("counter: ", result.number, " after ", counted_,
                                    " requests, each repeated until it was answered"));
          counted_ = result.number;
        }
      }
      world_.After(absl::Milliseconds(5), [this] { NextCount(); });
    });
  }

  void NextFault() {
    if (!faults_) return;
    const int node = world_.Pick(world_.nodes());
    const int other = (node + 1 + world_.Pick(world_.nodes() - 1)) % world_.nodes();
    const absl::Duration time = world_.Between(absl::Milliseconds(50), absl::Seconds(3));
    switch (world_.Pick(9)) {
      case 0:
      case 1:
        if (world_.Kill(node)) {
          world_.After(time, [this, node] { world_.Restart(node); });
        }
        break;
      case 2:
        world_.Cut(node, other, time);
        break;
      case 3:
        world_.Isolate(node, time, world_.Random() < 0.7);
        if (world_.Random() < 0.7) {
          world_.After(absl::Milliseconds(700), [this, node] { world_.DeclareDead(node); });
        }
        break;
      case 4:
        world_.Pause(node, time);
        if (world_.Random() < 0.5) world_.DeclareDead(node);
        break;
      case 5:
        // Deposed without knowing it, its links whole.
        if (world_.Random() < 0.5) world_.Blind(node, time);
        world_.DeclareDead(node);
        break;
      case 6:
        world_.ResetLink(node, other);
        break;
      default: {
        const auto partitions = Partitions();
        world_.SwapRoles(
            partitions[static_cast<size_t>(world_.Pick(static_cast<int>(partitions.size())))]);
        break;
      }
    }
    world_.After(world_.Between(absl::Milliseconds(20), absl::Milliseconds(900)),
                 [this] { NextFault(); });
  }

  void CheckAtRest() {
    std::vector<std::string> left = Keys();
    for (int attempt = 0; attempt < 10 && !left.empty(); ++attempt) {
      auto again = std::make_shared<std::vector<std::string>>();
      for (const std::string& key : left) {
        auto call = std::make_shared<Call>();
        call->key = key;
        call->start = history_.Begin(key);
        Send(call, [this, call, again](OperationResult result) {
          if (result.status.ok()) {
            Note(*call, result);
          } else {
            again->push_back(call->key);
          }
        });
      }
      world_.RunFor(absl::Milliseconds(1200));
      left = *again;
    }
    for (const std::string& key : left) history_.Add(absl::StrCat(key, ": no answer at rest"));
  }

  const TrialOptions options_;
  World world_;
  History history_;
  bool faults_ = true;
  bool stopping_ = false;
  uint64_t unique_ = 0;
  int64_t counted_ = 0;
};

uint64_t Environment(const char* name, uint64_t otherwise) {
  const char* set = std::getenv(name);
  return set == nullptr ? otherwise : std::strtoull(set, nullptr, 10);
}

TEST(Simulation, NothingAcknowledgedIsLostAndNothingOlderIsRead) {
  const uint64_t first = Environment("ATOLL_SIM_SEED", 1);
  const uint64_t runs = Environment("ATOLL_SIM_RUNS", 8);
  uint64_t acknowledged = 0;
  uint64_t reads = 0;
  for (uint64_t seed = first; seed < first + runs; ++seed) {
    SCOPED_TRACE(absl::StrCat("ATOLL_SIM_SEED=", seed, " ATOLL_SIM_RUNS=1"));
    Trial run({.seed = seed, .replication_factor = seed % 3 == 0 ? 3u : 2u});
    run.Go();
    acknowledged += run.history().acknowledged();
    reads += run.history().reads();
    for (const std::string& violation : run.history().violations()) ADD_FAILURE() << violation;
    if (HasFailure()) break;
  }
  std::cout << "seeds " << first << " to " << first + runs - 1 << ": " << acknowledged
            << " writes acknowledged, " << reads << " reads\n";
  EXPECT_GT(acknowledged, 1000 * runs);
  EXPECT_GT(reads, 1000 * runs);
}

struct Mutation {
  const char* name;
  uint32_t copies;
  Rules rules;
};

class MutatedSimulation : public ::testing::TestWithParam<Mutation> {};

TEST_P(MutatedSimulation, IsCaught) {
  const uint64_t runs = Environment("ATOLL_SIM_MUTATION_RUNS", 30);
  for (uint64_t seed = 1; seed <= runs; ++seed) {
    Trial run({.seed = seed, .replication_factor = GetParam().copies, .rules = GetParam().rules});
    run.Go();
    if (!run.history().violations().empty()) {
      std::cout << "seed " << seed << ": " << run.history().violations().size()
                << " violations, first: " << run.history().violations()[0] << "\n";
      return;
    }
  }
  FAIL() << "no violation in " << runs << " runs";
}

INSTANTIATE_TEST_SUITE_P(Rules, MutatedSimulation,
                         ::testing::Values(Mutation{"R2", 2, {.r2_wait_for_replicas = false}},
                                           Mutation{"R5Lease", 2, {.r5_lease = false}},
                                           Mutation{
                                               "R5Commit", 2, {.reads_wait_for_commit = false}},
                                           Mutation{"R7", 2, {.r7_copy_before_in_sync = false}},
                                           Mutation{"Grace", 2, {.grace = false}}),
                         [](const auto& each) { return each.param.name; });

}  // namespace
}  // namespace atoll::replication::sim
