#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/commands.h"
#include "cli/entry_output.h"

namespace atoll::cli {
namespace {

struct Arguments {
  std::vector<std::string> keys;
  bool bounded = false;
};

void Run(Context& context, const Arguments& arguments) {
  Backend* backend = context.backend();
  if (backend == nullptr) return;
  const std::vector<std::string_view> keys(arguments.keys.begin(), arguments.keys.end());
  MultiGetOptions options{.ns = context.ns(), .timeout = context.timeout()};
  if (arguments.bounded) options.consistency = Consistency::kBounded;
  const auto results = backend->MultiGet(keys, options);
  const bool raw = context.format() == Format::kRaw;
  Table table(raw ? std::vector<std::string>{"KEY", "VALUE"}
                  : std::vector<std::string>{"KEY", "VALUE", "VERSION", "TTL"});
  Json array = Json::array();
  for (size_t i = 0; i < keys.size(); ++i) {
    const absl::StatusOr<GetResult>& result = results[i];
    if (!result.ok()) {
      context.Fail(result.status(), Escape(keys[i]));
      Json object;
      PutBytes(object, "key", keys[i]);
      object["error"] = result.status().ToString();
      array.push_back(object);
      continue;
    }
    array.push_back(EntryJson(keys[i], *result, true));
    if (!result->found()) {
      if (context.format() == Format::kJson) {
        context.Exit(kExitMiss);
      } else {
        context.Fail(kExitMiss, Escape(keys[i]) + ": miss");
      }
      continue;
    }
    std::vector<std::string> row = {Escape(keys[i]), Escape(result->value.view())};
    if (!raw) {
      row.push_back(absl::StrCat(result->version));
      row.push_back(Ttl(result->ttl));
    }
    table.Add(std::move(row));
  }
  context.format() == Format::kJson ? context.PrintJson(array) : context.Print(table);
}

}  // namespace

void AddMget(CLI::App& app, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* command = AddCommand(app, context, "mget", "Print the values of several keys",
                                 kDataGroup, [&context, arguments] { Run(context, *arguments); });
  command->add_option("KEY", arguments->keys, "Up to 10,000 keys")->required();
  command->add_flag("--bounded", arguments->bounded,
                    "Any in-sync copy may answer, at most about a second old");
}

}  // namespace atoll::cli
