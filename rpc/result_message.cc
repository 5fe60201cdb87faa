#include "rpc/result_message.h"

#include <string>

#include "absl/status/status.h"

namespace atoll::rpc {
namespace {

void Fill(const wire::GetResponse& from, v1::GetResponse* to) {
  to->set_outcome(static_cast<v1::Outcome>(from.outcome));
  std::string* const value = to->mutable_value();
  value->reserve(from.value.size());
  for (const std::string_view piece : from.value.span()) value->append(piece);
  to->set_version(from.version);
  to->set_flags(from.flags);
  if (from.ttl_ms.has_value()) to->set_ttl_ms(*from.ttl_ms);
  to->set_size(from.size);
  to->set_max_idle_ms(from.max_idle_ms);
}

template <typename Message>
void Fill(const wire::WriteResponse& from, Message* to) {
  to->set_outcome(static_cast<v1::Outcome>(from.outcome));
  to->set_version(from.version);
  to->set_copies(from.copies);
}

template <typename Item, typename Message>
void FillItems(absl::Span<const Item> items, Message* to) {
  for (const Item& item : items) {
    auto* const one = to->add_results();
    one->set_index(item.index);
    if (!item.has_error) {
      Fill(item.result, one->mutable_result());
    } else if (!one->mutable_error()->ParseFromArray(item.error.data(),
                                                     static_cast<int>(item.error.size()))) {
      one->mutable_error()->set_code(static_cast<int>(absl::StatusCode::kInternal));
    }
  }
}

}  // namespace

void ToMessage(const wire::Result& result, v1::OperationResult* message) {
  switch (result.kind) {
    case wire::Kind::kGet:
      return Fill(result.get, message->mutable_get());
    case wire::Kind::kSet:
      return Fill(result.write, message->mutable_set());
    case wire::Kind::kDelete:
      return Fill(result.write, message->mutable_delete_());
    case wire::Kind::kMultiGet:
      return FillItems(result.multi_get, message->mutable_multi_get());
    case wire::Kind::kMultiSet:
      return FillItems(result.multi_write, message->mutable_multi_set());
    case wire::Kind::kMultiDelete:
      return FillItems(result.multi_write, message->mutable_multi_delete());
    case wire::Kind::kOther:
      break;
  }
}

}  // namespace atoll::rpc
