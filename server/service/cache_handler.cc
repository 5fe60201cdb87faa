#include "server/service/cache_handler.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "base/hash.h"
#include "base/status.h"
#include "rpc/status.h"
#include "server/service/admission.h"
#include "server/service/translate.h"
#include "server/service/validate.h"

namespace atoll::service {

using replication::Operation;
using replication::OperationResult;

namespace {

template <typename M>
concept HasValue = requires(const M& message) {
  message.value().size();
};

template <typename M>
uint64_t Cost(const M& message) {
  if constexpr (HasValue<M>) {
    return kOperationBytes + message.key().size() + message.value().size();
  } else {
    return kOperationBytes + message.key().size();
  }
}

absl::Status TooManyBytes(uint64_t limit) {
  return base::Overloaded(absl::StrCat("too many bytes under way, limit ", limit));
}

// Aims the operation at its namespace and partition.
void Address(const cluster::NamespacePtr& ns, absl::Duration deadline, Operation* operation) {
  operation->ns = ns;
  operation->key.ns = ns->id;
  operation->key.hash = base::HashKey(ns->name, operation->key.key);
  operation->deadline = deadline;
}

}  // namespace

CacheHandler::CacheHandler(routing::Router* router, routing::ByteBudget* budget,
                           const base::Clock* cluster_clock, const CacheLimits& limits)
    : router_(router), budget_(budget), clock_(cluster_clock), limits_(limits) {}

bool CacheHandler::Drain(absl::Duration timeout) {
  gate_.Close();
  return gate_.Drain(timeout);
}

absl::Duration CacheHandler::Turn() const {
  static const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  const int streams = std::max(1, streams_.load(std::memory_order_relaxed));
  return std::clamp(kRound * cores / streams, kShortestTurn, kLongestTurn);
}

absl::Status CacheHandler::Reserve(uint64_t bytes, routing::ByteBudget::Ticket* ticket) {
  *ticket = budget_->Take(bytes);
  if (*ticket) return absl::OkStatus();
  counters_.refused.fetch_add(1, std::memory_order_relaxed);
  return TooManyBytes(budget_->limit());
}

absl::Status CacheHandler::Admit(uint32_t operations, uint64_t bytes, const CallInfo& info,
                                 Admission* out) {
  if (info.deadline <= base::Clock::Real().BootTime()) {
    return absl::DeadlineExceededError("the deadline had passed when the call arrived");
  }
  if (!gate_.Enter()) {
    return base::WithReason(absl::UnavailableError("this node is stopping"),
                            base::reason::kDraining);
  }
  const int64_t before = operations_.fetch_add(operations, std::memory_order_relaxed);
  // A large call is let in alone: else it never were.
  if (before > 0 && before + operations > limits_.max_operations) {
    operations_.fetch_sub(operations, std::memory_order_relaxed);
    gate_.Leave();
    counters_.refused.fetch_add(operations, std::memory_order_relaxed);
    return base::Overloaded(
        absl::StrCat("too many operations under way, limit ", limits_.max_operations));
  }
  routing::ByteBudget::Ticket ticket = budget_->Take(bytes);
  if (!ticket) {
    operations_.fetch_sub(operations, std::memory_order_relaxed);
    gate_.Leave();
    counters_.refused.fetch_add(operations, std::memory_order_relaxed);
    return TooManyBytes(budget_->limit());
  }
  *out = Admission(this, operations, std::move(ticket));
  return absl::OkStatus();
}

template <typename Request, typename Response>
void CacheHandler::Handle(const Request& request, const CallInfo& info, Response* response,
                          StatusDone done) {
  auto prepared = std::make_unique<Prepared>();
  const uint64_t limit = std::min(limits_.max_value_bytes, routing::kUnaryValueBytes);
  if (absl::Status s = Prepare(request, limit, prepared.get()); !s.ok()) return done(std::move(s));
  auto ns = router_->ResolveNamespace(request.namespace_());
  if (!ns.ok()) return done(ns.status());
  Admission admission;
  if (absl::Status s = Admit(1, Cost(request), info, &admission); !s.ok()) {
    return done(std::move(s));
  }
  Operation& operation = prepared->operation;
  Address(*ns, info.deadline, &operation);
  (IsWrite(operation.kind) ? counters_.writes : counters_.reads)
      .fetch_add(1, std::memory_order_relaxed);
  router_->Execute(
      operation, info.options,
      [this, response, admission = std::move(admission), prepared = std::move(prepared),
       done = std::move(done)](OperationResult result) mutable {
        if (result.status.ok()) Fill(result, clock_->Now(), response);
        admission.Release();
        done(std::move(result.status));
      });
}

#define ATOLL_HANDLE(name)                                                      \
  template void CacheHandler::Handle(const v1::name##Request&, const CallInfo&, \
                                     v1::name##Response*, StatusDone)
ATOLL_HANDLE(Get);
ATOLL_HANDLE(Set);
ATOLL_HANDLE(Delete);
ATOLL_HANDLE(Touch);
ATOLL_HANDLE(GetAndTouch);
ATOLL_HANDLE(Add);
ATOLL_HANDLE(Replace);
ATOLL_HANDLE(CompareAndSwap);
ATOLL_HANDLE(Increment);
ATOLL_HANDLE(Decrement);
ATOLL_HANDLE(Append);
ATOLL_HANDLE(Prepend);
#undef ATOLL_HANDLE

void CacheHandler::Read(const v1::GetRequest& request, const CallInfo& info,
                        replication::Done done) {
  const auto fail = [&done](absl::Status status) {
    OperationResult result;
    result.status = std::move(status);
    done(std::move(result));
  };
  auto prepared = std::make_unique<Prepared>();
  if (absl::Status s = Prepare(request, 0, prepared.get()); !s.ok()) return fail(std::move(s));
  auto ns = router_->ResolveNamespace(request.namespace_());
  if (!ns.ok()) return fail(ns.status());
  Admission admission;
  if (absl::Status s = Admit(1, Cost(request), info, &admission); !s.ok()) {
    return fail(std::move(s));
  }
  Operation& operation = prepared->operation;
  Address(*ns, info.deadline, &operation);
  counters_.reads.fetch_add(1, std::memory_order_relaxed);
  CallInfo whole = info;
  whole.options.max_value_bytes = limits_.max_value_bytes;
  router_->Execute(operation, whole.options,
                   [admission = std::move(admission), prepared = std::move(prepared),
                    done = std::move(done)](OperationResult result) mutable {
                     done(std::move(result));
                     admission.Release();
                   });
}

void CacheHandler::Store(const v1::SetRequest& request, absl::Span<const std::string_view> pieces,
                         const CallInfo& info, v1::SetResponse* response, StatusDone done) {
  auto prepared = std::make_unique<Prepared>();
  if (absl::Status s = Prepare(request, 0, prepared.get()); !s.ok()) return done(std::move(s));
  auto ns = router_->ResolveNamespace(request.namespace_());
  if (!ns.ok()) return done(ns.status());
  Admission admission;
  if (absl::Status s = Admit(1, kOperationBytes, info, &admission); !s.ok()) {
    return done(std::move(s));
  }
  Operation& operation = prepared->operation;
  operation.value = pieces;
  Address(*ns, info.deadline, &operation);
  counters_.writes.fetch_add(1, std::memory_order_relaxed);
  router_->Execute(
      operation, info.options,
      [this, response, admission = std::move(admission), prepared = std::move(prepared),
       done = std::move(done)](OperationResult result) mutable {
        if (result.status.ok()) Fill(result, clock_->Now(), response);
        admission.Release();
        done(std::move(result.status));
      });
}

void CacheHandler::Handle(const v1::ScanRequest& request, const CallInfo& info,
                          v1::ScanResponse* response, StatusDone done) {
  if (request.limit() > kMaxScanLimit) {
    return done(base::InvalidArgument("limit", absl::StrCat(request.limit()), kMaxScanLimit));
  }
  if (request.prefix().size() > kMaxKeyBytes) {
    return done(base::InvalidArgument("prefix", absl::StrCat(request.prefix().size(), " bytes"),
                                      kMaxKeyBytes));
  }
  if (absl::Status s = routing::Router::CheckCursor(request.cursor()); !s.ok()) {
    return done(std::move(s));
  }
  auto ns = router_->ResolveNamespace(request.namespace_());
  if (!ns.ok()) return done(ns.status());
  Admission admission;
  if (absl::Status s = Admit(1, kOperationBytes, info, &admission); !s.ok()) {
    return done(std::move(s));
  }
  router_->Scan(
      {.request = request,
       .ns = *std::move(ns),
       .hop = info.options.hop,
       .deadline = info.deadline,
       .cancelled = info.cancelled,
       .response = response},
      [admission = std::move(admission), done = std::move(done)](absl::Status status) mutable {
        admission.Release();
        done(std::move(status));
      });
}

void CacheHandler::Handle(const v1::FlushRequest& request, const CallInfo& info,
                          v1::FlushResponse* response, StatusDone done) {
  auto ns = router_->ResolveNamespace(request.namespace_());
  if (!ns.ok()) return done(ns.status());
  Admission admission;
  if (absl::Status s = Admit(1, kOperationBytes, info, &admission); !s.ok()) {
    return done(std::move(s));
  }
  router_->Flush(*ns, info.options.hop, info.deadline,
                 [response, admission = std::move(admission),
                  done = std::move(done)](absl::StatusOr<uint32_t> partitions) mutable {
                   if (partitions.ok()) response->set_partitions(*partitions);
                   admission.Release();
                   done(partitions.status());
                 });
}

void CacheHandler::Handle(const v1::Operation& operation, const CallInfo& info,
                          v1::OperationResult* result, absl::AnyInvocable<void()> done) {
  StatusDone finish = [result, done = std::move(done)](const absl::Status& status) mutable {
    // A failed operation has no result beside its error: clearing the oneof comes first.
    if (!status.ok()) {
      result->clear_kind();
      *result->mutable_error() = rpc::ToProto(status);
    }
    done();
  };
  switch (operation.kind_case()) {
#define ATOLL_DISPATCH(Case, field) \
  case v1::Operation::Case:         \
    return Handle(operation.field(), info, result->mutable_##field(), std::move(finish))
    ATOLL_DISPATCH(kGet, get);
    ATOLL_DISPATCH(kSet, set);
    ATOLL_DISPATCH(kDelete, delete_);
    ATOLL_DISPATCH(kTouch, touch);
    ATOLL_DISPATCH(kGetAndTouch, get_and_touch);
    ATOLL_DISPATCH(kAdd, add);
    ATOLL_DISPATCH(kReplace, replace);
    ATOLL_DISPATCH(kCompareAndSwap, compare_and_swap);
    ATOLL_DISPATCH(kIncrement, increment);
    ATOLL_DISPATCH(kAppend, append);
    ATOLL_DISPATCH(kPrepend, prepend);
    ATOLL_DISPATCH(kMultiGet, multi_get);
    ATOLL_DISPATCH(kMultiSet, multi_set);
    ATOLL_DISPATCH(kMultiDelete, multi_delete);
    ATOLL_DISPATCH(kScan, scan);
#undef ATOLL_DISPATCH
    case v1::Operation::KIND_NOT_SET:
      break;
  }
  finish(base::InvalidArgument("operation", "of no kind that this node knows"));
}

}  // namespace atoll::service
