#include "rpc/wire/peer_codec.h"

#include "rpc/wire/fields.h"
#include "rpc/wire/format.h"

namespace atoll::wire {
namespace {

// --- Sizes of what is in a record ---

constexpr uint64_t ZigZag(int64_t value) {
  return (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
}

constexpr int64_t UnZigZag(uint64_t value) {
  return static_cast<int64_t>((value >> 1) ^ (~(value & 1) + 1));
}

size_t PutEffectSize(const Record& m) {
  return NumberSize(m.ns) + BytesSize(m.key.size()) + BytesSize(m.value.size()) +
         NumberSize(m.expiry) + NumberSize(m.max_idle) + NumberSize(m.flags);
}

size_t EraseEffectSize(const Record& m) { return NumberSize(m.ns) + BytesSize(m.key.size()); }

size_t TouchEffectSize(const Record& m) {
  return EraseEffectSize(m) + NumberSize(m.expiry) + NumberSize(m.max_idle);
}

size_t RememberedSize(const Remembered& m) {
  return FixedSize(m.client_id) + NumberSize(m.number) + NumberSize(m.outcome) +
         NumberSize(ZigZag(m.counter)) + NumberSize(m.at_ms) + FixedSize(m.version);
}

size_t EffectSize(const Record& m) {
  switch (m.effect) {
    case Effect::kPut:
      return MessageSize(PutEffectSize(m));
    case Effect::kErase:
      return MessageSize(EraseEffectSize(m));
    case Effect::kTouch:
      return MessageSize(TouchEffectSize(m));
    case Effect::kFlush:
      return MessageSize(NumberSize(m.ns));
    case Effect::kNothing:
      return 2;
    case Effect::kNone:
      break;
  }
  return 0;
}

uint8_t* WriteEffect(const Record& m, uint8_t* out) {
  switch (m.effect) {
    case Effect::kPut:
      out = PutTagged(TagOf(3, kBytes), PutEffectSize(m), out);
      out = PutBytes(2, m.key, PutNumber(1, m.ns, out));
      out = PutPayload(m.value, PutPayloadHead(3, m.value, out));
      out = PutNumber(5, m.max_idle, PutNumber(4, m.expiry, out));
      return PutNumber(6, m.flags, out);
    case Effect::kErase:
      out = PutTagged(TagOf(4, kBytes), EraseEffectSize(m), out);
      return PutBytes(2, m.key, PutNumber(1, m.ns, out));
    case Effect::kTouch:
      out = PutTagged(TagOf(5, kBytes), TouchEffectSize(m), out);
      out = PutBytes(2, m.key, PutNumber(1, m.ns, out));
      return PutNumber(4, m.max_idle, PutNumber(3, m.expiry, out));
    case Effect::kFlush:
      out = PutTagged(TagOf(6, kBytes), NumberSize(m.ns), out);
      return PutNumber(1, m.ns, out);
    case Effect::kNothing:
      return PutNumber(7, 1, out);
    case Effect::kNone:
      break;
  }
  return out;
}

// --- Reading ---

bool ReadMessage(Reader& in, size_t limit, Remembered* out) {
  uint32_t seen = 0;
  return ReadFields(in, limit, [&](uint8_t tag) {
    if (!Once(tag, &seen)) return false;
    switch (tag) {
      case TagOf(1, kFixed64):
        return in.Fixed64(&out->client_id);
      case TagOf(2, kVarint):
        return in.Varint(&out->number);
      case TagOf(3, kVarint):
        return ReadUint32(in, &out->outcome);
      case TagOf(4, kVarint): {
        uint64_t value = 0;
        if (!in.Varint(&value)) return false;
        out->counter = UnZigZag(value);
        return true;
      }
      case TagOf(5, kVarint):
        return in.Varint(&out->at_ms);
      case TagOf(6, kFixed64):
        return in.Fixed64(&out->version);
      default:
        return false;
    }
  });
}

bool ReadPut(Reader& in, size_t limit, Record* out) {
  uint32_t seen = 0;
  return ReadFields(in, limit, [&](uint8_t tag) {
    if (!Once(tag, &seen)) return false;
    switch (tag) {
      case TagOf(1, kVarint):
        return ReadUint32(in, &out->ns);
      case TagOf(2, kBytes):
        return in.Bytes(limit, &out->key);
      case TagOf(3, kBytes):
        return in.Value(limit, &out->value);
      case TagOf(4, kVarint):
        return ReadUint32(in, &out->expiry);
      case TagOf(5, kVarint):
        return ReadUint32(in, &out->max_idle);
      case TagOf(6, kVarint):
        return ReadUint32(in, &out->flags);
      default:
        return false;
    }
  });
}

// An EraseEffect, TouchEffect or FlushEffect: each has the fields of the last before it.
bool ReadKeyed(Reader& in, size_t limit, Record* out) {
  uint32_t seen = 0;
  return ReadFields(in, limit, [&](uint8_t tag) {
    if (!Once(tag, &seen)) return false;
    switch (tag) {
      case TagOf(1, kVarint):
        return ReadUint32(in, &out->ns);
      case TagOf(2, kBytes):
        return out->effect != Effect::kFlush && in.Bytes(limit, &out->key);
      case TagOf(3, kVarint):
        return out->effect == Effect::kTouch && ReadUint32(in, &out->expiry);
      case TagOf(4, kVarint):
        return out->effect == Effect::kTouch && ReadUint32(in, &out->max_idle);
      default:
        return false;
    }
  });
}

// One field of the oneof, the first: a second one is for the generated parser.
bool ReadEffect(Reader& in, size_t limit, Effect effect, Record* out) {
  if (out->effect != Effect::kNone) return false;
  out->effect = effect;
  size_t length = 0;
  if (!in.Length(limit, &length)) return false;
  const size_t end = in.position() + length;
  return effect == Effect::kPut ? ReadPut(in, end, out) : ReadKeyed(in, end, out);
}

bool ReadMessage(Reader& in, size_t limit, Record* out) {
  uint32_t seen = 0;
  return ReadFields(in, limit, [&](uint8_t tag) {
    if (!Once(tag, &seen)) return false;
    switch (tag) {
      case TagOf(1, kFixed64):
        return in.Fixed64(&out->version);
      case TagOf(2, kFixed64):
        return in.Fixed64(&out->key_hash);
      case TagOf(3, kBytes):
        return ReadEffect(in, limit, Effect::kPut, out);
      case TagOf(4, kBytes):
        return ReadEffect(in, limit, Effect::kErase, out);
      case TagOf(5, kBytes):
        return ReadEffect(in, limit, Effect::kTouch, out);
      case TagOf(6, kBytes):
        return ReadEffect(in, limit, Effect::kFlush, out);
      case TagOf(7, kVarint): {
        bool nothing = false;
        if (out->effect != Effect::kNone) return false;
        out->effect = Effect::kNothing;
        // Nobody writes a false one, which would not be written as it was read.
        return ReadBool(in, &nothing) && nothing;
      }
      case TagOf(8, kBytes): {
        size_t length = 0;
        out->has_remembered = true;
        return in.Length(limit, &length) &&
               ReadMessage(in, in.position() + length, &out->remembered);
      }
      default:
        return false;
    }
  });
}

bool ReadMessage(Reader& in, size_t limit, ReceivedRecord* out) {
  Reader again = in;
  size_t length = 0;
  return again.Value(limit, &out->encoded) && in.Length(limit, &length) &&
         ReadMessage(in, in.position() + length, &out->record);
}

bool ReadMessage(Reader& in, size_t limit, Append* out) {
  uint32_t seen = 0;
  // Seldom more than one: a message carries records of many partitions.
  ArenaVector<ReceivedRecord> records(in.arena(), 1);
  const bool read = ReadFields(in, limit, [&](uint8_t tag) {
    if (tag == TagOf(4, kBytes)) {
      ReceivedRecord record;
      if (!ReadMessage(in, limit, &record)) return false;
      records.push_back(record);
      return true;
    }
    if (!Once(tag, &seen)) return false;
    switch (tag) {
      case TagOf(1, kVarint):
        return ReadUint32(in, &out->partition);
      case TagOf(2, kVarint):
        return ReadUint32(in, &out->epoch);
      case TagOf(3, kVarint):
        return in.Varint(&out->committed);
      default:
        return false;
    }
  });
  out->records = records.span();
  return read;
}

bool ReadMessage(Reader& in, size_t limit, AppendAck* out) {
  uint32_t seen = 0;
  return ReadFields(in, limit, [&](uint8_t tag) {
    if (!Once(tag, &seen)) return false;
    switch (tag) {
      case TagOf(1, kVarint):
        return ReadUint32(in, &out->partition);
      case TagOf(2, kVarint):
        return ReadUint32(in, &out->epoch);
      case TagOf(3, kVarint):
        return in.Varint(&out->applied);
      case TagOf(4, kVarint):
        return ReadInt32(in, &out->answer);
      default:
        return false;
    }
  });
}

template <typename M>
bool ReadKind(Reader& in, size_t limit, PeerItem::Kind kind, PeerItem* item, M* out) {
  if (item->kind != PeerItem::Kind::kOther) return false;
  item->kind = kind;
  size_t length = 0;
  return in.Length(limit, &length) && ReadMessage(in, in.position() + length, out);
}

bool ReadMessage(Reader& in, size_t limit, PeerItem* out) {
  const bool read = ReadFields(in, limit, [&](uint8_t tag) {
    switch (tag) {
      case TagOf(1, kBytes):
        return ReadKind(in, limit, PeerItem::Kind::kAppend, out, &out->append);
      case TagOf(2, kBytes):
        return ReadKind(in, limit, PeerItem::Kind::kAppendAck, out, &out->append_ack);
      default:
        return false;
    }
  });
  return read && out->kind != PeerItem::Kind::kOther;
}

// By hand, or as it is.
bool ReadItem(Reader& in, PeerItem* out) {
  size_t length = 0;
  if (!in.Length(in.size(), &length)) return false;
  const Reader start = in;
  if (ReadMessage(in, in.position() + length, out)) return true;
  in = start;
  *out = PeerItem();
  return in.Take(length, &out->other);
}

size_t HeadSize(uint32_t partition, uint32_t epoch, uint64_t sequence) {
  return NumberSize(partition) + NumberSize(epoch) + NumberSize(sequence);
}

uint8_t* WriteHead(uint32_t partition, uint32_t epoch, uint64_t sequence, uint8_t* out) {
  return PutNumber(3, sequence, PutNumber(2, epoch, PutNumber(1, partition, out)));
}

// Tag and length of an element of LinkRequest.messages, and of the one field of its PeerMessage.
uint8_t* WriteItemHead(uint32_t field, size_t size, uint8_t* out) {
  out = PutTagged(TagOf(2, kBytes), MessageSize(size), out);
  return PutTagged(TagOf(field, kBytes), size, out);
}

constexpr size_t kMaxVarint = 10;
constexpr size_t kMaxItemHead = 2 * (1 + kMaxVarint);
constexpr size_t kMaxFields = 4 * (1 + kMaxVarint);

}  // namespace

bool Decode(Input& input, LinkMessage* out) {
  *out = LinkMessage();
  Reader in(input.pieces(), input.size(), &input.arena());
  uint32_t seen = 0;
  ArenaVector<PeerItem> items(&input.arena());
  const bool read = ReadFields(in, in.size(), [&](uint8_t tag) {
    switch (tag) {
      case TagOf(2, kBytes): {
        PeerItem item;
        if (!ReadItem(in, &item)) return false;
        items.push_back(item);
        return true;
      }
      case TagOf(3, kVarint):
        return Once(tag, &seen) && in.Varint(&out->number);
      case TagOf(4, kVarint):
        return Once(tag, &seen) && in.Varint(&out->received);
      default:
        return false;
    }
  });
  out->items = items.span();
  return read;
}

bool Decode(Input& input, Record* out) {
  *out = Record();
  Reader in(input.pieces(), input.size(), &input.arena());
  return ReadMessage(in, in.size(), out);
}

size_t Size(const Record& m) {
  return FixedSize(m.version) + FixedSize(m.key_hash) + EffectSize(m) +
         (m.has_remembered ? MessageSize(RememberedSize(m.remembered)) : 0);
}

uint8_t* Write(const Record& m, uint8_t* out) {
  out = PutFixed(2, m.key_hash, PutFixed(1, m.version, out));
  out = WriteEffect(m, out);
  if (!m.has_remembered) return out;
  const Remembered& r = m.remembered;
  out = PutTagged(TagOf(8, kBytes), RememberedSize(r), out);
  out = PutNumber(2, r.number, PutFixed(1, r.client_id, out));
  out = PutNumber(4, ZigZag(r.counter), PutNumber(3, r.outcome, out));
  return PutFixed(6, r.version, PutNumber(5, r.at_ms, out));
}

void AppendItem(const AppendToSend& m, Output* out) {
  size_t size = HeadSize(m.partition, m.epoch, m.committed);
  for (const EncodedRecord& record : m.records) size += MessageSize(record.bytes.size());
  uint8_t* at = WriteItemHead(1, size, out->Reserve(kMaxItemHead + kMaxFields));
  out->Advance(WriteHead(m.partition, m.epoch, m.committed, at));
  for (const EncodedRecord& record : m.records) {
    const size_t bytes = record.bytes.size();
    const bool by_reference = bytes > kLargestCopy;
    at = out->Reserve(1 + kMaxVarint + (by_reference ? 0 : bytes));
    at = PutTagged(TagOf(4, kBytes), bytes, at);
    out->Advance(by_reference ? at : PutRaw(record.bytes, at));
    if (by_reference) out->AppendShared(record.bytes, record.owner);
  }
}

void AppendItem(const AppendAck& m, Output* out) {
  const auto answer = static_cast<uint64_t>(int64_t{m.answer});
  const size_t size = HeadSize(m.partition, m.epoch, m.applied) + NumberSize(answer);
  uint8_t* at = WriteItemHead(2, size, out->Reserve(kMaxItemHead + kMaxFields));
  at = WriteHead(m.partition, m.epoch, m.applied, at);
  out->Advance(PutNumber(4, answer, at));
}

uint8_t* ReserveItem(size_t size, Output* out) {
  out->Advance(PutTagged(TagOf(2, kBytes), size, out->Reserve(1 + kMaxVarint + size)));
  return out->Reserve(size);
}

void AppendNumbers(uint64_t number, uint64_t received, Output* out) {
  out->Advance(PutNumber(4, received, PutNumber(3, number, out->Reserve(2 * (1 + kMaxVarint)))));
}

}  // namespace atoll::wire
