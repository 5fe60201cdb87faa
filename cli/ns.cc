#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/commands.h"

namespace atoll::cli {
namespace {

struct Arguments {
  std::string name;
  std::optional<absl::Duration> ttl;
  std::optional<uint32_t> max_memory;
  std::optional<uint32_t> min_memory;
  std::string persist;
  std::string ack;
  std::optional<uint32_t> ttl_jitter;
  bool yes = false;

  NamespaceSettings Settings() const {
    static const std::map<std::string, Persistence> kPersistence = {{"", Persistence::kDefault},
                                                                    {"warm", Persistence::kWarm},
                                                                    {"all", Persistence::kAll},
                                                                    {"off", Persistence::kOff}};
    static const std::map<std::string, Acknowledgement> kAcknowledgement = {
        {"", Acknowledgement::kDefault},
        {"isr", Acknowledgement::kIsr},
        {"primary", Acknowledgement::kPrimary}};
    return {.default_ttl = ttl,
            .max_memory_percent = max_memory,
            .min_memory_percent = min_memory,
            .persistence = kPersistence.at(persist),
            .acknowledgement = kAcknowledgement.at(ack),
            .ttl_jitter_percent = ttl_jitter};
  }
};

std::string PersistenceName(Persistence persistence) {
  switch (persistence) {
    case Persistence::kAll:
      return "all";
    case Persistence::kOff:
      return "off";
    case Persistence::kDefault:
    case Persistence::kWarm:
      break;
  }
  return "warm";
}

std::string AcknowledgementName(Acknowledgement acknowledgement) {
  return acknowledgement == Acknowledgement::kPrimary ? "primary" : "isr";
}

// Zero is how "never" is kept.
std::optional<absl::Duration> DefaultTtl(const NamespaceSettings& settings) {
  if (settings.default_ttl.value_or(absl::ZeroDuration()) == absl::ZeroDuration()) {
    return std::nullopt;
  }
  return settings.default_ttl;
}

Json ToJson(const Namespace& ns) {
  const NamespaceSettings& settings = ns.settings;
  return {{"name", ns.name},
          {"id", ns.id},
          {"default_ttl_ms", TtlJson(DefaultTtl(settings))},
          {"max_memory_percent", settings.max_memory_percent.value_or(0)},
          {"min_memory_percent", settings.min_memory_percent.value_or(0)},
          {"persist", PersistenceName(settings.persistence)},
          {"ack", AcknowledgementName(settings.acknowledgement)},
          {"ttl_jitter_percent", settings.ttl_jitter_percent.value_or(0)}};
}

void PrintNamespaces(Context& context, const std::vector<Namespace>& namespaces) {
  Table table({"NAME", "ID", "TTL", "MAX MEMORY", "MIN MEMORY", "PERSIST", "ACK", "TTL JITTER"});
  const auto percent = [](const std::optional<uint32_t>& value) {
    return value.value_or(0) == 0 ? std::string("-") : absl::StrCat(*value, "%");
  };
  for (const Namespace& ns : namespaces) {
    const NamespaceSettings& settings = ns.settings;
    table.Add({ns.name, absl::StrCat(ns.id), Ttl(DefaultTtl(settings)),
               percent(settings.max_memory_percent), percent(settings.min_memory_percent),
               PersistenceName(settings.persistence), AcknowledgementName(settings.acknowledgement),
               percent(settings.ttl_jitter_percent)});
  }
  context.Print(table);
}

void PrintOne(Context& context, const absl::StatusOr<Namespace>& ns) {
  if (!ns.ok()) return context.Fail(ns.status());
  context.format() == Format::kJson ? context.PrintJson(ToJson(*ns))
                                    : PrintNamespaces(context, {*ns});
}

void List(Context& context) {
  Backend* backend = context.backend();
  if (backend == nullptr) return;
  const absl::StatusOr<std::vector<Namespace>> namespaces = backend->ListNamespaces();
  if (!namespaces.ok()) return context.Fail(namespaces.status());
  if (context.format() != Format::kJson) return PrintNamespaces(context, *namespaces);
  Json array = Json::array();
  for (const Namespace& ns : *namespaces) array.push_back(ToJson(ns));
  context.PrintJson(array);
}

void Drop(Context& context, const Arguments& arguments) {
  if (!context.Confirm("Drop namespace " + arguments.name + " and everything in it?",
                       arguments.yes)) {
    return;
  }
  Backend* backend = context.backend();
  if (backend == nullptr) return;
  const absl::Status status = backend->DropNamespace(arguments.name);
  if (!status.ok()) return context.Fail(status);
  if (context.format() == Format::kJson) {
    context.PrintJson({{"name", arguments.name}, {"dropped", true}});
  } else if (context.format() == Format::kTable) {
    context.out() << "dropped " << arguments.name << "\n";
  }
}

void AddSettings(CLI::App& command, Arguments& arguments) {
  command.add_option("NAME", arguments.name, "[a-z0-9][a-z0-9._-]{0,62}")->required();
  AddDuration(command, "--ttl", &arguments.ttl, "For writes that name none; never", true);
  command
      .add_option("--max-memory", arguments.max_memory,
                  "Percent of a node's memory it may take; 0: no limit of its own")
      ->type_name("PERCENT");
  command
      .add_option("--min-memory", arguments.min_memory,
                  "Percent of a node's memory that others may not take from it")
      ->type_name("PERCENT");
  command.add_option("--persist", arguments.persist, "What survives a restart: warm, all or off")
      ->check(CLI::IsMember({"warm", "all", "off"}))
      ->type_name("WHAT");
  command
      .add_option("--ack", arguments.ack,
                  "Who must have a write before it is acknowledged: isr or primary")
      ->check(CLI::IsMember({"isr", "primary"}))
      ->type_name("WHO");
  command
      .add_option("--ttl-jitter", arguments.ttl_jitter,
                  "Each time to live is shortened by at most so many percent, 0-50")
      ->type_name("PERCENT");
}

}  // namespace

void AddNs(CLI::App& app, Context& context) {
  CLI::App* ns = app.add_subcommand("ns", "Namespaces: create, list, set, drop");
  ns->group(kClusterGroup);
  ns->fallthrough();
  ns->require_subcommand(1);

  const auto created = std::make_shared<Arguments>();
  CLI::App* create =
      AddCommand(*ns, context, "create", "Make a namespace", "Commands", [&context, created] {
        Backend* backend = context.backend();
        if (backend == nullptr) return;
        PrintOne(context, backend->CreateNamespace(created->name, created->Settings()));
      });
  AddSettings(*create, *created);

  AddCommand(*ns, context, "list", "Show all namespaces", "Commands",
             [&context] { List(context); });

  const auto changed = std::make_shared<Arguments>();
  CLI::App* set = AddCommand(
      *ns, context, "set", "Change settings of a namespace", "Commands", [&context, changed] {
        Backend* backend = context.backend();
        if (backend == nullptr) return;
        PrintOne(context, backend->UpdateNamespace(changed->name, changed->Settings()));
      });
  AddSettings(*set, *changed);

  const auto dropped = std::make_shared<Arguments>();
  CLI::App* drop = AddCommand(*ns, context, "drop", "Remove a namespace and everything in it",
                              "Commands", [&context, dropped] { Drop(context, *dropped); });
  drop->add_option("NAME", dropped->name, "The namespace")->required();
  drop->add_flag("-y,--yes", dropped->yes, "Do not ask");
}

}  // namespace atoll::cli
