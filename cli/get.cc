#include <memory>
#include <optional>
#include <string>

#include "cli/commands.h"
#include "cli/entry_output.h"

namespace atoll::cli {
namespace {

struct Arguments {
  std::string key;
  bool bounded = false;
  std::optional<absl::Duration> ttl;
  std::optional<absl::Duration> max_idle;
};

}  // namespace

void AddGet(CLI::App& app, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* get =
      AddCommand(app, context, "get", "Print the value of a key", kDataGroup, [&, arguments] {
        Backend* backend = context.backend();
        if (backend == nullptr) return;
        GetOptions options{.ns = context.ns(), .timeout = context.timeout()};
        if (arguments->bounded) options.consistency = Consistency::kBounded;
        PrintEntry(context, arguments->key, backend->Get(arguments->key, options));
      });
  get->add_option("KEY", arguments->key, "1-1,024 bytes")->required();
  get->add_flag("--bounded", arguments->bounded,
                "Any in-sync copy may answer, at most about a second old");

  const auto touch = std::make_shared<Arguments>();
  CLI::App* gat =
      AddCommand(app, context, "gat", "Print the value of a key and change its time to live",
                 kDataGroup, [&, touch] {
                   Backend* backend = context.backend();
                   if (backend == nullptr) return;
                   PrintEntry(context, touch->key,
                              backend->GetAndTouch(touch->key, {.ns = context.ns(),
                                                                .timeout = context.timeout(),
                                                                .ttl = touch->ttl,
                                                                .max_idle = touch->max_idle}));
                 });
  gat->add_option("KEY", touch->key, "1-1,024 bytes")->required();
  AddDuration(*gat, "--ttl", &touch->ttl, "Time to live; never (default: the namespace's)", true)
      ->envname("ATOLL_TTL");
  AddDuration(*gat, "--max-idle", &touch->max_idle, "Expire when not read for so long; never",
              true);
}

}  // namespace atoll::cli
