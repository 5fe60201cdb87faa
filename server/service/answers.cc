#include "server/service/answers.h"

#include <algorithm>
#include <string>

#include "base/clock.h"
#include "rpc/status.h"
#include "rpc/wire/encode.h"

namespace atoll::service {

using replication::OperationResult;

namespace {

uint8_t* WriteFrame(const Frame& frame, size_t size, uint8_t* out) {
  switch (frame.form) {
    case Frame::Form::kResult:
      out = wire::WriteResultFrame(frame.number, wire::BodySize(frame.kind, size), out);
      return wire::WriteBodyHead(frame.kind, size, out);
    case Frame::Form::kItem:
      out = wire::WriteItemFrame(static_cast<uint32_t>(frame.number), wire::BodySize(size), out);
      return wire::WriteItemResultHead(size, out);
    case Frame::Form::kBare:
      return out;
  }
  return out;
}

void AppendPieces(const store::Value& value, wire::Output* out) {
  const bool share = value.size() > wire::kLargestCopy && value.owner() != nullptr;
  for (const std::string_view piece : value.pieces()) {
    if (share) {
      out->AppendShared(piece, value.owner());
    } else {
      out->Append(piece);
    }
  }
}

}  // namespace

int64_t TtlMs(base::CacheSeconds expiry, int64_t now_ms) {
  return std::max<int64_t>(1, (base::kCacheEpochUnixSeconds + expiry) * 1000 - now_ms);
}

uint8_t* WriteGetHead(const Frame& frame, const GetHead& head, int64_t now_ms, uint8_t* out) {
  wire::GetResponse answer;
  answer.outcome = head.outcome;
  if (head.outcome != v1::OUTCOME_MISS) {
    // Only the size of it is asked for.
    answer.value.bytes = {reinterpret_cast<const char*>(out), head.sent_bytes};
    answer.version = head.meta.version.raw();
    answer.flags = head.meta.flags;
    if (head.meta.expiry != 0) answer.ttl_ms = TtlMs(head.meta.expiry, now_ms);
    answer.size = head.value_size;
    answer.max_idle_ms = int64_t{head.meta.max_idle} * 1000;
  }
  out = WriteFrame(frame, wire::Size(answer), out);
  return wire::WriteHead(answer, out);
}

void AppendGet(const Frame& frame, const GetHead& head, const store::Value& value, int64_t now_ms,
               wire::Output* out) {
  out->Advance(WriteGetHead(frame, head, now_ms, out->Reserve(kMostHeadBytes)));
  if (head.sent_bytes > 0) AppendPieces(value, out);
}

void AppendGet(const Frame& frame, const OperationResult& result, int64_t now_ms,
               wire::Output* out) {
  AppendGet(frame,
            {.outcome = result.outcome,
             .meta = result.meta,
             .value_size = result.value_size,
             .sent_bytes = result.value.size()},
            result.value, now_ms, out);
}

void AppendWrite(const Frame& frame, const wire::WriteResponse& answer, wire::Output* out) {
  const size_t size = wire::Size(answer);
  out->Advance(wire::Write(answer, WriteFrame(frame, size, out->Reserve(kMostHeadBytes))));
}

void AppendError(const Frame& frame, std::string_view error, wire::Output* out) {
  const size_t body = wire::BodySize(error.size());
  uint8_t* to = out->Reserve(kMostHeadBytes);
  to = frame.form == Frame::Form::kItem
           ? wire::WriteItemFrame(static_cast<uint32_t>(frame.number), body, to)
           : wire::WriteResultFrame(frame.number, body, to);
  out->Advance(wire::WriteErrorHead(error.size(), to));
  out->Append(error);
}

uint8_t* WriteMultiHead(const Frame& frame, size_t size, uint8_t* out) {
  return WriteFrame(frame, size, out);
}

void AppendOther(std::string_view result, wire::Output* out) {
  // An element whose id is within the body: a frame of none.
  out->Advance(wire::WriteResultFrame(0, result.size(), out->Reserve(kMostHeadBytes)));
  out->Append(result);
}

std::string SerializeStatus(const absl::Status& status) {
  return rpc::ToProto(status).SerializeAsString();
}

}  // namespace atoll::service
