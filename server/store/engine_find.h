// How the engine looks a key up, in line for each way of placing what is found.
#pragma once

#include <string_view>

#include "server/store/engine.h"

namespace atoll::store {

// Copies small values into a ReadBuffer.
class PlaceInto {
 public:
  explicit PlaceInto(ReadBuffer& buffer) : buffer_(buffer) {}
  [[gnu::always_inline]] void operator()(std::string_view value, Found* found) const {
    found->value.Refer(buffer_.Copy(value));
  }

 private:
  ReadBuffer& buffer_;
};

template <typename Place>
void Engine::Read(const EntryRef& entry, bool with_value, const Place& place, Found* found) const {
  if (entry.is_large()) [[unlikely]] {
    ReadLarge(entry, with_value, found);
    return;
  }
  found->presence = Presence::kPresent;
  found->meta = entry.meta();
  const std::string_view value = entry.value();
  found->value_size = value.size();
  if (with_value) {
    place(value, found);
  } else {
    found->value = Value();
  }
}

// In line: with its arguments, and what the others have to save, a call takes a third of it.
template <typename Place>
[[gnu::always_inline]] inline bool Engine::ReadPlain(Partition& p, Slot& slot,
                                                     const EntryRef& entry, const Key& key,
                                                     const FindOptions& options,
                                                     base::CacheSeconds now, const Place& place,
                                                     Found* found) {
  if (!entry.is_plain() || entry.ns() != key.ns || entry.key_bytes() != key.key.size()) {
    return false;
  }
  const std::string_view held = entry.plain_key();
  if (!EqualBytes(held.data(), key.key.data(), held.size())) return false;
  const base::CacheSeconds expiry = entry.expiry();
  if (expiry != 0 && expiry <= now) return false;
  if (Tables::Flushed(p, key.ns, entry.version())) return false;
  found->presence = Presence::kPresent;
  found->meta = {.version = entry.version(), .expiry = expiry, .max_idle = 0, .flags = 0};
  const std::string_view value = entry.plain_value();
  found->value_size = value.size();
  if (options.metadata_only) {
    found->value = Value();
  } else {
    place(value, found);
  }
  if (options.touch) {
    ++p.hits;
    tables_->Touch(p, &slot, entry, key.hash);
  }
  return true;
}

template <typename Place>
void Engine::FindIn(Partition& p, Slot* slot, const Key& key, const FindOptions& options,
                    base::CacheSeconds now, const Place& place, Found* found) {
  if (slot != nullptr) {
    EntryRef entry = tables_->EntryAt(*slot);
    const uint32_t max_idle = entry.max_idle();
    const bool idle =
        options.enforce_idle && max_idle != 0 && uint64_t{entry.last_access()} + max_idle <= now;
    if (idle || Tables::Expired(entry, now)) {
      ++p.expirations;
      tables_->Unlink(p, slot);
    } else if (!Tables::Flushed(p, key.ns, entry.version())) {
      Read(entry, !options.metadata_only, place, found);
      if (options.touch) {
        ++p.hits;
        tables_->Touch(p, slot, entry, key.hash);
        // Seldom, so that a read does not dirty a line of the entry.
        if (max_idle != 0 && now - entry.last_access() > max_idle / 16) entry.set_last_access(now);
      }
      return;
    }
  }
  FindNone(p, key, options, found);
}

template <typename Place>
void Engine::FindOne(const Key& key, const FindOptions& options, base::CacheSeconds now,
                     const Place& place, Found* found) {
  Partition& p = tables_->OfHash(key.hash);
  base::BriefLockHold lock(p.mu);
  Slot* slot = p.index.Find(key.hash, [](const Slot&) { return true; });
  if (slot != nullptr) {
    if (ReadPlain(p, *slot, tables_->EntryAt(*slot), key, options, now, place, found)) return;
    slot = tables_->FindSlot(p, key);
  }
  FindIn(p, slot, key, options, now, place, found);
}

}  // namespace atoll::store
