// Calls on many keys: split by owner, one operation for each part, and an answer for each key.
//
// A part is encoded as it is, straight from what the caller gave. One that fails falls back to
// single operations on its keys where that is safe, each with its own retries; so the rules of
// failure exist once, in the dispatcher, and a dead node fails its own keys only.
#pragma once

#include <string_view>

#include "absl/types/span.h"
#include "client/engine.h"
#include "client/include/atoll/client.h"

namespace atoll::client {

// `blocking`: the caller waits for the answers.
void MultiGet(Engine& engine, absl::Span<const std::string_view> keys,
              const MultiGetOptions& options, bool blocking, Client::MultiCallback<GetResult> done);
void MultiSet(Engine& engine, absl::Span<const SetEntry> entries, const CallOptions& options,
              bool blocking, Client::MultiCallback<WriteResult> done);
void MultiDelete(Engine& engine, absl::Span<const std::string_view> keys,
                 const CallOptions& options, bool blocking,
                 Client::MultiCallback<WriteResult> done);

}  // namespace atoll::client
