#include "tests/rpc/wire/codec_check.h"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "atoll/v1/cache.pb.h"
#include "rpc/wire/decode.h"
#include "rpc/wire/encode.h"

namespace atoll::wire {
namespace {

// --- What the codec read, as the generated message ---

std::string Text(std::string_view bytes) { return std::string(bytes); }

std::string Text(const Payload& payload) {
  std::string text;
  for (const std::string_view piece : payload.span()) text.append(piece);
  return text;
}

void Fill(const GetRequest& m, v1::GetRequest* out) {
  out->set_namespace_(Text(m.ns));
  out->set_key(Text(m.key));
  out->set_consistency(static_cast<v1::Consistency>(m.consistency));
  out->set_if_version_not(m.if_version_not);
  out->set_metadata_only(m.metadata_only);
}

template <typename M>
void FillEntry(const Entry& m, M* out) {
  out->set_key(Text(m.key));
  out->set_value(Text(m.value));
  if (m.ttl_ms.has_value()) out->set_ttl_ms(*m.ttl_ms);
  out->set_max_idle_ms(m.max_idle_ms);
  out->set_flags(m.flags);
}

void Fill(const SetRequest& m, v1::SetRequest* out) {
  out->set_namespace_(Text(m.ns));
  FillEntry(m.entry, out);
}

void Fill(const DeleteRequest& m, v1::DeleteRequest* out) {
  out->set_namespace_(Text(m.ns));
  out->set_key(Text(m.key));
}

void Fill(const MultiGetRequest& m, v1::MultiGetRequest* out) {
  out->set_namespace_(Text(m.ns));
  for (const std::string_view key : m.keys) out->add_keys(Text(key));
  out->set_consistency(static_cast<v1::Consistency>(m.consistency));
}

void Fill(const MultiSetRequest& m, v1::MultiSetRequest* out) {
  out->set_namespace_(Text(m.ns));
  for (const Entry& entry : m.entries) FillEntry(entry, out->add_entries());
}

void Fill(const MultiDeleteRequest& m, v1::MultiDeleteRequest* out) {
  out->set_namespace_(Text(m.ns));
  for (const std::string_view key : m.keys) out->add_keys(Text(key));
}

void Fill(const GetResponse& m, v1::GetResponse* out) {
  out->set_outcome(static_cast<v1::Outcome>(m.outcome));
  out->set_value(Text(m.value));
  out->set_version(m.version);
  out->set_flags(m.flags);
  if (m.ttl_ms.has_value()) out->set_ttl_ms(*m.ttl_ms);
  out->set_size(m.size);
  out->set_max_idle_ms(m.max_idle_ms);
}

template <typename M>
void FillWrite(const WriteResponse& m, M* out) {
  out->set_outcome(static_cast<v1::Outcome>(m.outcome));
  out->set_version(m.version);
  out->set_copies(m.copies);
}
void Fill(const WriteResponse& m, v1::SetResponse* out) { FillWrite(m, out); }
void Fill(const WriteResponse& m, v1::DeleteResponse* out) { FillWrite(m, out); }

// The codec leaves errors to the generated parser: one that is malformed makes the message so.
bool FillError(std::string_view bytes, google::rpc::Status* out) {
  return out->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

template <typename Response, typename M>
bool FillItems(absl::Span<const Item<Response>> items, M* out) {
  for (const Item<Response>& item : items) {
    auto* added = out->add_results();
    added->set_index(item.index);
    if (item.has_error && !FillError(item.error, added->mutable_error())) return false;
    // Present or not: the codec does not tell, and nobody asks.
    Fill(item.result, added->mutable_result());
  }
  return true;
}

bool Fill(const Operation& m, v1::Operation* out) {
  out->set_id(m.id);
  out->set_timeout_ms(m.timeout_ms);
  switch (m.kind) {
    case Kind::kGet:
      Fill(m.get, out->mutable_get());
      return true;
    case Kind::kSet:
      Fill(m.set, out->mutable_set());
      return true;
    case Kind::kDelete:
      Fill(m.del, out->mutable_delete_());
      return true;
    case Kind::kMultiGet:
      Fill(m.multi_get, out->mutable_multi_get());
      return true;
    case Kind::kMultiSet:
      Fill(m.multi_set, out->mutable_multi_set());
      return true;
    case Kind::kMultiDelete:
      Fill(m.multi_delete, out->mutable_multi_delete());
      return true;
    case Kind::kOther:
      return out->ParseFromArray(m.other.data(), static_cast<int>(m.other.size()));
  }
  return false;
}

bool Fill(const Result& m, v1::OperationResult* out) {
  out->set_id(m.id);
  if (m.has_error && !FillError(m.error, out->mutable_error())) return false;
  switch (m.kind) {
    case Kind::kGet:
      Fill(m.get, out->mutable_get());
      return true;
    case Kind::kSet:
      Fill(m.write, out->mutable_set());
      return true;
    case Kind::kDelete:
      Fill(m.write, out->mutable_delete_());
      return true;
    case Kind::kMultiGet:
      return FillItems(m.multi_get, out->mutable_multi_get());
    case Kind::kMultiSet:
      return FillItems(m.multi_write, out->mutable_multi_set());
    case Kind::kMultiDelete:
      return FillItems(m.multi_write, out->mutable_multi_delete());
    case Kind::kOther:
      if (m.has_error) return true;
      return out->ParseFromArray(m.other.data(), static_cast<int>(m.other.size()));
  }
  return false;
}

// The result of an item is filled in where it was absent: do the same to the other side.
void AddResults(v1::OperationResult* result) {
  if (result->has_multi_get()) {
    for (auto& item : *result->mutable_multi_get()->mutable_results()) item.mutable_result();
  }
  if (result->has_multi_set()) {
    for (auto& item : *result->mutable_multi_set()->mutable_results()) item.mutable_result();
  }
  if (result->has_multi_delete()) {
    for (auto& item : *result->mutable_multi_delete()->mutable_results()) item.mutable_result();
  }
}

// --- Comparing ---

std::vector<std::string_view> Cut(std::string_view bytes, absl::Span<const size_t> cuts) {
  std::vector<std::string_view> pieces;
  size_t from = 0;
  for (const size_t cut : cuts) {
    if (cut < from || cut > bytes.size()) continue;
    pieces.push_back(bytes.substr(from, cut - from));
    from = cut;
  }
  pieces.push_back(bytes.substr(from));
  return pieces;
}

template <typename M>
std::string Encoded(const M& m) {
  std::string out(Size(m), '\xee');
  const uint8_t* const end = Write(m, reinterpret_cast<uint8_t*>(out.data()));
  if (end != reinterpret_cast<const uint8_t*>(out.data()) + out.size()) return "wrong size";
  return out;
}

template <typename M>
bool Same(const M& a, const M& b) {
  return google::protobuf::util::MessageDifferencer::Equals(a, b);
}

// One message on its own: what both can read they read alike, and what the generated parser refuses
// is not read by hand.
template <typename M, typename Generated>
std::string CompareMessage(Input& input, std::string_view bytes, const char* name) {
  M mine;
  if (!Decode(input, &mine)) return "";
  Generated theirs;
  const std::string prefix = std::string(name) + ": ";
  if (!theirs.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return prefix + "read by hand, refused by the generated parser";
  }
  Generated filled;
  Fill(mine, &filled);
  if (!Same(filled, theirs)) {
    return prefix + "read " + filled.ShortDebugString() + " not " + theirs.ShortDebugString();
  }
  Generated again;
  if (!again.ParseFromString(Encoded(mine)) || !Same(again, theirs)) {
    return prefix + "written otherwise than read: " + theirs.ShortDebugString();
  }
  return "";
}

template <typename View, typename Generated>
std::string CompareItems(Input& input, std::string_view bytes, const char* name) {
  absl::Span<const View> mine;
  if (!Decode(input, &mine)) return "";
  Generated theirs;
  Generated filled;
  const bool parsed = theirs.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
  if (!FillItems(mine, &filled)) return "";  // an error that is malformed
  if (!parsed) return std::string(name) + ": read by hand, refused by the generated parser";
  for (auto& item : *theirs.mutable_results()) item.mutable_result();
  if (Same(filled, theirs)) return "";
  return std::string(name) + ": read " + filled.ShortDebugString() + " not " +
         theirs.ShortDebugString();
}

// A whole stream message: `Fill` false and Step::kOther are left to the generated parser.
template <typename StreamReader, typename View, typename Generated, typename Elements>
std::optional<Generated> ReadStream(Input& input, Elements elements) {
  StreamReader reader(input);
  Generated filled;
  View view;
  for (;;) {
    const Step step = reader.Next(&view);
    if (step == Step::kEnd) break;
    if (step == Step::kOther || !Fill(view, elements(filled))) return std::nullopt;
  }
  if constexpr (requires { reader.refuse_wrong_owner(); }) {
    filled.set_refuse_wrong_owner(reader.refuse_wrong_owner());
    filled.set_max_value_bytes(reader.max_value_bytes());
    filled.set_sent_us(reader.sent_us());
    filled.set_answer_at_once(reader.answer_at_once());
  }
  return filled;
}

std::string CompareRequest(Input& input, std::string_view bytes) {
  auto filled = ReadStream<RequestReader, Operation, v1::ExchangeRequest>(
      input, [](v1::ExchangeRequest& m) { return m.add_operations(); });
  if (!filled.has_value()) return "";
  v1::ExchangeRequest theirs;
  if (!theirs.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return "ExchangeRequest: read by hand, refused by the generated parser";
  }
  if (Same(*filled, theirs)) return "";
  return "ExchangeRequest: read " + filled->ShortDebugString() + " not " +
         theirs.ShortDebugString();
}

std::string CompareResponse(Input& input, std::string_view bytes) {
  auto filled = ReadStream<ResponseReader, Result, v1::ExchangeResponse>(
      input, [](v1::ExchangeResponse& m) { return m.add_results(); });
  if (!filled.has_value()) return "";
  v1::ExchangeResponse theirs;
  if (!theirs.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return "ExchangeResponse: read by hand, refused by the generated parser";
  }
  for (auto& result : *filled->mutable_results()) AddResults(&result);
  for (auto& result : *theirs.mutable_results()) AddResults(&result);
  if (Same(*filled, theirs)) return "";
  return "ExchangeResponse: read " + filled->ShortDebugString() + " not " +
         theirs.ShortDebugString();
}

}  // namespace

std::string CompareWithGenerated(std::string_view bytes, absl::Span<const size_t> cuts) {
  // Each piece in memory of its own, so that a sanitizer sees a byte too many.
  std::vector<std::unique_ptr<char[]>> memory;
  std::vector<std::string_view> pieces;
  for (const std::string_view piece : Cut(bytes, cuts)) {
    memory.push_back(std::unique_ptr<char[]>(new char[piece.size()]));
    std::copy(piece.begin(), piece.end(), memory.back().get());
    pieces.emplace_back(memory.back().get(), piece.size());
  }
  Input input;
  const auto compare = [&](auto check) {
    input.Load(pieces);
    return check();
  };
  std::string differs;
  const auto note = [&](std::string what) {
    if (differs.empty()) differs = std::move(what);
  };
#define ATOLL_COMPARE(View, Generated) \
  note(compare([&] { return CompareMessage<View, v1::Generated>(input, bytes, #Generated); }))
  ATOLL_COMPARE(GetRequest, GetRequest);
  ATOLL_COMPARE(SetRequest, SetRequest);
  ATOLL_COMPARE(DeleteRequest, DeleteRequest);
  ATOLL_COMPARE(MultiGetRequest, MultiGetRequest);
  ATOLL_COMPARE(MultiSetRequest, MultiSetRequest);
  ATOLL_COMPARE(MultiDeleteRequest, MultiDeleteRequest);
  ATOLL_COMPARE(GetResponse, GetResponse);
  ATOLL_COMPARE(WriteResponse, SetResponse);
  ATOLL_COMPARE(WriteResponse, DeleteResponse);
#undef ATOLL_COMPARE
  note(compare([&] {
    return CompareItems<MultiGetItem, v1::MultiGetResponse>(input, bytes, "MultiGetResponse");
  }));
  note(compare([&] {
    return CompareItems<MultiWriteItem, v1::MultiSetResponse>(input, bytes, "MultiSetResponse");
  }));
  note(compare([&] {
    return CompareItems<MultiWriteItem, v1::MultiDeleteResponse>(input, bytes,
                                                                 "MultiDeleteResponse");
  }));
  note(compare([&] { return CompareRequest(input, bytes); }));
  note(compare([&] { return CompareResponse(input, bytes); }));
  return differs;
}

bool RequestReadByHand(std::string_view bytes) {
  Input input;
  input.Load({&bytes, 1});
  RequestReader reader(input);
  Operation operation;
  for (;;) {
    const Step step = reader.Next(&operation);
    if (step == Step::kEnd) return true;
    if (step == Step::kOther || operation.kind == Kind::kOther) return false;
  }
}

bool ResponseReadByHand(std::string_view bytes) {
  Input input;
  input.Load({&bytes, 1});
  ResponseReader reader(input);
  Result result;
  for (;;) {
    const Step step = reader.Next(&result);
    if (step == Step::kEnd) return true;
    if (step == Step::kOther || (result.kind == Kind::kOther && !result.has_error)) return false;
  }
}

}  // namespace atoll::wire
