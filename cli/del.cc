#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cli/commands.h"
#include "cli/entry_output.h"

namespace atoll::cli {

void AddDel(CLI::App& app, Context& context) {
  const auto given = std::make_shared<std::vector<std::string>>();
  CLI::App* command = AddCommand(app, context, "del", "Remove keys", kDataGroup, [&context, given] {
    Backend* backend = context.backend();
    if (backend == nullptr) return;
    const std::vector<std::string_view> keys(given->begin(), given->end());
    const auto results =
        backend->MultiDelete(keys, {.ns = context.ns(), .timeout = context.timeout()});
    size_t deleted = 0;
    Json array = Json::array();
    for (size_t i = 0; i < keys.size(); ++i) {
      if (!results[i].ok()) {
        context.Fail(results[i].status(), keys.size() > 1 ? Escape(keys[i]) : "");
        continue;
      }
      deleted += results[i]->ok() ? 1 : 0;
      array.push_back(WriteJson(keys[i], *results[i]));
      if (context.format() == Format::kJson) {
        context.Exit(ExitCodeOf(results[i]->outcome));
      } else if (!results[i]->ok()) {
        context.Fail(kExitMiss, Escape(keys[i]) + ": miss");
      }
    }
    switch (context.format()) {
      case Format::kJson:
        return context.PrintJson(array);
      case Format::kRaw:
        context.out() << deleted << "\n";
        return;
      case Format::kTable:
        context.out() << "deleted " << deleted << " of " << keys.size() << "\n";
        return;
    }
  });
  command->add_option("KEY", *given, "Keys to remove")->required();
}

}  // namespace atoll::cli
