#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/commands.h"

namespace atoll::cli {
namespace {

struct Arguments {
  bool partitions = false;
  std::optional<uint32_t> partition;
};

// What a node holds of the ring.
struct Holding {
  uint32_t primaries = 0;
  uint32_t copies = 0;
  uint32_t learners = 0;
};

std::string NameOf(const Topology& topology, uint32_t place) {
  return place < topology.nodes.size() ? topology.nodes[place].name : "?";
}

std::string NamesOf(const Topology& topology, const std::vector<uint32_t>& places) {
  if (places.empty()) return "-";
  std::vector<std::string> names;
  names.reserve(places.size());
  for (const uint32_t place : places) names.push_back(NameOf(topology, place));
  return absl::StrJoin(names, ",");
}

void PrintPartitions(Context& context, const Topology& topology,
                     const std::vector<Partition>& partitions) {
  Table table({"PARTITION", "PRIMARY", "IN SYNC", "LEARNERS", "EPOCH", "RESETS"});
  Json array = Json::array();
  for (const Partition& partition : partitions) {
    if (context.format() == Format::kJson) {
      const auto names = [&topology](const std::vector<uint32_t>& places) {
        Json list = Json::array();
        for (const uint32_t place : places) list.push_back(NameOf(topology, place));
        return list;
      };
      Json object;
      object["partition"] = partition.partition;
      object["primary"] =
          partition.primary.has_value() ? Json(NameOf(topology, *partition.primary)) : Json();
      object["in_sync"] = names(partition.in_sync);
      object["learners"] = names(partition.learners);
      object["epoch"] = partition.epoch;
      object["resets"] = partition.reset_epoch;
      array.push_back(object);
      continue;
    }
    table.Add({absl::StrCat(partition.partition),
               partition.primary.has_value() ? NameOf(topology, *partition.primary) : "-",
               NamesOf(topology, partition.in_sync), NamesOf(topology, partition.learners),
               absl::StrCat(partition.epoch), absl::StrCat(partition.reset_epoch)});
  }
  context.format() == Format::kJson ? context.PrintJson(array) : context.Print(table);
}

void PrintNodes(Context& context, const Topology& topology) {
  std::vector<Holding> holdings(topology.nodes.size());
  uint32_t unowned = 0;
  uint32_t copying = 0;
  for (const Partition& partition : topology.partitions) {
    if (!partition.primary.has_value()) ++unowned;
    if (partition.primary.has_value() && *partition.primary < holdings.size()) {
      ++holdings[*partition.primary].primaries;
    }
    for (const uint32_t place : partition.in_sync) {
      if (place < holdings.size()) ++holdings[place].copies;
    }
    if (!partition.learners.empty()) ++copying;
    for (const uint32_t place : partition.learners) {
      if (place < holdings.size()) ++holdings[place].learners;
    }
  }
  if (context.format() == Format::kJson) {
    Json nodes = Json::array();
    for (size_t i = 0; i < topology.nodes.size(); ++i) {
      const Node& node = topology.nodes[i];
      nodes.push_back({{"node", node.name},
                       {"state", std::string(NodeStateName(node.state))},
                       {"zone", node.zone},
                       {"weight", node.weight},
                       {"primaries", holdings[i].primaries},
                       {"copies", holdings[i].copies},
                       {"learners", holdings[i].learners},
                       {"address", node.address}});
    }
    context.PrintJson({{"cluster", topology.cluster},
                       {"cluster_id", topology.cluster_id},
                       {"map_version", topology.version},
                       {"replication_factor", topology.replication_factor},
                       {"partitions", topology.partitions.size()},
                       {"without_primary", unowned},
                       {"copying", copying},
                       {"nodes", nodes}});
    return;
  }
  Table table(
      {"NODE", "STATE", "ZONE", "WEIGHT", "PRIMARY OF", "SHARE", "COPIES", "LEARNING", "ADDRESS"});
  const double total = std::max<double>(1, static_cast<double>(topology.partitions.size()));
  for (size_t i = 0; i < topology.nodes.size(); ++i) {
    const Node& node = topology.nodes[i];
    table.Add({node.name, std::string(NodeStateName(node.state)),
               node.zone.empty() ? "-" : node.zone, absl::StrCat(node.weight),
               absl::StrCat(holdings[i].primaries), Percent(holdings[i].primaries / total),
               absl::StrCat(holdings[i].copies), absl::StrCat(holdings[i].learners), node.address});
  }
  if (context.format() == Format::kTable) {
    context.out() << "cluster " << topology.cluster << ", map " << topology.version << ", "
                  << topology.partitions.size() << " partitions, replication factor "
                  << topology.replication_factor << "\n";
  }
  context.Print(table);
  if (context.format() == Format::kTable && unowned > 0) {
    context.out() << unowned << (unowned == 1 ? " partition has" : " partitions have")
                  << " no primary\n";
  }
  if (context.format() == Format::kTable && copying > 0) {
    context.out() << copying << (copying == 1 ? " partition is" : " partitions are")
                  << " being copied\n";
  }
}

void Run(Context& context, const Arguments& arguments) {
  Backend* backend = context.backend();
  if (backend == nullptr) return;
  const absl::StatusOr<Topology> topology = backend->GetTopology();
  if (!topology.ok()) return context.Fail(topology.status());
  if (arguments.partition.has_value()) {
    for (const Partition& partition : topology->partitions) {
      if (partition.partition == *arguments.partition) {
        return PrintPartitions(context, *topology, {partition});
      }
    }
    const size_t count = topology->partitions.size();
    return context.Fail(kExitRefused, count == 0 ? "no partition is assigned yet"
                                                 : absl::StrCat("partition: ", *arguments.partition,
                                                                ", limit ", count - 1));
  }
  if (arguments.partitions) return PrintPartitions(context, *topology, topology->partitions);
  PrintNodes(context, *topology);
}

}  // namespace

void AddRing(CLI::App& app, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* command = AddCommand(app, context, "ring", "Which node owns how much", kClusterGroup,
                                 [&context, arguments] { Run(context, *arguments); });
  command->add_flag("--partitions", arguments->partitions, "Every partition and its nodes");
  command->add_option("--partition", arguments->partition, "One partition and its nodes")
      ->type_name("NUMBER");
}

}  // namespace atoll::cli
