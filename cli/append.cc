#include <memory>
#include <optional>
#include <string>

#include "cli/commands.h"
#include "cli/entry_output.h"

namespace atoll::cli {
namespace {

struct Arguments {
  std::string key;
  std::string value;
};

using Extend = absl::StatusOr<WriteResult> (Backend::*)(std::string_view key,
                                                        std::string_view bytes,
                                                        const CallOptions& options);

void AddOne(CLI::App& app, Context& context, const std::string& name, const std::string& help,
            Extend extend) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* command =
      AddCommand(app, context, name, help, kDataGroup, [&context, arguments, extend] {
        const std::optional<std::string> value = context.ReadValue(arguments->value);
        if (!value.has_value()) return;
        Backend* backend = context.backend();
        if (backend == nullptr) return;
        PrintWrite(context, arguments->key, "stored",
                   (backend->*extend)(arguments->key, *value,
                                      {.ns = context.ns(), .timeout = context.timeout()}));
      });
  command->add_option("KEY", arguments->key, "1-1,024 bytes")->required();
  command->add_option("VALUE", arguments->value, "Bytes, or - for stdin")->required();
}

}  // namespace

void AddAppend(CLI::App& app, Context& context) {
  AddOne(app, context, "append", "Add bytes behind a value", &Backend::Append);
  AddOne(app, context, "prepend", "Add bytes before a value", &Backend::Prepend);
}

}  // namespace atoll::cli
