#include <memory>
#include <string>
#include <vector>

#include "cli/commands.h"

namespace atoll::cli {
namespace {

struct Target {
  std::string name;
  std::string address;
};

void Run(Context& context, bool all) {
  Backend* backend = context.backend();
  if (backend == nullptr) return;
  std::vector<Target> targets;
  if (all) {
    const absl::StatusOr<NodeList> nodes = backend->ListNodes();
    if (!nodes.ok()) return context.Fail(nodes.status());
    for (const NodeSummary& node : nodes->nodes) {
      if (node.node.state != NodeState::kDown) {
        targets.push_back({node.node.name, node.node.address});
      }
    }
  } else {
    const absl::StatusOr<ClientOptions> options = context.MakeClientOptions();
    if (!options.ok()) return context.Fail(options.status());
    for (const std::string& endpoint : options->endpoints) targets.push_back({"-", endpoint});
  }
  Table table({"NODE", "ADDRESS", "ROUND TRIP"});
  Json array = Json::array();
  for (const Target& target : targets) {
    const absl::StatusOr<absl::Duration> took = backend->Ping(target.address);
    Json object;
    if (all) object["node"] = target.name;
    object["address"] = target.address;
    object["serving"] = took.ok();
    if (took.ok()) {
      object["round_trip_us"] = absl::ToInt64Microseconds(*took);
      table.Add({target.name, target.address, Short(*took)});
    } else {
      context.Fail(took.status(), target.address);
    }
    array.push_back(object);
  }
  context.format() == Format::kJson ? context.PrintJson(array) : context.Print(table);
}

}  // namespace

void AddPing(CLI::App& app, Context& context) {
  const auto all = std::make_shared<bool>(false);
  CLI::App* command =
      AddCommand(app, context, "ping", "Ask the endpoints whether they serve, and time it",
                 kClusterGroup, [&context, all] { Run(context, *all); });
  command->add_flag("--all", *all, "Every node of the cluster, at the address it tells");
}

}  // namespace atoll::cli
