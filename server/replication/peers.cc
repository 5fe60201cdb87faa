#include "server/replication/peers.h"

#include <algorithm>

namespace atoll::replication {
namespace {

// More than this between two ticks, and this process was itself not running.
constexpr absl::Duration kAway = absl::Milliseconds(150);
// A peer that has never answered may be starting, and its first link too.
constexpr absl::Duration kFirstAnswer = absl::Seconds(2);
// Of the dead, their last acknowledgement is kept; no grace period reaches back so many.
constexpr size_t kMaxPeers = 1024;

}  // namespace

void PeerTable::OnMap(uint64_t version, absl::Span<const base::Incarnation> peers,
                      absl::Span<const base::Incarnation> leaving, absl::Duration now) {
  base::MutexLock lock(mu_);
  leaving_.assign(leaving.begin(), leaving.end());
  map_version_ = std::max(map_version_, version);
  for (auto& [node, peer] : peers_) peer.live = false;
  for (base::Incarnation node : peers) {
    auto [at, made] = peers_.try_emplace(node);
    if (made) at->second.heard_at = now;
    at->second.live = true;
  }
  if (peers_.size() > kMaxPeers) {
    for (auto at = peers_.begin(); at != peers_.end();) {
      const bool old = !at->second.live && at->second.acknowledged_at + times_.grace < now;
      if (old) {
        peers_.erase(at++);
      } else {
        ++at;
      }
    }
  }
}

std::optional<uint32_t> PeerTable::Unserved(base::Incarnation node, uint64_t since,
                                            absl::Duration now) const {
  base::MutexLock lock(mu_);
  const auto at = peers_.find(node);
  if (at == peers_.end() || now - at->second.acknowledged_at > times_.lease ||
      at->second.unserved_map < since) {
    return std::nullopt;
  }
  return at->second.unserved;
}

bool PeerTable::TakesWarmHints(base::Incarnation peer) const {
  base::MutexLock lock(mu_);
  const auto at = peers_.find(peer);
  return at != peers_.end() && at->second.takes_warm_hints;
}

bool PeerTable::Leaving(base::Incarnation node) const {
  base::MutexLock lock(mu_);
  return std::find(leaving_.begin(), leaving_.end(), node) != leaving_.end();
}

void PeerTable::MapApplied(uint64_t version) {
  base::MutexLock lock(mu_);
  applied_version_ = std::max(applied_version_, version);
}

std::vector<base::Incarnation> PeerTable::Due(absl::Duration now) {
  base::MutexLock lock(mu_);
  const absl::Duration away = now - last_tick_;
  const bool was_away = away > kAway && last_tick_ != -absl::InfiniteDuration();
  last_tick_ = now;
  std::vector<base::Incarnation> due;
  for (auto& [node, peer] : peers_) {
    if (!peer.live) continue;
    if (was_away) {
      if (peer.unacked_since != absl::InfiniteDuration()) peer.unacked_since = now;
      peer.heard_at = std::max(peer.heard_at, now - times_.heartbeat);
    }
    if (now - peer.beat_at < times_.heartbeat) continue;
    peer.beat_at = now;
    peer.unacked_since = std::min(peer.unacked_since, now);
    due.push_back(node);
  }
  // The order of a hash table is not to show in what is sent.
  std::sort(due.begin(), due.end());
  return due;
}

void PeerTable::OnLinkUp(base::Incarnation node) {
  base::MutexLock lock(mu_);
  if (const auto at = peers_.find(node); at != peers_.end()) {
    at->second.beat_at = -absl::InfiniteDuration();
  }
}

internal::v1::Heartbeat PeerTable::MakeHeartbeat(absl::Duration now, absl::Time wall,
                                                 uint32_t unserved) {
  internal::v1::Heartbeat beat;
  beat.set_sent_ns(static_cast<uint64_t>(absl::ToInt64Nanoseconds(now)));
  beat.set_wall_ms(static_cast<uint64_t>(absl::ToUnixMillis(wall)));
  base::MutexLock lock(mu_);
  beat.set_map_version(map_version_);
  beat.set_unserved(unserved);
  beat.set_applied_map_version(applied_version_);
  beat.set_takes_warm_hints(true);
  return beat;
}

void PeerTable::Heard(base::Incarnation from, absl::Duration now) {
  base::MutexLock lock(mu_);
  if (const auto at = peers_.find(from); at != peers_.end()) at->second.heard_at = now;
}

internal::v1::HeartbeatAck PeerTable::OnHeartbeat(base::Incarnation from,
                                                  const internal::v1::Heartbeat& beat,
                                                  absl::Duration now, absl::Time wall) {
  internal::v1::HeartbeatAck ack;
  ack.set_sent_ns(beat.sent_ns());
  ack.set_wall_ms(static_cast<uint64_t>(absl::ToUnixMillis(wall)));
  // In one step: a version read before a map and an acknowledgement noted after it would be a
  // lease that the new primary does not wait out.
  base::MutexLock lock(mu_);
  Peer& peer = peers_[from];
  peer.heard_at = now;
  peer.acknowledged_at = now;
  peer.unserved = beat.unserved();
  peer.unserved_map = beat.applied_map_version();
  peer.takes_warm_hints = beat.takes_warm_hints();
  ack.set_map_version(map_version_);
  return ack;
}

bool PeerTable::OnAck(base::Incarnation from, const internal::v1::HeartbeatAck& ack,
                      absl::Duration now) {
  base::MutexLock lock(mu_);
  const auto at = peers_.find(from);
  if (at == peers_.end()) return false;
  Peer& peer = at->second;
  const absl::Duration sent = absl::Nanoseconds(static_cast<int64_t>(ack.sent_ns()));
  if (sent > now) return false;  // not ours
  peer.heard_at = now;
  if (sent >= peer.unacked_since) {
    // Those sent later are owed still.
    peer.unacked_since = sent < peer.beat_at ? peer.beat_at : absl::InfiniteDuration();
  }
  if (ack.map_version() > applied_version_) return false;
  if (sent <= peer.counted_sent) return false;
  peer.counted_sent = sent;
  peer.counted_map = ack.map_version();
  return true;
}

bool PeerTable::IsSilent(const Peer& peer, absl::Duration now) const {
  const absl::Duration owed = now - peer.unacked_since;
  if (peer.counted_sent == -absl::InfiniteDuration()) return owed > kFirstAnswer;
  return (owed > times_.silent_after && now - peer.heard_at > times_.silent_after) ||
         owed > times_.lease;
}

bool PeerTable::Silent(base::Incarnation node, absl::Duration now) const {
  base::MutexLock lock(mu_);
  const auto at = peers_.find(node);
  return at == peers_.end() || !at->second.live || IsSilent(at->second, now);
}

bool PeerTable::AnySilent(absl::Duration now) const {
  base::MutexLock lock(mu_);
  return std::any_of(peers_.begin(), peers_.end(),
                     [&](const auto& at) { return at.second.live && IsSilent(at.second, now); });
}

std::vector<base::Incarnation> PeerTable::Suspects(absl::Duration now) const {
  base::MutexLock lock(mu_);
  std::vector<base::Incarnation> suspects;
  for (const auto& [node, peer] : peers_) {
    if (peer.live && now - peer.heard_at > times_.grace &&
        now - peer.unacked_since > times_.grace) {
      suspects.push_back(node);
    }
  }
  std::sort(suspects.begin(), suspects.end());
  return suspects;
}

absl::Duration PeerTable::LeaseUntil(base::Incarnation node) const {
  base::MutexLock lock(mu_);
  const auto at = peers_.find(node);
  return at == peers_.end() ? -absl::InfiniteDuration() : at->second.counted_sent + times_.lease;
}

uint64_t PeerTable::LeaseMapVersion(base::Incarnation node) const {
  base::MutexLock lock(mu_);
  const auto at = peers_.find(node);
  return at == peers_.end() ? 0 : at->second.counted_map;
}

absl::Duration PeerTable::LastAcknowledged(base::Incarnation node) const {
  base::MutexLock lock(mu_);
  const auto at = peers_.find(node);
  return at == peers_.end() ? -absl::InfiniteDuration() : at->second.acknowledged_at;
}

}  // namespace atoll::replication
