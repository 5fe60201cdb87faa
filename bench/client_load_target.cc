#include "bench/client_load_target.h"

#include <utility>
#include <vector>

namespace atoll::bench {
namespace {

Answer Of(const absl::StatusOr<GetResult>& got) {
  if (!got.ok()) return {.status = got.status(), .keys = 1};
  return {.keys = 1, .hits = got->found() ? 1u : 0u};
}

Answer Of(const absl::StatusOr<WriteResult>& written) {
  return {.status = written.status(), .keys = 1};
}

template <typename Result>
Answer OfAll(const Client::Results<Result>& results) {
  Answer all;
  for (const absl::StatusOr<Result>& result : results) {
    const Answer one = Of(result);
    if (all.status.ok()) all.status = one.status;
    all.keys += one.keys;
    all.hits += one.hits;
  }
  return all;
}

std::vector<SetEntry> Entries(absl::Span<const std::string_view> keys, std::string_view value,
                              const std::optional<absl::Duration>& ttl) {
  std::vector<SetEntry> entries;
  entries.reserve(keys.size());
  for (const std::string_view key : keys)
    entries.push_back({.key = key, .value = value, .ttl = ttl});
  return entries;
}

}  // namespace

ClientLoadTarget::ClientLoadTarget(Client& client, absl::Duration timeout,
                                   std::optional<absl::Duration> ttl)
    : client_(client),
      get_{.timeout = timeout},
      set_{.timeout = timeout, .ttl = ttl},
      multi_get_{.timeout = timeout},
      call_{.timeout = timeout} {}

Answer ClientLoadTarget::Read(absl::Span<const std::string_view> keys) {
  if (keys.size() == 1) return Of(client_.Get(keys[0], get_));
  return OfAll(client_.MultiGet(keys, multi_get_));
}

Answer ClientLoadTarget::Write(absl::Span<const std::string_view> keys, std::string_view value) {
  if (keys.size() == 1) return Of(client_.Set(keys[0], value, set_));
  return OfAll(client_.MultiSet(Entries(keys, value, set_.ttl), call_));
}

void ClientLoadTarget::ReadAsync(absl::Span<const std::string_view> keys, Completion done) {
  if (keys.size() == 1) {
    client_.GetAsync(keys[0], get_,
                     [done](const absl::StatusOr<GetResult>& got) { done(Of(got)); });
    return;
  }
  client_.MultiGetAsync(keys, multi_get_, [done](const Client::Results<GetResult>& results) {
    done(OfAll(results));
  });
}

void ClientLoadTarget::WriteAsync(absl::Span<const std::string_view> keys, std::string_view value,
                                  Completion done) {
  if (keys.size() == 1) {
    client_.SetAsync(keys[0], value, set_,
                     [done](const absl::StatusOr<WriteResult>& written) { done(Of(written)); });
    return;
  }
  client_.MultiSetAsync(
      Entries(keys, value, set_.ttl), call_,
      [done](const Client::Results<WriteResult>& results) { done(OfAll(results)); });
}

}  // namespace atoll::bench
