#include <memory>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "cli/commands.h"

namespace atoll::cli {
namespace {

struct Arguments {
  bool replicated = false;
  std::optional<uint32_t> nodes;
  std::optional<absl::Duration> wait;
};

constexpr absl::Duration kBetweenLooks = absl::Milliseconds(200);

// What keeps the cluster from being as healthy as was asked for; empty: nothing.
std::string Complaint(const ClusterHealth& health, const Arguments& arguments) {
  if (!health.serving) {
    return absl::StrCat("not serving: ", health.partitions_without_primary,
                        " partitions have no primary");
  }
  if (arguments.nodes.has_value() && health.nodes_up < *arguments.nodes) {
    return absl::StrCat("nodes up: ", health.nodes_up, ", wanted ", *arguments.nodes);
  }
  if (arguments.replicated && !health.fully_replicated) {
    return absl::StrCat("under-replicated: ", health.partitions_under_replicated, " partitions");
  }
  return "";
}

void Print(Context& context, const ClusterHealth& health) {
  if (context.format() == Format::kJson) {
    return context.PrintJson({{"serving", health.serving},
                              {"fully_replicated", health.fully_replicated},
                              {"partitions_without_primary", health.partitions_without_primary},
                              {"partitions_under_replicated", health.partitions_under_replicated},
                              {"nodes_up", health.nodes_up},
                              {"nodes_known", health.nodes_known},
                              {"coordinator_up", health.coordinator_up}});
  }
  const auto yes = [](bool value) { return value ? "yes" : "no"; };
  Table table({"FACT", "VALUE"});
  table.Add({"serving", yes(health.serving)});
  table.Add({"fully replicated", yes(health.fully_replicated)});
  table.Add({"nodes up", absl::StrCat(health.nodes_up, " of ", health.nodes_known)});
  table.Add({"without primary", absl::StrCat(health.partitions_without_primary)});
  table.Add({"under-replicated", absl::StrCat(health.partitions_under_replicated)});
  table.Add({"coordinator", health.coordinator_up ? "up" : "down"});
  context.Print(table);
}

void Run(Context& context, const Arguments& arguments) {
  Backend* backend = context.backend();
  if (backend == nullptr) return;
  absl::Duration left = arguments.wait.value_or(absl::ZeroDuration());
  for (;;) {
    const absl::StatusOr<ClusterHealth> health = backend->Health();
    const std::string complaint = health.ok() ? Complaint(*health, arguments) : "";
    const bool healthy = health.ok() && complaint.empty();
    const bool may_pass = !health.ok() ? ExitCodeOf(health.status()) == kExitUnavailable : true;
    if (!healthy && may_pass && left > absl::ZeroDuration()) {
      backend->Sleep(kBetweenLooks);
      left -= kBetweenLooks;
      continue;
    }
    if (!health.ok()) return context.Fail(health.status());
    Print(context, *health);
    if (!healthy) context.Fail(kExitUnavailable, complaint);
    return;
  }
}

}  // namespace

void AddHealth(CLI::App& app, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* command = AddCommand(
      app, context, "health", "Whether the cluster serves every partition (exit code 3: no)",
      kClusterGroup, [&context, arguments] { Run(context, *arguments); });
  command->add_flag("--replicated", arguments->replicated, "Every copy must be in sync, too");
  command->add_option("--nodes", arguments->nodes, "At least so many nodes must be up, too")
      ->type_name("NUMBER");
  AddDuration(*command, "--wait", &arguments->wait, "Wait so long for it");
}

}  // namespace atoll::cli
