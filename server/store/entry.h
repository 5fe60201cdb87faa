// An entry as it lies in a segment: a header of 26 bytes, what its options add, key, value.
//
//   0  hash      8   never changes: who walks a segment finds the partition by it, without a lock
//   8  version   8
//  16  expiry    4   seconds since 2020; 0: never
//  20  lengths   4   key - 1 : 10, inline value : 14, options : 8
//  24  namespace 2
//  26  flags 4 (kHasFlags), idle limit 4 and last access 4 (kHasIdle), pointer 8 (kIsLarge), key,
//      value
//
// Entries start at multiples of 8. Everything but the hash is guarded by the mutex of the entry's
// partition. The hash is kept because the store does not know the names of namespaces that went
// into it; cleaning and scans need it.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "absl/types/span.h"
#include "server/store/store.h"

namespace atoll::store {

class LargeValue;

class EntryRef {
 public:
  enum Option : uint8_t {
    kHasFlags = 1,
    kHasIdle = 2,
    kIsLarge = 4,
    kWasOffered = 8,  // to the warm sink, since its write
  };
  static constexpr uint32_t kHeaderBytes = 26;
  static constexpr uint32_t kAlign = 8;

  explicit EntryRef(char* at) : at_(at) {}

  uint64_t hash() const { return Load<uint64_t>(0); }
  base::Version version() const { return base::Version(Load<uint64_t>(8)); }
  base::CacheSeconds expiry() const { return Load<uint32_t>(16); }
  base::NamespaceId ns() const { return base::NamespaceId(Load<uint16_t>(24)); }
  uint8_t options() const { return static_cast<uint8_t>(Lengths() >> 24); }
  bool is_large() const { return (options() & kIsLarge) != 0; }
  uint32_t flags() const { return (options() & kHasFlags) != 0 ? Load<uint32_t>(26) : 0; }
  uint32_t max_idle() const { return HasIdle() ? Load<uint32_t>(IdleAt()) : 0; }
  base::CacheSeconds last_access() const { return HasIdle() ? Load<uint32_t>(IdleAt() + 4) : 0; }
  LargeValue* large() const { return Load<LargeValue*>(LargeAt()); }

  uint32_t key_bytes() const { return (Lengths() & 0x3ff) + 1; }
  uint32_t inline_value_bytes() const { return (Lengths() >> 10) & 0x3fff; }
  std::string_view key() const { return {at_ + KeyAt(), key_bytes()}; }
  // Of a small value.
  std::string_view value() const { return {at_ + KeyAt() + key_bytes(), inline_value_bytes()}; }
  // With alignment.
  uint32_t bytes() const {
    return (KeyAt() + key_bytes() + inline_value_bytes() + kAlign - 1) / kAlign * kAlign;
  }
  EntryMeta meta() const {
    return {.version = version(), .expiry = expiry(), .max_idle = max_idle(), .flags = flags()};
  }

  void set_version(base::Version version) { Store<uint64_t>(8, version.raw()); }
  void set_expiry(base::CacheSeconds expiry) { Store<uint32_t>(16, expiry); }
  void set_max_idle(uint32_t seconds) { Store<uint32_t>(IdleAt(), seconds); }
  void set_last_access(base::CacheSeconds now) { Store<uint32_t>(IdleAt() + 4, now); }
  void set_offered() { Store<uint32_t>(20, Lengths() | uint32_t{kWasOffered} << 24); }

  static uint8_t OptionsFor(const EntryMeta& meta, bool large) {
    return static_cast<uint8_t>((meta.flags != 0 ? kHasFlags : 0) |
                                (meta.max_idle != 0 ? kHasIdle : 0) | (large ? kIsLarge : 0));
  }
  // Of an entry that is to be written, with alignment.
  static uint32_t BytesFor(size_t key_bytes, uint8_t options, size_t inline_value_bytes) {
    const size_t extra = ((options & kHasFlags) != 0 ? 4 : 0) +
                         ((options & kHasIdle) != 0 ? 8 : 0) + ((options & kIsLarge) != 0 ? 8 : 0);
    return static_cast<uint32_t>(
        (kHeaderBytes + extra + key_bytes + inline_value_bytes + kAlign - 1) / kAlign * kAlign);
  }

  // All of it but the hash; `pieces` are the small value, or none with `large`.
  void Write(const Key& key, const EntryMeta& meta, uint8_t options, base::CacheSeconds now,
             absl::Span<const std::string_view> pieces, LargeValue* large) {
    size_t value_bytes = 0;
    for (const std::string_view piece : pieces) value_bytes += piece.size();
    Store<uint64_t>(8, meta.version.raw());
    Store<uint32_t>(16, meta.expiry);
    Store<uint32_t>(20, static_cast<uint32_t>(key.key.size() - 1) |
                            static_cast<uint32_t>(value_bytes) << 10 | uint32_t{options} << 24);
    Store<uint16_t>(24, key.ns.value());
    if ((options & kHasFlags) != 0) Store<uint32_t>(26, meta.flags);
    if ((options & kHasIdle) != 0) {
      set_max_idle(meta.max_idle);
      set_last_access(now);
    }
    if ((options & kIsLarge) != 0) Store<LargeValue*>(LargeAt(), large);
    char* to = at_ + KeyAt();
    std::memcpy(to, key.key.data(), key.key.size());
    to += key.key.size();
    for (const std::string_view piece : pieces) {
      if (piece.empty()) continue;
      std::memcpy(to, piece.data(), piece.size());
      to += piece.size();
    }
  }
  void WriteHash(uint64_t hash) { Store<uint64_t>(0, hash); }

 private:
  template <typename T>
  T Load(uint32_t offset) const {
    T value;
    std::memcpy(&value, at_ + offset, sizeof(value));
    return value;
  }
  template <typename T>
  void Store(uint32_t offset, T value) {
    std::memcpy(at_ + offset, &value, sizeof(value));
  }
  uint32_t Lengths() const { return Load<uint32_t>(20); }
  bool HasIdle() const { return (options() & kHasIdle) != 0; }
  uint32_t IdleAt() const { return kHeaderBytes + ((options() & kHasFlags) != 0 ? 4 : 0); }
  uint32_t LargeAt() const { return IdleAt() + (HasIdle() ? 8 : 0); }
  uint32_t KeyAt() const { return LargeAt() + (is_large() ? 8 : 0); }

  char* at_;
};

}  // namespace atoll::store
