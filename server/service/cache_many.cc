// MultiGet, MultiSet and MultiDelete: an answer for every key, whatever becomes of the others.

#include <memory>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/mutex.h"
#include "base/status.h"
#include "rpc/status.h"
#include "server/routing/wire.h"
#include "server/service/admission.h"
#include "server/service/cache_handler.h"
#include "server/service/translate.h"
#include "server/service/validate.h"

namespace atoll::service {
namespace {

using replication::Operation;
using replication::OperationResult;

// A call with many keys: what its operations point into, and what is still missing.
template <typename Response>
struct ManyState {
  std::vector<std::string_view> values;
  std::vector<Operation> operations;
  // Index in the request of each operation: keys that were refused at once have none.
  std::vector<uint32_t> places;
  Response* response = nullptr;
  absl::AnyInvocable<void(absl::Status)> done;
  base::Mutex mu;
  size_t missing ABSL_GUARDED_BY(mu) = 0;
  uint64_t bytes ABSL_GUARDED_BY(mu) = 0;
};

// A value too many becomes USE_STREAM.
void Limit(uint64_t* bytes, OperationResult* result) {
  if (result->value.size() == 0) return;
  if (*bytes + result->value.size() > kAnswerBytes) {
    result->outcome = v1::OUTCOME_USE_STREAM;
    result->value = store::Value();
    return;
  }
  *bytes += result->value.size();
}

absl::Status PrepareOne(const v1::MultiGetRequest& request, int i, uint64_t /*limit*/,
                        std::string_view* /*value*/, Operation* out) {
  out->kind = replication::OpKind::kGet;
  out->bounded = request.consistency() == v1::CONSISTENCY_BOUNDED;
  out->key.key = request.keys(i);
  return CheckKey(request.keys(i));
}

absl::Status PrepareOne(const v1::MultiDeleteRequest& request, int i, uint64_t /*limit*/,
                        std::string_view* /*value*/, Operation* out) {
  out->kind = replication::OpKind::kDelete;
  out->key.key = request.keys(i);
  return CheckKey(request.keys(i));
}

absl::Status PrepareOne(const v1::MultiSetRequest& request, int i, uint64_t limit,
                        std::string_view* value, Operation* out) {
  Prepared prepared;
  if (absl::Status s = Prepare(request.entries(i), limit, &prepared); !s.ok()) return s;
  *out = prepared.operation;
  *value = prepared.value;
  out->value = absl::MakeConstSpan(value, 1);
  return absl::OkStatus();
}

int CountOf(const v1::MultiGetRequest& request) { return request.keys_size(); }
int CountOf(const v1::MultiDeleteRequest& request) { return request.keys_size(); }
int CountOf(const v1::MultiSetRequest& request) { return request.entries_size(); }

const char* FieldOf(const v1::MultiSetRequest&) { return "entries"; }
template <typename M>
const char* FieldOf(const M&) {
  return "keys";
}

}  // namespace

// One body for the three: a member, so that it may admit.
template <typename Request, typename Response>
class CacheHandler::Many {
 public:
  static void Run(CacheHandler* handler, const Request& request, const CallInfo& info,
                  Response* response, StatusDone done) {
    const int count = CountOf(request);
    if (absl::Status s = CheckCount(FieldOf(request), count); !s.ok()) return done(std::move(s));
    auto ns = handler->router_->ResolveNamespace(request.namespace_());
    if (!ns.ok()) return done(ns.status());
    Admission admission;
    const uint64_t cost = request.ByteSizeLong() + kOperationBytes * static_cast<uint64_t>(count);
    if (absl::Status s = handler->Admit(static_cast<uint32_t>(count), cost, info, &admission);
        !s.ok()) {
      return done(std::move(s));
    }
    auto state = std::make_shared<ManyState<Response>>();
    state->values.resize(static_cast<size_t>(count));
    state->operations.reserve(static_cast<size_t>(count));
    state->response = response;
    response->mutable_results()->Reserve(count);
    const uint64_t limit = std::min(handler->limits_.max_value_bytes, routing::kUnaryValueBytes);
    for (int i = 0; i < count; ++i) {
      Operation operation;
      absl::Status status =
          PrepareOne(request, i, limit, &state->values[static_cast<size_t>(i)], &operation);
      if (!status.ok()) {
        auto* answer = response->add_results();
        answer->set_index(static_cast<uint32_t>(i));
        *answer->mutable_error() = rpc::ToProto(status);
        continue;
      }
      operation.ns = *ns;
      operation.key.ns = (*ns)->id;
      operation.key.hash = base::HashKey((*ns)->name, operation.key.key);
      operation.deadline = info.deadline;
      state->operations.push_back(operation);
      state->places.push_back(static_cast<uint32_t>(i));
    }
    (std::is_same_v<Request, v1::MultiGetRequest> ? handler->counters_.reads
                                                  : handler->counters_.writes)
        .fetch_add(state->operations.size(), std::memory_order_relaxed);
    state->done = [admission = std::move(admission),
                   done = std::move(done)](absl::Status status) mutable {
      admission.Release();
      done(std::move(status));
    };
    if (state->operations.empty()) return state->done(absl::OkStatus());
    {
      base::MutexLock lock(state->mu);
      state->missing = state->operations.size();
    }
    handler->router_->ExecuteMany(
        state->operations, info.options,
        [state, clock = handler->clock_](size_t index, OperationResult result) {
          {
            base::MutexLock lock(state->mu);
            auto* answer = state->response->add_results();
            answer->set_index(state->places[index]);
            if (result.status.ok()) {
              Limit(&state->bytes, &result);
              Fill(result, clock->Now(), answer->mutable_result());
            } else {
              *answer->mutable_error() = rpc::ToProto(result.status);
            }
            if (--state->missing > 0) return;
          }
          state->done(absl::OkStatus());
        });
  }
};

void CacheHandler::Handle(const v1::MultiGetRequest& request, const CallInfo& info,
                          v1::MultiGetResponse* response, StatusDone done) {
  Many<v1::MultiGetRequest, v1::MultiGetResponse>::Run(this, request, info, response,
                                                       std::move(done));
}

void CacheHandler::Handle(const v1::MultiSetRequest& request, const CallInfo& info,
                          v1::MultiSetResponse* response, StatusDone done) {
  Many<v1::MultiSetRequest, v1::MultiSetResponse>::Run(this, request, info, response,
                                                       std::move(done));
}

void CacheHandler::Handle(const v1::MultiDeleteRequest& request, const CallInfo& info,
                          v1::MultiDeleteResponse* response, StatusDone done) {
  Many<v1::MultiDeleteRequest, v1::MultiDeleteResponse>::Run(this, request, info, response,
                                                             std::move(done));
}

}  // namespace atoll::service
