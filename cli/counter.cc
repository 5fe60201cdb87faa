#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "cli/commands.h"
#include "cli/entry_output.h"

namespace atoll::cli {
namespace {

struct Arguments {
  std::string key;
  int64_t delta = 1;
  std::optional<int64_t> initial;
  std::optional<absl::Duration> ttl;
};

using Count = absl::StatusOr<CounterResult> (Backend::*)(std::string_view key, int64_t delta,
                                                         const CounterOptions& options);

void Print(Context& context, const std::string& key, const absl::StatusOr<CounterResult>& result) {
  if (!result.ok()) return context.Fail(result.status());
  if (context.format() == Format::kJson) {
    Json object;
    PutBytes(object, "key", key);
    object["outcome"] = std::string(OutcomeName(result->outcome));
    if (result->ok()) {
      object["number"] = result->number;
      object["version"] = result->version;
      object["copies"] = result->copies;
    }
    context.PrintJson(object);
    context.Exit(ExitCodeOf(result->outcome));
  } else if (!result->ok()) {
    context.Fail(kExitMiss, Escape(key) + ": miss");
  } else {
    context.out() << result->number << "\n";
  }
}

void AddOne(CLI::App& app, Context& context, const std::string& name, const std::string& help,
            Count count) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* command =
      AddCommand(app, context, name, help, kDataGroup, [&context, arguments, count] {
        Backend* backend = context.backend();
        if (backend == nullptr) return;
        Print(context, arguments->key,
              (backend->*count)(arguments->key, arguments->delta,
                                {.ns = context.ns(),
                                 .timeout = context.timeout(),
                                 .initial = arguments->initial,
                                 .ttl = arguments->ttl}));
      });
  command->add_option("KEY", arguments->key, "1-1,024 bytes")->required();
  command->add_option("DELTA", arguments->delta, "By how much (default 1)")->type_name("NUMBER");
  command->add_option("--initial", arguments->initial, "What a key without an entry gets")
      ->type_name("NUMBER");
  AddDuration(*command, "--ttl", &arguments->ttl, "Time to live of an entry that is made; never",
              true)
      ->envname("ATOLL_TTL");
}

}  // namespace

void AddCounter(CLI::App& app, Context& context) {
  AddOne(app, context, "incr", "Add to a counter and print it", &Backend::Increment);
  AddOne(app, context, "decr", "Subtract from a counter and print it", &Backend::Decrement);
}

}  // namespace atoll::cli
