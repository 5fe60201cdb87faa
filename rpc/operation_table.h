// Finds an operation under way by the number that it has on its stream.
//
// A number names a slot of an array and how often that slot was used, so that finding is a look at
// one place, a slot is used again as soon as it is free, and an answer that comes too late finds
// nothing. Numbers are never 0.
//
// Thread safety: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace atoll::rpc {

class BatchOperation;

class OperationTable {
 public:
  static constexpr int kSlotBits = 20;
  static constexpr size_t kMostOperations = size_t{1} << kSlotBits;

  // 0 if there is no place.
  uint64_t Insert(BatchOperation* operation) {
    if (free_ == kNone) {
      if (slots_.size() == kMostOperations) return 0;
      free_ = static_cast<uint32_t>(slots_.size());
      slots_.emplace_back();
    }
    const uint32_t index = free_;
    Slot& slot = slots_[index];
    free_ = slot.next_free;
    slot.operation = operation;
    ++size_;
    return slot.uses << kSlotBits | index;
  }

  // nullptr if it has ended, or never was.
  BatchOperation* Find(uint64_t number) const {
    const size_t index = number & (kMostOperations - 1);
    if (index >= slots_.size() || slots_[index].uses != number >> kSlotBits) return nullptr;
    return slots_[index].operation;
  }

  // `number` is in the table.
  void Erase(uint64_t number) {
    const auto index = static_cast<uint32_t>(number & (kMostOperations - 1));
    Slot& slot = slots_[index];
    slot.operation = nullptr;
    slot.uses = slot.uses == kMostUses ? 1 : slot.uses + 1;
    slot.next_free = free_;
    free_ = index;
    --size_;
  }

  size_t size() const { return size_; }

  // `visit(operation)`; it may erase the one that it is given.
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (size_t i = 0; i < slots_.size(); ++i) {
      if (slots_[i].operation != nullptr) visit(slots_[i].operation);
    }
  }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr uint64_t kMostUses = UINT64_MAX >> kSlotBits;
  struct Slot {
    BatchOperation* operation = nullptr;
    uint64_t uses = 1;
    uint32_t next_free = kNone;
  };

  std::vector<Slot> slots_;
  uint32_t free_ = kNone;
  size_t size_ = 0;
};

}  // namespace atoll::rpc
