#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/commands.h"
#include "cli/entry_output.h"

namespace atoll::cli {
namespace {

struct Arguments {
  std::string prefix;
  uint64_t limit = 0;
  bool values = false;
};

constexpr uint32_t kPage = 1000;

void Run(Context& context, const Arguments& arguments) {
  Backend* backend = context.backend();
  if (backend == nullptr) return;
  ScanOptions options{.ns = context.ns(),
                      .timeout = context.timeout(),
                      .prefix = arguments.prefix,
                      .with_values = arguments.values};
  const Format format = context.format();
  uint64_t listed = 0;
  // Page by page, so that a namespace of any size passes in bounded memory.
  if (format == Format::kJson) context.out() << "[";
  for (;;) {
    const uint64_t left = arguments.limit == 0 ? kPage : arguments.limit - listed;
    options.limit = static_cast<uint32_t>(std::min<uint64_t>(kPage, left));
    const absl::StatusOr<ScanPage> page = backend->Scan(options);
    if (!page.ok()) {
      context.Fail(page.status());
      break;
    }
    std::vector<std::string> header = {"KEY"};
    if (format == Format::kTable) header.insert(header.end(), {"SIZE", "TTL"});
    if (arguments.values) header.push_back("VALUE");
    Table table(header);
    for (const ScanEntry& entry : page->entries) {
      if (format == Format::kJson) {
        const bool with_value = arguments.values && entry.entry.value.size() == entry.entry.size;
        context.out() << (listed == 0 ? "\n" : ",\n")
                      << EntryJson(entry.key, entry.entry, with_value)
                             .dump(-1, ' ', false, Json::error_handler_t::replace);
      } else {
        std::vector<std::string> row = {Escape(entry.key)};
        if (format == Format::kTable) {
          row.push_back(absl::StrCat(entry.entry.size));
          row.push_back(Ttl(entry.entry.ttl));
        }
        if (arguments.values) row.push_back(Escape(entry.entry.value.view()));
        table.Add(std::move(row));
      }
      ++listed;
    }
    if (format != Format::kJson && !page->entries.empty()) context.Print(table);
    if (page->cursor.empty() || (arguments.limit != 0 && listed >= arguments.limit)) break;
    options.cursor = page->cursor;
  }
  if (format == Format::kJson) context.out() << (listed == 0 ? "]\n" : "\n]\n");
}

}  // namespace

void AddScan(CLI::App& app, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* command = AddCommand(app, context, "scan", "List the keys of a namespace", kDataGroup,
                                 [&context, arguments] { Run(context, *arguments); });
  command->add_option("PREFIX", arguments->prefix, "Only keys that begin so");
  command->add_option("--limit", arguments->limit, "How many at the most (default: all)")
      ->type_name("NUMBER");
  command->add_flag("--values", arguments->values, "Values up to 64 KiB too");
}

}  // namespace atoll::cli
