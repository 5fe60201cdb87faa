#include <memory>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/entry_output.h"

namespace atoll::cli {
namespace {

// Everything of an entry but its value; asking so is no read of the entry.
absl::StatusOr<GetResult> Look(Context& context, Backend& backend, const std::string& key) {
  return backend.Get(key,
                     {.ns = context.ns(), .timeout = context.timeout(), .metadata_only = true});
}

void PrintTtl(Context& context, const std::string& key) {
  Backend* backend = context.backend();
  if (backend == nullptr) return;
  const absl::StatusOr<GetResult> entry = Look(context, *backend, key);
  if (!entry.ok()) return context.Fail(entry.status());
  if (context.format() == Format::kJson) {
    context.PrintJson(EntryJson(key, *entry, false));
    context.Exit(ExitCodeOf(entry->outcome));
  } else if (!entry->found()) {
    context.Fail(kExitMiss, Escape(key) + ": miss");
  } else {
    context.out() << Ttl(entry->ttl) << "\n";
  }
}

void PrintExistence(Context& context, const std::vector<std::string>& keys) {
  Backend* backend = context.backend();
  if (backend == nullptr) return;
  Table table({"KEY", "EXISTS"});
  Json array = Json::array();
  for (const std::string& key : keys) {
    const absl::StatusOr<GetResult> entry = Look(context, *backend, key);
    if (!entry.ok()) {
      context.Fail(entry.status(), keys.size() > 1 ? Escape(key) : "");
      continue;
    }
    table.Add({Escape(key), entry->found() ? "yes" : "no"});
    Json object;
    PutBytes(object, "key", key);
    object["exists"] = entry->found();
    array.push_back(object);
    if (!entry->found()) context.Exit(kExitMiss);
  }
  context.format() == Format::kJson ? context.PrintJson(array) : context.Print(table);
}

}  // namespace

void AddTtl(CLI::App& app, Context& context) {
  const auto key = std::make_shared<std::string>();
  CLI::App* ttl = AddCommand(app, context, "ttl", "Print how long a key has to live, or never",
                             kDataGroup, [&context, key] { PrintTtl(context, *key); });
  ttl->add_option("KEY", *key, "1-1,024 bytes")->required();

  const auto keys = std::make_shared<std::vector<std::string>>();
  CLI::App* exists =
      AddCommand(app, context, "exists", "Tell whether keys have entries (exit code 1: not all)",
                 kDataGroup, [&context, keys] { PrintExistence(context, *keys); });
  exists->add_option("KEY", *keys, "Keys to look for")->required();
}

}  // namespace atoll::cli
