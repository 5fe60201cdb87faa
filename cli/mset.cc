#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/commands.h"
#include "cli/entry_output.h"
#include "cli/store_flags.h"

namespace atoll::cli {
namespace {

struct Arguments {
  std::vector<std::string> pairs;
  StoreFlags store;
};

void Run(Context& context, const Arguments& arguments) {
  const std::vector<std::string>& pairs = arguments.pairs;
  if (pairs.size() % 2 != 0) {
    return context.Fail(kExitRefused,
                        absl::StrCat(Escape(pairs.back()), ": a key without a value"));
  }
  std::vector<std::string> values;
  bool stdin_taken = false;
  for (size_t i = 1; i < pairs.size(); i += 2) {
    if (pairs[i] == "-" && std::exchange(stdin_taken, true)) {
      return context.Fail(kExitRefused, "value: - can be given once");
    }
    std::optional<std::string> value = context.ReadValue(pairs[i]);
    if (!value.has_value()) return;
    values.push_back(*std::move(value));
  }
  std::vector<SetEntry> entries;
  for (size_t i = 0; i < values.size(); ++i) {
    entries.push_back({.key = pairs[2 * i],
                       .value = values[i],
                       .ttl = arguments.store.ttl,
                       .max_idle = arguments.store.max_idle.value_or(absl::ZeroDuration()),
                       .flags = arguments.store.flags});
  }
  Backend* backend = context.backend();
  if (backend == nullptr) return;
  const auto results =
      backend->MultiSet(entries, {.ns = context.ns(), .timeout = context.timeout()});
  size_t stored = 0;
  Table table({"KEY", "VERSION"});
  Json array = Json::array();
  for (size_t i = 0; i < entries.size(); ++i) {
    if (!results[i].ok()) {
      context.Fail(results[i].status(), entries.size() > 1 ? Escape(entries[i].key) : "");
      continue;
    }
    ++stored;
    table.Add({Escape(entries[i].key), absl::StrCat(results[i]->version)});
    array.push_back(WriteJson(entries[i].key, *results[i]));
  }
  switch (context.format()) {
    case Format::kJson:
      return context.PrintJson(array);
    case Format::kRaw:
      return context.Print(table);
    case Format::kTable:
      context.out() << "stored " << stored << " of " << entries.size() << "\n";
      return;
  }
}

}  // namespace

void AddMset(CLI::App& app, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* command = AddCommand(app, context, "mset", "Store several values", kDataGroup,
                                 [&context, arguments] { Run(context, *arguments); });
  command->add_option("KEY-VALUE", arguments->pairs, "KEY VALUE [KEY VALUE ...], up to 10,000")
      ->required();
  arguments->store.Add(*command);
}

}  // namespace atoll::cli
