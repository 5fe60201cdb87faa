#include <memory>
#include <optional>
#include <string>

#include "cli/commands.h"
#include "cli/entry_output.h"
#include "cli/store_flags.h"

namespace atoll::cli {
namespace {

struct Arguments {
  std::string key;
  std::string value;
  StoreFlags store;
};

using Store = absl::StatusOr<WriteResult> (Backend::*)(std::string_view key, std::string_view value,
                                                       const SetOptions& options);

void AddOne(CLI::App& app, Context& context, const std::string& name, const std::string& help,
            Store store) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* command =
      AddCommand(app, context, name, help, kDataGroup, [&context, arguments, store] {
        const std::optional<std::string> value = context.ReadValue(arguments->value);
        if (!value.has_value()) return;
        Backend* backend = context.backend();
        if (backend == nullptr) return;
        PrintWrite(context, arguments->key, "stored",
                   (backend->*store)(arguments->key, *value, arguments->store.Options(context)));
      });
  command->add_option("KEY", arguments->key, "1-1,024 bytes")->required();
  command->add_option("VALUE", arguments->value, "Bytes, or - for stdin")->required();
  arguments->store.Add(*command);
}

}  // namespace

void AddSet(CLI::App& app, Context& context) {
  AddOne(app, context, "set", "Store a value, whatever was there", &Backend::Set);
  AddOne(app, context, "add", "Store a value unless the key has one", &Backend::Add);
  AddOne(app, context, "replace", "Store a value only if the key has one", &Backend::Replace);
}

}  // namespace atoll::cli
