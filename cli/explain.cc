#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/commands.h"

namespace atoll::cli {
namespace {

void Run(Context& context, const std::string& key) {
  Backend* backend = context.backend();
  if (backend == nullptr) return;
  const absl::StatusOr<Explanation> found = backend->Explain(key, context.ns());
  if (!found.ok()) return context.Fail(found.status());
  const Explanation& it = *found;
  const auto name = [&it](uint32_t place) {
    return place < it.nodes.size() ? it.nodes[place].name : std::string("?");
  };
  const auto names = [&name](const std::vector<uint32_t>& places) {
    std::vector<std::string> list;
    list.reserve(places.size());
    for (const uint32_t place : places) list.push_back(name(place));
    return list;
  };
  const bool present = it.tier == Tier::kMemory || it.tier == Tier::kDisk;
  if (context.format() == Format::kJson) {
    Json object;
    PutBytes(object, "key", key);
    object["namespace"] = context.NamespaceName();
    object["hash"] = Hex(it.hash);
    object["partition"] = it.partition.partition;
    object["epoch"] = it.partition.epoch;
    object["primary"] =
        it.partition.primary.has_value() ? Json(name(*it.partition.primary)) : Json();
    object["in_sync"] = names(it.partition.in_sync);
    object["learners"] = names(it.partition.learners);
    object["tier"] = std::string(TierName(it.tier));
    if (present) {
      object["version"] = it.version;
      object["ttl_ms"] = TtlJson(it.ttl);
      object["size"] = it.size;
      object["flags"] = it.flags;
    }
    return context.PrintJson(object);
  }
  const auto joined = [](const std::vector<std::string>& list) {
    return list.empty() ? std::string("-") : absl::StrJoin(list, ", ");
  };
  Table table({"FACT", "VALUE"});
  table.Add({"key", Escape(key)});
  table.Add({"namespace", context.NamespaceName()});
  table.Add({"hash", Hex(it.hash)});
  table.Add({"partition", absl::StrCat(it.partition.partition)});
  table.Add({"epoch", absl::StrCat(it.partition.epoch)});
  table.Add({"primary", it.partition.primary.has_value() ? name(*it.partition.primary) : "-"});
  table.Add({"in sync", joined(names(it.partition.in_sync))});
  table.Add({"learners", joined(names(it.partition.learners))});
  table.Add({"tier", std::string(TierName(it.tier))});
  if (present) {
    table.Add({"version", absl::StrCat(it.version)});
    table.Add({"ttl", Ttl(it.ttl)});
    table.Add({"size", context.format() == Format::kRaw ? absl::StrCat(it.size) : Bytes(it.size)});
    table.Add({"flags", absl::StrCat(it.flags)});
  }
  context.Print(table);
}

}  // namespace

void AddExplain(CLI::App& app, Context& context) {
  const auto key = std::make_shared<std::string>();
  CLI::App* command =
      AddCommand(app, context, "explain", "Where a key lives and what is known of it",
                 kClusterGroup, [&context, key] { Run(context, *key); });
  command->add_option("KEY", *key, "1-1,024 bytes")->required();
}

}  // namespace atoll::cli
