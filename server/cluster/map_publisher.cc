#include "server/cluster/map_publisher.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "server/cluster/descriptor.h"

namespace atoll::cluster {

absl::StatusOr<MapPtr> ParseMap(const std::string& bytes) {
  v1::PlacementMap message;
  if (!message.ParseFromString(bytes)) return absl::DataLossError("map: cannot be read");
  absl::StatusOr<ring::PlacementMap> map = ring::DecodeMap(message, nullptr);
  if (!map.ok()) {
    return absl::DataLossError(absl::StrCat("map: ", map.status().message()));
  }
  return std::make_shared<const ring::PlacementMap>(*std::move(map));
}

MapPublisher::MapPublisher(Keys keys, ControllerOptions options,
                           internal::v1::ControllerRecord self, Coordinator* coordinator,
                           const base::Clock* clock)
    : keys_(std::move(keys)),
      self_(std::move(self)),
      coordinator_(coordinator),
      controller_(std::move(options), clock, DrawRandom()) {}

absl::StatusOr<bool> MapPublisher::Campaign(LeaseId lease) {
  absl::StatusOr<TxnResult> result =
      coordinator_->Txn({Condition::Absent(keys_.controller())},
                        {Mutation::Put(keys_.controller(), self_.SerializeAsString(), lease)});
  if (!result.ok()) return result.status();
  if (!result->succeeded) return false;
  fence_ = result->revision;
  reload_ = true;
  base::LogInfo(absl::StrCat("controller: ", self_.node(), " takes office"));
  return true;
}

void MapPublisher::OnControllerKey(int64_t create_revision, int64_t seen_at) {
  // News from before our own election says nothing about it.
  if (fence_ == 0 || seen_at < fence_ || create_revision == fence_) return;
  base::LogWarning(absl::StrCat("controller: ", self_.node(), " is out of office"));
  fence_ = 0;
}

absl::Status MapPublisher::Prepare(const MapPtr& last_known) {
  if (!reload_) return absl::OkStatus();
  absl::StatusOr<Lookup> lookup = coordinator_->Get(keys_.map());
  if (!lookup.ok()) return lookup.status();
  ring::PlacementMap map = *last_known;
  map_revision_ = 0;
  if (lookup->kv) {
    absl::StatusOr<MapPtr> parsed = ParseMap(lookup->kv->value);
    if (!parsed.ok()) return parsed.status();
    map = **parsed;
    map_revision_ = lookup->kv->mod_revision;
  }
  controller_.Start(std::move(map));
  reload_ = false;
  return absl::OkStatus();
}

absl::StatusOr<std::optional<StoredMap>> MapPublisher::Step() {
  if (!in_office()) return absl::FailedPreconditionError("out of office");
  std::optional<ring::PlacementMap> next = controller_.Next();
  if (!next && map_revision_ == 0 && controller_.current().version > 0) {
    next = controller_.current();
    ++next->version;
  }
  if (!next) return std::optional<StoredMap>();
  auto map = std::make_shared<const ring::PlacementMap>(*std::move(next));
  Condition unchanged{.key = keys_.map(), .revision = map_revision_};
  Condition in_office{
      .key = keys_.controller(), .on = Condition::On::kCreateRevision, .revision = fence_};
  absl::StatusOr<TxnResult> result =
      coordinator_->Txn({std::move(unchanged), std::move(in_office)},
                        {Mutation::Put(keys_.map(), ring::EncodeMap(*map).SerializeAsString())});
  if (!result.ok()) {
    reload_ = true;
    return result.status();
  }
  if (!result->succeeded) {
    // Either the office is lost, which the watch will say, or an earlier write whose outcome was
    // not known has come through.
    reload_ = true;
    return absl::UnavailableError("map: changed meanwhile");
  }
  map_revision_ = result->revision;
  controller_.Committed(*map);
  return std::optional<StoredMap>(StoredMap{std::move(map), map_revision_});
}

}  // namespace atoll::cluster
