// The places of an index's directory: a power of two of words of 8 B, or none.
//
// Two fit in it. More lie in lines of the extent pool, so that to double them under the partition's
// lock touches memory that is there: the general allocator's may have to come from the kernel. What
// is too long for the pool, or finds no room there, lies on the heap after all.
//
// Thread safety: none; guarded by the partition's mutex.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>

#include "server/store/extent_pool.h"

namespace atoll::store {

template <typename Word>
class Directory {
  static_assert(sizeof(Word) == 8 && std::is_trivially_copyable_v<Word>);

 public:
  Directory() : inline_{} {}
  // Clear is called before it ends.
  ~Directory() = default;
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  uint32_t depth() const { return static_cast<uint32_t>(std::countr_zero(size_)); }
  Word& operator[](size_t i) { return places()[i]; }
  const Word& operator[](size_t i) const { return places()[i]; }

  void Start(Word only) {
    size_ = 1;
    inline_[0] = only;
  }
  // Each place becomes two alike.
  void Double(ExtentPool* pool) {
    const size_t wanted = 2 * size();
    bool pooled = false;
    Word* to = inline_;
    if (wanted > kInline) {
      to = wanted <= kMostPooled ? static_cast<Word*>(pool->Allocate(LinesOf(wanted))) : nullptr;
      pooled = to != nullptr;
      if (!pooled) to = static_cast<Word*>(::operator new(wanted * sizeof(Word)));
    }
    const Word* const from = places();
    // Backwards, as both may be the same.
    for (size_t i = size(); i-- > 0;) to[2 * i] = to[2 * i + 1] = from[i];
    if (wanted > kInline) {
      Free(pool);
      far_ = to;
    }
    size_ = static_cast<uint32_t>(wanted);
    pooled_ = pooled;
  }
  void Clear(ExtentPool* pool) {
    Free(pool);
    size_ = 0;
    pooled_ = false;
  }

  int64_t pool_bytes() const {
    return pooled_ ? int64_t{LinesOf(size())} * ExtentPool::kLineBytes : 0;
  }
  int64_t heap_bytes() const {
    return size_ > kInline && !pooled_ ? static_cast<int64_t>(size() * sizeof(Word)) : 0;
  }

 private:
  static constexpr size_t kInline = 2;
  static constexpr size_t kMostPooled =
      size_t{ExtentPool::kMaxLines} * ExtentPool::kLineBytes / sizeof(Word);
  static uint32_t LinesOf(size_t places) {
    return static_cast<uint32_t>((places * sizeof(Word) + ExtentPool::kLineBytes - 1) /
                                 ExtentPool::kLineBytes);
  }
  Word* places() { return size_ <= kInline ? inline_ : far_; }
  const Word* places() const { return size_ <= kInline ? inline_ : far_; }
  void Free(ExtentPool* pool) {
    if (size_ <= kInline) return;
    if (pooled_) {
      pool->Free(far_, LinesOf(size()));
    } else {
      ::operator delete(far_);
    }
  }

  uint32_t size_ = 0;
  bool pooled_ = false;
  union {
    Word inline_[kInline];
    Word* far_;
  };
};

}  // namespace atoll::store
