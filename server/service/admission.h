// The place that operations under way take. Private to this folder.
#pragma once

#include <utility>

#include "server/service/cache_handler.h"

namespace atoll::service {

// Gives the place back, and records how long it was taken, when it is destroyed.
class CacheHandler::Admission {
 public:
  Admission() = default;
  Admission(CacheHandler* handler, uint32_t operations, routing::ByteBudget::Ticket ticket)
      : handler_(handler),
        operations_(operations),
        start_(base::Clock::Real().BootTime()),
        ticket_(std::move(ticket)) {}
  Admission(Admission&& other) noexcept { *this = std::move(other); }
  Admission& operator=(Admission&& other) noexcept {
    std::swap(handler_, other.handler_);
    std::swap(operations_, other.operations_);
    std::swap(start_, other.start_);
    std::swap(ticket_, other.ticket_);
    return *this;
  }
  ~Admission() { Release(); }

  // Gives back all but so much.
  void KeepOnly(uint32_t operations, uint64_t bytes) {
    if (handler_ == nullptr) return;
    const uint32_t done = operations_ - operations;
    ticket_.KeepOnly(bytes);
    handler_->latency_.Record(base::Clock::Real().BootTime() - start_, done);
    handler_->operations_.fetch_sub(done, std::memory_order_relaxed);
    operations_ = operations;
  }

  void Release() {
    if (handler_ == nullptr) return;
    CacheHandler* handler = std::exchange(handler_, nullptr);
    ticket_ = routing::ByteBudget::Ticket();
    if (operations_ > 0) {
      handler->latency_.Record(base::Clock::Real().BootTime() - start_, operations_);
    }
    handler->operations_.fetch_sub(operations_, std::memory_order_relaxed);
    handler->gate_.Leave();  // Last: the handler may end once the gate is empty.
  }

 private:
  CacheHandler* handler_ = nullptr;
  uint32_t operations_ = 0;
  absl::Duration start_;
  routing::ByteBudget::Ticket ticket_;
};

}  // namespace atoll::service
