#include "cli/entry_output.h"

#include "absl/strings/str_cat.h"

namespace atoll::cli {

Json EntryJson(std::string_view key, const GetResult& entry, bool with_value) {
  Json object;
  PutBytes(object, "key", key);
  object["outcome"] = std::string(OutcomeName(entry.outcome));
  if (!entry.found()) return object;
  if (with_value) PutBytes(object, "value", entry.value.view());
  object["size"] = entry.size;
  object["version"] = entry.version;
  object["flags"] = entry.flags;
  object["ttl_ms"] = TtlJson(entry.ttl);
  object["max_idle_ms"] = absl::ToInt64Milliseconds(entry.max_idle);
  return object;
}

void PrintEntry(Context& context, std::string_view key, const absl::StatusOr<GetResult>& entry) {
  if (!entry.ok()) return context.Fail(entry.status());
  switch (context.format()) {
    case Format::kJson:
      context.PrintJson(EntryJson(key, *entry, true));
      context.Exit(ExitCodeOf(entry->outcome));
      return;
    case Format::kRaw:
      // The value and nothing else, so that any bytes pass a pipe as they are.
      if (entry->found()) {
        context.out() << entry->value.view();
        if (context.in_shell()) context.out() << "\n";
      }
      break;
    case Format::kTable:
      if (entry->found()) context.out() << Escape(entry->value.view()) << "\n";
      break;
  }
  if (!entry->found()) context.Fail(kExitMiss, absl::StrCat(Escape(key), ": miss"));
}

Json WriteJson(std::string_view key, const WriteResult& result) {
  Json object;
  PutBytes(object, "key", key);
  object["outcome"] = std::string(OutcomeName(result.outcome));
  if (result.version != 0) object["version"] = result.version;
  if (result.ok()) object["copies"] = result.copies;
  return object;
}

std::string Refusal(const WriteResult& result) {
  switch (result.outcome) {
    case Outcome::kMiss:
      return "miss";
    case Outcome::kNotStored:
      return result.version == 0
                 ? "not stored: there is no entry"
                 : absl::StrCat("not stored: there is an entry of version ", result.version);
    case Outcome::kMismatch:
      return absl::StrCat("not stored: the entry has version ", result.version);
    default:
      return std::string(OutcomeName(result.outcome));
  }
}

void PrintWrite(Context& context, std::string_view key, std::string_view done,
                const absl::StatusOr<WriteResult>& result) {
  if (!result.ok()) return context.Fail(result.status());
  if (context.format() == Format::kJson) {
    context.PrintJson(WriteJson(key, *result));
    context.Exit(ExitCodeOf(result->outcome));
    return;
  }
  if (!result->ok()) {
    context.Fail(ExitCodeOf(result->outcome), absl::StrCat(Escape(key), ": ", Refusal(*result)));
  } else if (context.format() == Format::kRaw) {
    context.out() << result->version << "\n";
  } else {
    context.out() << done << ": version " << result->version << ", " << result->copies
                  << (result->copies == 1 ? " copy" : " copies") << "\n";
  }
}

}  // namespace atoll::cli
