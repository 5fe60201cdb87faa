#include "server/replication/record_views.h"

#include "rpc/wire/peer_codec.h"

namespace atoll::replication {

wire::Remembered ViewOf(const internal::v1::RememberedResult& remembered) {
  return {.client_id = remembered.client_id(),
          .number = remembered.number(),
          .outcome = remembered.outcome(),
          .counter = remembered.counter(),
          .at_ms = remembered.at_ms(),
          .version = remembered.version()};
}

internal::v1::RememberedResult MessageOf(const wire::Remembered& remembered) {
  internal::v1::RememberedResult message;
  message.set_client_id(remembered.client_id);
  message.set_number(remembered.number);
  message.set_outcome(remembered.outcome);
  message.set_counter(remembered.counter);
  message.set_at_ms(remembered.at_ms);
  message.set_version(remembered.version);
  return message;
}

wire::Record ViewOf(const internal::v1::Record& record) {
  using internal::v1::Record;
  wire::Record view;
  view.version = record.version();
  view.key_hash = record.key_hash();
  switch (record.effect_case()) {
    case Record::kPut: {
      const internal::v1::PutEffect& put = record.put();
      view.effect = wire::Effect::kPut;
      view.ns = put.namespace_id();
      view.key = put.key();
      view.value.bytes = put.value();
      view.expiry = put.expiry();
      view.max_idle = put.max_idle();
      view.flags = put.flags();
      break;
    }
    case Record::kErase:
      view.effect = wire::Effect::kErase;
      view.ns = record.erase().namespace_id();
      view.key = record.erase().key();
      break;
    case Record::kTouch:
      view.effect = wire::Effect::kTouch;
      view.ns = record.touch().namespace_id();
      view.key = record.touch().key();
      view.expiry = record.touch().expiry();
      view.max_idle = record.touch().max_idle();
      break;
    case Record::kFlush:
      view.effect = wire::Effect::kFlush;
      view.ns = record.flush().namespace_id();
      break;
    case Record::kNothing:
      view.effect = wire::Effect::kNothing;
      break;
    case Record::EFFECT_NOT_SET:
      break;
  }
  view.has_remembered = record.has_remembered();
  if (view.has_remembered) view.remembered = ViewOf(record.remembered());
  return view;
}

wire::AppendAck ViewOf(const internal::v1::AppendAck& ack) {
  return {.partition = ack.partition(),
          .epoch = ack.epoch(),
          .applied = ack.applied(),
          .answer = ack.answer()};
}

std::string Encoded(const wire::Record& record) {
  std::string bytes(wire::Size(record), '\0');
  wire::Write(record, reinterpret_cast<uint8_t*>(bytes.data()));
  return bytes;
}

}  // namespace atoll::replication
