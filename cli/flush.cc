#include <memory>

#include "cli/commands.h"

namespace atoll::cli {

void AddFlush(CLI::App& app, Context& context) {
  const auto yes = std::make_shared<bool>(false);
  CLI::App* command =
      AddCommand(app, context, "flush", "Make every entry of a namespace read as absent",
                 kDataGroup, [&context, yes] {
                   const std::string ns = context.NamespaceName();
                   if (!context.Confirm("Flush every entry of namespace " + ns + "?", *yes)) return;
                   Backend* backend = context.backend();
                   if (backend == nullptr) return;
                   const absl::Status status =
                       backend->Flush({.ns = context.ns(), .timeout = context.timeout()});
                   if (!status.ok()) return context.Fail(status);
                   if (context.format() == Format::kJson) {
                     context.PrintJson({{"namespace", ns}, {"flushed", true}});
                   } else if (context.format() == Format::kTable) {
                     context.out() << "flushed " << ns << "\n";
                   }
                 });
  command->add_flag("-y,--yes", *yes, "Do not ask");
}

}  // namespace atoll::cli
