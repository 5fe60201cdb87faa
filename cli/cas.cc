#include <cstdint>
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
  uint64_t version = 0;
  std::string value;
  StoreFlags store;
};

}  // namespace

void AddCas(CLI::App& app, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* command =
      AddCommand(app, context, "cas", "Store a value only if the entry still has a version",
                 kDataGroup, [&context, arguments] {
                   const std::optional<std::string> value = context.ReadValue(arguments->value);
                   if (!value.has_value()) return;
                   Backend* backend = context.backend();
                   if (backend == nullptr) return;
                   PrintWrite(context, arguments->key, "stored",
                              backend->CompareAndSwap(arguments->key, *value, arguments->version,
                                                      arguments->store.Options(context)));
                 });
  command->add_option("KEY", arguments->key, "1-1,024 bytes")->required();
  command->add_option("VERSION", arguments->version, "As set, explain or get -o json print it")
      ->required()
      ->type_name("NUMBER");
  command->add_option("VALUE", arguments->value, "Bytes, or - for stdin")->required();
  arguments->store.Add(*command);
}

}  // namespace atoll::cli
