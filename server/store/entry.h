// An entry as it lies in a segment: a header of 18 bytes, what its options add, key, value.
//
//   0  version   8
//   8  expiry    4   seconds since 2020; 0: never
//  12  lengths   4   key - 1 : 10, inline value : 14, options : 8
//  16  namespace 2
//  18  hash 8 (kKeepsHash), flags 4 (kHasFlags), idle limit 4 and last access 4 (kHasIdle),
//      pointer 8 (kIsLarge), key, value
//
// Entries start at multiples of 8. Namespace, key and kept hash never change, nor do the options
// that say where they lie: who walks a segment finds an entry's partition by them, without a lock.
// Lengths change (a value that is overwritten), and are written, and read by that walk, atomically;
// relaxed, because what the walk uses of them stays. The rest is guarded by the mutex of the
// entry's partition.
#pragma once

#include <array>
#include <atomic>
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
    kKeepsHash = 16,  // because it cannot be computed anew: see Namespaces::HashOf
  };
  static constexpr uint32_t kHeaderBytes = 18;
  static constexpr uint32_t kAlign = 8;

  explicit EntryRef(char* at) : at_(at) {}

  base::Version version() const { return base::Version(Load<uint64_t>(0)); }
  base::CacheSeconds expiry() const { return Load<uint32_t>(8); }
  base::NamespaceId ns() const { return base::NamespaceId(Load<uint16_t>(16)); }
  uint8_t options() const { return static_cast<uint8_t>(Lengths() >> 24); }
  // What never changes, read as who walks a segment may.
  struct Identity {
    base::NamespaceId ns;
    std::string_view key;
    bool keeps_hash = false;
  };
  Identity identity() const {
    const uint32_t lengths = LengthsRef().load(std::memory_order_relaxed);
    const auto options = static_cast<uint8_t>(lengths >> 24);
    return {.ns = ns(),
            .key = {at_ + kHeaderBytes + ExtraBytes(options), (lengths & 0x3ff) + 1},
            .keeps_hash = (options & kKeepsHash) != 0};
  }
  bool is_large() const { return (options() & kIsLarge) != 0; }
  bool keeps_hash() const { return (options() & kKeepsHash) != 0; }
  uint64_t kept_hash() const { return Load<uint64_t>(kHeaderBytes); }
  uint32_t flags() const { return (options() & kHasFlags) != 0 ? Load<uint32_t>(FlagsAt()) : 0; }
  uint32_t max_idle() const { return HasIdle() ? Load<uint32_t>(IdleAt()) : 0; }
  base::CacheSeconds last_access() const { return HasIdle() ? Load<uint32_t>(IdleAt() + 4) : 0; }
  LargeValue* large() const { return Load<LargeValue*>(LargeAt()); }

  uint32_t key_bytes() const { return (Lengths() & 0x3ff) + 1; }
  uint32_t inline_value_bytes() const { return (Lengths() >> 10) & 0x3fff; }
  std::string_view key() const { return {at_ + KeyAt(), key_bytes()}; }
  // Of a small value.
  std::string_view value() const { return {at_ + KeyAt() + key_bytes(), inline_value_bytes()}; }
  // A small value, and no options that add to the header: where it is to be fast, key and value lie
  // at known places.
  bool is_plain() const { return (options() & ~kWasOffered) == 0; }
  std::string_view plain_key() const { return {at_ + kHeaderBytes, key_bytes()}; }
  std::string_view plain_value() const {
    return {at_ + kHeaderBytes + key_bytes(), inline_value_bytes()};
  }
  // With alignment.
  uint32_t bytes() const {
    return (KeyAt() + key_bytes() + inline_value_bytes() + kAlign - 1) / kAlign * kAlign;
  }
  EntryMeta meta() const {
    if ((options() & (kHasFlags | kHasIdle)) == 0) {
      return {.version = version(), .expiry = expiry(), .max_idle = 0, .flags = 0};
    }
    return {.version = version(), .expiry = expiry(), .max_idle = max_idle(), .flags = flags()};
  }

  void set_version(base::Version version) { Store<uint64_t>(0, version.raw()); }
  void set_expiry(base::CacheSeconds expiry) { Store<uint32_t>(8, expiry); }
  void set_max_idle(uint32_t seconds) { Store<uint32_t>(IdleAt(), seconds); }
  void set_last_access(base::CacheSeconds now) { Store<uint32_t>(IdleAt() + 4, now); }
  void set_offered() { StoreLengths(Lengths() | uint32_t{kWasOffered} << 24); }

  static uint8_t OptionsFor(const EntryMeta& meta, bool large, bool keeps_hash) {
    return static_cast<uint8_t>((meta.flags != 0 ? kHasFlags : 0) |
                                (meta.max_idle != 0 ? kHasIdle : 0) | (large ? kIsLarge : 0) |
                                (keeps_hash ? kKeepsHash : 0));
  }
  // Of an entry that is to be written, with alignment.
  static uint32_t BytesFor(size_t key_bytes, uint8_t options, size_t inline_value_bytes) {
    return static_cast<uint32_t>(
        (kHeaderBytes + ExtraBytes(options) + key_bytes + inline_value_bytes + kAlign - 1) /
        kAlign * kAlign);
  }

  // Where no entry is yet; `pieces` are the small value, or none with `large`.
  void Write(const Key& key, const EntryMeta& meta, uint8_t options, base::CacheSeconds now,
             absl::Span<const std::string_view> pieces, LargeValue* large) {
    SetLengths(key.key.size(), options, pieces);
    Store<uint16_t>(16, key.ns.value());
    if ((options & kKeepsHash) != 0) Store<uint64_t>(kHeaderBytes, key.hash);
    if ((options & kIsLarge) != 0) Store<LargeValue*>(LargeAt(), large);
    std::memcpy(at_ + KeyAt(), key.key.data(), key.key.size());
    WriteMetaAndValue(meta, now, pieces);
  }
  // The same key, with a small value of the same aligned size and the same options, but for
  // kWasOffered.
  void Overwrite(const EntryMeta& meta, base::CacheSeconds now,
                 absl::Span<const std::string_view> pieces) {
    SetLengths(key_bytes(), options() & ~kWasOffered, pieces);
    WriteMetaAndValue(meta, now, pieces);
  }

 private:
  template <typename T>
  T Load(uint32_t offset) const {
    T value;
    // NOLINTNEXTLINE(bugprone-sizeof-expression): what is kept may be a pointer.
    std::memcpy(&value, at_ + offset, sizeof(value));
    return value;
  }
  template <typename T>
  void Store(uint32_t offset, T value) {
    // NOLINTNEXTLINE(bugprone-sizeof-expression): as above.
    std::memcpy(at_ + offset, &value, sizeof(value));
  }
  std::atomic_ref<uint32_t> LengthsRef() const {
    return std::atomic_ref<uint32_t>(*reinterpret_cast<uint32_t*>(at_ + 12));
  }
  // For who holds the partition's mutex: nobody writes them meanwhile.
  uint32_t Lengths() const { return Load<uint32_t>(12); }
  void StoreLengths(uint32_t lengths) { LengthsRef().store(lengths, std::memory_order_relaxed); }
  void SetLengths(size_t key_bytes, uint32_t options, absl::Span<const std::string_view> pieces) {
    size_t value_bytes = 0;
    for (const std::string_view piece : pieces) value_bytes += piece.size();
    StoreLengths(static_cast<uint32_t>(key_bytes - 1) | static_cast<uint32_t>(value_bytes) << 10 |
                 options << 24);
  }
  void WriteMetaAndValue(const EntryMeta& meta, base::CacheSeconds now,
                         absl::Span<const std::string_view> pieces) {
    set_version(meta.version);
    set_expiry(meta.expiry);
    if ((options() & kHasFlags) != 0) Store<uint32_t>(FlagsAt(), meta.flags);
    if (HasIdle()) {
      set_max_idle(meta.max_idle);
      set_last_access(now);
    }
    char* to = at_ + KeyAt() + key_bytes();
    for (const std::string_view piece : pieces) {
      if (piece.empty()) continue;
      std::memcpy(to, piece.data(), piece.size());
      to += piece.size();
    }
  }

  // Between the header and the key.
  static uint32_t ExtraBytes(uint8_t options) {
    // By a table, because every look-up asks.
    static constexpr auto kBytes = [] {
      std::array<uint8_t, 32> bytes{};
      for (uint32_t i = 0; i < bytes.size(); ++i) {
        bytes[i] =
            static_cast<uint8_t>(((i & kKeepsHash) != 0 ? 8 : 0) + ((i & kHasFlags) != 0 ? 4 : 0) +
                                 ((i & kHasIdle) != 0 ? 8 : 0) + ((i & kIsLarge) != 0 ? 8 : 0));
      }
      return bytes;
    }();
    return kBytes[options % kBytes.size()];
  }
  bool HasIdle() const { return (options() & kHasIdle) != 0; }
  uint32_t FlagsAt() const { return kHeaderBytes + (keeps_hash() ? 8 : 0); }
  uint32_t IdleAt() const { return FlagsAt() + ((options() & kHasFlags) != 0 ? 4 : 0); }
  uint32_t LargeAt() const { return IdleAt() + (HasIdle() ? 8 : 0); }
  uint32_t KeyAt() const { return kHeaderBytes + ExtraBytes(options()); }

  char* at_;
};

}  // namespace atoll::store
