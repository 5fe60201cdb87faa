#include "tests/rpc/wire/peer_check.h"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "atoll/internal/v1/peer.pb.h"
#include "rpc/wire/peer_codec.h"

namespace atoll::wire {
namespace {

using google::protobuf::util::MessageDifferencer;
using internal::v1::LinkRequest;
using internal::v1::PeerMessage;

std::string Text(const Payload& payload) {
  std::string text;
  for (const std::string_view piece : payload.span()) text.append(piece);
  return text;
}

void ToGenerated(const Record& record, internal::v1::Record* out) {
  out->set_version(record.version);
  out->set_key_hash(record.key_hash);
  const std::string key(record.key);
  switch (record.effect) {
    case Effect::kPut:
      out->mutable_put()->set_namespace_id(record.ns);
      out->mutable_put()->set_key(key);
      out->mutable_put()->set_value(Text(record.value));
      out->mutable_put()->set_expiry(record.expiry);
      out->mutable_put()->set_max_idle(record.max_idle);
      out->mutable_put()->set_flags(record.flags);
      break;
    case Effect::kErase:
      out->mutable_erase()->set_namespace_id(record.ns);
      out->mutable_erase()->set_key(key);
      break;
    case Effect::kTouch:
      out->mutable_touch()->set_namespace_id(record.ns);
      out->mutable_touch()->set_key(key);
      out->mutable_touch()->set_expiry(record.expiry);
      out->mutable_touch()->set_max_idle(record.max_idle);
      break;
    case Effect::kFlush:
      out->mutable_flush()->set_namespace_id(record.ns);
      break;
    case Effect::kNothing:
      out->set_nothing(true);
      break;
    case Effect::kNone:
      break;
  }
  if (!record.has_remembered) return;
  auto* remembered = out->mutable_remembered();
  remembered->set_client_id(record.remembered.client_id);
  remembered->set_number(record.remembered.number);
  remembered->set_outcome(record.remembered.outcome);
  remembered->set_counter(record.remembered.counter);
  remembered->set_at_ms(record.remembered.at_ms);
  remembered->set_version(record.remembered.version);
}

// What was read, as the generated message; false if a part that was left to the generated parser is
// malformed.
bool ToGenerated(const LinkMessage& message, LinkRequest* out) {
  out->set_number(message.number);
  out->set_received(message.received);
  for (const PeerItem& item : message.items) {
    PeerMessage* const to = out->add_messages();
    switch (item.kind) {
      case PeerItem::Kind::kAppend:
        to->mutable_append()->set_partition(item.append.partition);
        to->mutable_append()->set_epoch(item.append.epoch);
        to->mutable_append()->set_committed(item.append.committed);
        for (const ReceivedRecord& record : item.append.records) {
          internal::v1::Record* const made = to->mutable_append()->add_records();
          ToGenerated(record.record, made);
        }
        break;
      case PeerItem::Kind::kAppendAck:
        to->mutable_append_ack()->set_partition(item.append_ack.partition);
        to->mutable_append_ack()->set_epoch(item.append_ack.epoch);
        to->mutable_append_ack()->set_applied(item.append_ack.applied);
        to->mutable_append_ack()->set_answer(
            static_cast<internal::v1::AppendAck::Answer>(item.append_ack.answer));
        break;
      case PeerItem::Kind::kOther:
        if (!to->ParseFromArray(item.other.data(), static_cast<int>(item.other.size()))) {
          return false;
        }
        break;
    }
  }
  return true;
}

void LoadCut(std::string_view bytes, absl::Span<const size_t> cuts, Input* input) {
  std::vector<std::string_view> pieces;
  pieces.reserve(cuts.size() + 1);
  size_t at = 0;
  for (const size_t cut : cuts) {
    pieces.push_back(bytes.substr(at, cut - at));
    at = cut;
  }
  pieces.push_back(bytes.substr(at));
  input->Load(pieces);
}

std::string Bytes(Output* out) {
  const grpc::ByteBuffer buffer = out->Finish();
  std::vector<grpc::Slice> slices;
  if (!buffer.Dump(&slices).ok()) return "not dumped";
  std::string bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

EncodedRecord Encode(const Record& record, bool* as_long_as_said) {
  const size_t size = Size(record);
  auto bytes = std::make_shared_for_overwrite<char[]>(size);
  auto* const begin = reinterpret_cast<uint8_t*>(bytes.get());
  *as_long_as_said = Write(record, begin) == begin + size;
  return {.bytes = {bytes.get(), size}, .owner = std::move(bytes)};
}

std::string Difference(const google::protobuf::Message& by_hand,
                       const google::protobuf::Message& expected, std::string_view what) {
  if (MessageDifferencer::Equals(by_hand, expected)) return "";
  return std::string(what) + ": " + by_hand.ShortDebugString() + " for " +
         expected.ShortDebugString();
}

// Of a record read by hand; `bytes` are those that it was read from.
std::string CheckRecord(const Record& record, const std::string& bytes) {
  internal::v1::Record expected;
  if (!expected.ParseFromString(bytes)) return "record: the generated parser does not read it";
  internal::v1::Record by_hand;
  ToGenerated(record, &by_hand);
  if (std::string what = Difference(by_hand, expected, "record"); !what.empty()) return what;
  bool as_long_as_said = false;
  const EncodedRecord encoded = Encode(record, &as_long_as_said);
  if (!as_long_as_said) return "record: written in another size than was said";
  internal::v1::Record again;
  if (!again.ParseFromString(std::string(encoded.bytes))) return "record: what is written is none";
  return Difference(again, expected, "record written again");
}

// Writes all of it again; `difference` if a record of it is not what it was read from.
void WriteAgain(const LinkMessage& message, Output* out, std::string* difference) {
  for (const PeerItem& item : message.items) {
    switch (item.kind) {
      case PeerItem::Kind::kAppend: {
        std::vector<EncodedRecord> records;
        records.reserve(item.append.records.size());
        for (const ReceivedRecord& record : item.append.records) {
          if (std::string what = CheckRecord(record.record, Text(record.encoded)); !what.empty()) {
            *difference = what;
          }
          bool as_long_as_said = false;
          records.push_back(Encode(record.record, &as_long_as_said));
        }
        AppendItem({.partition = item.append.partition,
                    .epoch = item.append.epoch,
                    .committed = item.append.committed,
                    .records = records},
                   out);
        break;
      }
      case PeerItem::Kind::kAppendAck:
        AppendItem(item.append_ack, out);
        break;
      case PeerItem::Kind::kOther: {
        uint8_t* const place = ReserveItem(item.other.size(), out);
        std::copy(item.other.begin(), item.other.end(), place);
        out->Advance(place + item.other.size());
        break;
      }
    }
  }
  AppendNumbers(message.number, message.received, out);
}

std::string CheckLink(std::string_view bytes, absl::Span<const size_t> cuts, bool* by_hand) {
  Input input;
  LoadCut(bytes, cuts, &input);
  LinkMessage read;
  const bool done = Decode(input, &read);
  if (by_hand != nullptr) *by_hand = done;
  if (!done) return "";
  LinkRequest made;
  if (!ToGenerated(read, &made)) return "";  // judged by the generated parser already
  LinkRequest expected;
  if (!expected.ParseFromString(std::string(bytes))) return "the generated parser does not read it";
  if (std::string what = Difference(made, expected, "read"); !what.empty()) return what;
  Output out;
  std::string difference;
  WriteAgain(read, &out, &difference);
  if (!difference.empty()) return difference;
  LinkRequest again;
  if (!again.ParseFromString(Bytes(&out))) return "what is written is no message";
  return Difference(again, expected, "written again");
}

}  // namespace

std::string ComparePeerWithGenerated(std::string_view bytes, absl::Span<const size_t> cuts,
                                     bool* by_hand) {
  if (std::string what = CheckLink(bytes, cuts, by_hand); !what.empty()) return what;
  Input input;
  LoadCut(bytes, cuts, &input);
  Record record;
  if (!Decode(input, &record)) return "";
  return CheckRecord(record, std::string(bytes));
}

}  // namespace atoll::wire
