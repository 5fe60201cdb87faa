// One operation on a BatchStream: an object of its caller's that the stream links into its lists,
// so that carrying it costs no memory, and its end.
//
// Lifetime: the caller's, and it must stay where it is from BatchStream::Start until OnEnd is
// called; the stream does not touch it afterwards, so that OnEnd may destroy it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace atoll::v1 {
class OperationResult;
}  // namespace atoll::v1

namespace atoll::wire {
struct Result;
}  // namespace atoll::wire

namespace atoll::rpc {

class ValueBlock;

// What is known of an operation that ended.
enum class Fate : uint8_t {
  kAnswered,  // The node said so.
  kNotSent,   // It never left this process: safe to retry.
  kSent,      // It may have reached the node, and may still be carried out.
};

struct BatchEnd {
  // OK: the result is there. Otherwise the node's error with its details (kAnswered), or
  // UNAVAILABLE (stream broken), DEADLINE_EXCEEDED, CANCELLED, RESOURCE_EXHAUSTED (kNotSent).
  absl::Status status;
  Fate fate = Fate::kNotSent;
  // With an OK status one of the two: the result as the codec reads it, or as a message where the
  // codec does not know its kind. They live during the call; the message may be moved from.
  const wire::Result* result = nullptr;
  v1::OperationResult* message = nullptr;
  // With an OK status: where values of this answer may be copied to, and by which its message may
  // be kept.
  ValueBlock* values = nullptr;
};

class BatchOperation {
 public:
  BatchOperation() = default;
  virtual ~BatchOperation() = default;
  BatchOperation(const BatchOperation&) = delete;
  BatchOperation& operator=(const BatchOperation&) = delete;

  // The message without id and timeout_ms: its field of the operation's kind. In two parts, so that
  // a large value need not be copied behind its head. Both stay as they are until the end.
  std::string_view head;
  std::string_view tail;
  // On base::Clock::Real().BootTime(); the node gets what is left of it at sending.
  absl::Duration deadline;
  // A caller waits for the answer before it asks for anything else.
  bool blocking = false;
  // OnDeparture is wanted.
  bool tells_departure = false;

  // In OnEnd: the stream's message that it went by; 0 if it did not go.
  uint64_t message() const { return message_; }
  size_t body_size() const { return head.size() + tail.size(); }

 protected:
  // Called at most once for each Start, just before the operation is written: from then on it may
  // be carried out. On the writer's thread, with no lock held. What it stores is seen by all
  // threads before the message is written.
  virtual void OnDeparture() {}
  // Called exactly once for each Start, possibly before that returns, with no lock held.
  virtual void OnEnd(BatchEnd& end) = 0;

 private:
  friend class BatchStream;
  friend class OperationEnd;
  friend class OperationQueue;

  enum class Verdict : uint8_t { kNone, kCancelled, kExpired };

  // The stream's, under its lock.
  BatchOperation* next_ = nullptr;
  BatchOperation* previous_ = nullptr;
  uint64_t id_ = 0;
  // The message that it goes by; 0 while it waits.
  uint64_t message_ = 0;
  // How it is to end as soon as its message is written: it must not be touched meanwhile.
  Verdict verdict_ = Verdict::kNone;
};

// Operations in their order; each in one queue at a time. Thread safety: none.
class OperationQueue {
 public:
  bool empty() const { return first_ == nullptr; }
  BatchOperation* front() const { return first_; }

  void PushBack(BatchOperation* operation) {
    operation->next_ = nullptr;
    operation->previous_ = last_;
    (last_ == nullptr ? first_ : last_->next_) = operation;
    last_ = operation;
  }
  void Remove(BatchOperation* operation) {
    BatchOperation* const next = operation->next_;
    BatchOperation* const previous = operation->previous_;
    (previous == nullptr ? first_ : previous->next_) = next;
    (next == nullptr ? last_ : next->previous_) = previous;
  }
  BatchOperation* PopFront() {
    BatchOperation* const operation = first_;
    if (operation != nullptr) Remove(operation);
    return operation;
  }
  // `visit(operation)`, which may neither remove nor destroy it.
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (BatchOperation* at = first_; at != nullptr; at = at->next_) visit(at);
  }

 private:
  BatchOperation* first_ = nullptr;
  BatchOperation* last_ = nullptr;
};

}  // namespace atoll::rpc
