#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "cli/commands.h"

namespace atoll::cli {
namespace {

struct Arguments {
  std::string name;
  bool undo = false;
  std::optional<absl::Duration> wait;
};

constexpr absl::Duration kBetweenLooks = absl::Milliseconds(200);

void List(Context& context) {
  Backend* backend = context.backend();
  if (backend == nullptr) return;
  const absl::StatusOr<NodeList> nodes = backend->ListNodes();
  if (!nodes.ok()) return context.Fail(nodes.status());
  Table table({"NODE", "STATE", "ZONE", "WEIGHT", "PRIMARY OF", "REPLICA OF", "LEARNING",
               "CONTROLLER", "ADDRESS", "VERSION"});
  Json array = Json::array();
  for (const NodeSummary& summary : nodes->nodes) {
    const Node& node = summary.node;
    table.Add({node.name, std::string(NodeStateName(node.state)),
               node.zone.empty() ? "-" : node.zone, absl::StrCat(node.weight),
               absl::StrCat(summary.primaries), absl::StrCat(summary.replicas),
               absl::StrCat(summary.learners), summary.controller ? "yes" : "no", node.address,
               node.program_version});
    array.push_back({{"node", node.name},
                     {"incarnation", Hex(node.incarnation)},
                     {"state", std::string(NodeStateName(node.state))},
                     {"zone", node.zone},
                     {"weight", node.weight},
                     {"primaries", summary.primaries},
                     {"replicas", summary.replicas},
                     {"learners", summary.learners},
                     {"controller", summary.controller},
                     {"address", node.address},
                     {"version", node.program_version}});
  }
  context.format() == Format::kJson ? context.PrintJson(array) : context.Print(table);
}

// Until the node holds nothing. False: not in time, or a failure; reported.
bool WaitUntilEmpty(Context& context, Backend& backend, const Arguments& arguments) {
  uint32_t left = 0;
  for (absl::Duration time = *arguments.wait; time >= absl::ZeroDuration(); time -= kBetweenLooks) {
    const absl::StatusOr<NodeList> nodes = backend.ListNodes();
    if (!nodes.ok()) {
      context.Fail(nodes.status());
      return false;
    }
    left = 0;
    for (const NodeSummary& summary : nodes->nodes) {
      if (summary.node.name != arguments.name) continue;
      left += summary.primaries + summary.replicas + summary.learners;
    }
    if (left == 0) return true;
    backend.Sleep(kBetweenLooks);
  }
  context.Fail(kExitUnavailable,
               absl::StrCat(arguments.name, ": ", left, " copies are still there"));
  return false;
}

void Drain(Context& context, const Arguments& arguments) {
  Backend* backend = context.backend();
  if (backend == nullptr) return;
  const absl::Status status = backend->DrainNode(arguments.name, arguments.undo);
  if (!status.ok()) return context.Fail(status);
  const bool waits = arguments.wait.has_value() && !arguments.undo;
  if (waits && !WaitUntilEmpty(context, *backend, arguments)) return;
  const std::string state = arguments.undo ? "up" : waits ? "drained" : "draining";
  if (context.format() == Format::kJson) {
    context.PrintJson({{"node", arguments.name}, {"state", state}});
  } else if (context.format() == Format::kTable) {
    context.out() << arguments.name << " is " << state
                  << (state == "draining" ? ": follow it by node list" : "") << "\n";
  }
}

}  // namespace

void AddNode(CLI::App& app, Context& context) {
  CLI::App* node = app.add_subcommand("node", "Nodes: list, drain");
  node->group(kClusterGroup);
  node->fallthrough();
  node->require_subcommand(1);
  AddCommand(*node, context, "list", "Show all nodes", "Commands", [&context] { List(context); });

  const auto arguments = std::make_shared<Arguments>();
  CLI::App* drain = AddCommand(*node, context, "drain", "Move every copy off a node", "Commands",
                               [&context, arguments] { Drain(context, *arguments); });
  drain->add_option("NAME", arguments->name, "The node")->required();
  drain->add_flag("--undo", arguments->undo, "Take a drain back");
  AddDuration(*drain, "--wait", &arguments->wait, "Wait so long until it is empty");
}

}  // namespace atoll::cli
