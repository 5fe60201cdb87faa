// How entries and the results of writes are printed: shared by the commands of the data path.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "cli/context.h"

namespace atoll::cli {

// {"key", "outcome", "value", "version", ...}
Json EntryJson(std::string_view key, const GetResult& entry, bool with_value);
// One entry: the very bytes (raw), a line (table), or an object. A miss is said on stderr.
void PrintEntry(Context& context, std::string_view key, const absl::StatusOr<GetResult>& entry);

Json WriteJson(std::string_view key, const WriteResult& result);
// One write: its version (raw), a sentence (table; `done` such as "stored"), or an object. What
// kept it from being done is said on stderr.
void PrintWrite(Context& context, std::string_view key, std::string_view done,
                const absl::StatusOr<WriteResult>& result);
// Why a write was not done: "miss", "not stored: ...".
std::string Refusal(const WriteResult& result);

}  // namespace atoll::cli
