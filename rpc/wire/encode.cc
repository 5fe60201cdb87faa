#include "rpc/wire/encode.h"

#include "rpc/wire/fields.h"
#include "rpc/wire/format.h"

namespace atoll::wire {
namespace {

size_t EntrySize(const Entry& m) {
  return BytesSize(m.key.size()) + BytesSize(m.value.size()) + OptionalSize(m.ttl_ms) +
         NumberSize(Signed(m.max_idle_ms)) + NumberSize(m.flags);
}

// `first` is the number of the key's field.
uint8_t* PutEntryHead(uint32_t first, const Entry& m, uint8_t* out) {
  out = PutBytes(first, m.key, out);
  out = PutOptional(first + 2, m.ttl_ms, out);
  out = PutNumber(first + 3, Signed(m.max_idle_ms), out);
  out = PutNumber(first + 4, m.flags, out);
  return PutPayloadHead(first + 1, m.value, out);
}

// An element of a repeated message field: tag and length.
uint8_t* PutElement(size_t size, uint8_t* out) { return PutTagged(TagOf(1, kBytes), size, out); }

}  // namespace

size_t Size(const GetRequest& m) {
  return BytesSize(m.ns.size()) + BytesSize(m.key.size()) + NumberSize(Signed(m.consistency)) +
         FixedSize(m.if_version_not) + NumberSize(m.metadata_only ? 1 : 0);
}

uint8_t* Write(const GetRequest& m, uint8_t* out) {
  out = PutBytes(1, m.ns, out);
  out = PutBytes(2, m.key, out);
  out = PutNumber(3, Signed(m.consistency), out);
  out = PutFixed(4, m.if_version_not, out);
  return PutNumber(5, m.metadata_only ? 1 : 0, out);
}

uint8_t* WriteGetBody(const GetRequest& m, uint8_t* out, GetRequest* written) {
  const auto before = [](const uint8_t* end, size_t size) {
    return std::string_view(reinterpret_cast<const char*>(end) - size, size);
  };
  *written = m;
  out = PutKind(Kind::kGet, Size(m), out);
  out = PutBytes(1, m.ns, out);
  written->ns = before(out, m.ns.size());
  out = PutBytes(2, m.key, out);
  written->key = before(out, m.key.size());
  out = PutNumber(3, Signed(m.consistency), out);
  out = PutFixed(4, m.if_version_not, out);
  return PutNumber(5, m.metadata_only ? 1 : 0, out);
}

size_t Size(const SetRequest& m) { return BytesSize(m.ns.size()) + EntrySize(m.entry); }

uint8_t* WriteHead(const SetRequest& m, uint8_t* out) {
  return PutEntryHead(2, m.entry, PutBytes(1, m.ns, out));
}

uint8_t* Write(const SetRequest& m, uint8_t* out) {
  return PutPayload(m.entry.value, WriteHead(m, out));
}

size_t Size(const DeleteRequest& m) { return BytesSize(m.ns.size()) + BytesSize(m.key.size()); }

uint8_t* Write(const DeleteRequest& m, uint8_t* out) {
  return PutBytes(2, m.key, PutBytes(1, m.ns, out));
}

size_t Size(const MultiGetRequest& m) {
  size_t size = BytesSize(m.ns.size()) + NumberSize(Signed(m.consistency));
  for (const std::string_view key : m.keys) size += MessageSize(key.size());
  return size;
}

uint8_t* Write(const MultiGetRequest& m, uint8_t* out) {
  out = PutBytes(1, m.ns, out);
  out = PutNumber(3, Signed(m.consistency), out);
  // An empty key is an element, too.
  for (const std::string_view key : m.keys) {
    out = PutRaw(key, PutTagged(TagOf(2, kBytes), key.size(), out));
  }
  return out;
}

size_t Size(const MultiSetRequest& m) {
  size_t size = BytesSize(m.ns.size());
  for (const Entry& entry : m.entries) size += MessageSize(EntrySize(entry));
  return size;
}

uint8_t* Write(const MultiSetRequest& m, uint8_t* out) {
  out = PutBytes(1, m.ns, out);
  for (const Entry& entry : m.entries) {
    out = PutTagged(TagOf(2, kBytes), EntrySize(entry), out);
    out = PutPayload(entry.value, PutEntryHead(1, entry, out));
  }
  return out;
}

size_t Size(const MultiDeleteRequest& m) {
  size_t size = BytesSize(m.ns.size());
  for (const std::string_view key : m.keys) size += MessageSize(key.size());
  return size;
}

uint8_t* Write(const MultiDeleteRequest& m, uint8_t* out) {
  out = PutBytes(1, m.ns, out);
  for (const std::string_view key : m.keys) {
    out = PutRaw(key, PutTagged(TagOf(2, kBytes), key.size(), out));
  }
  return out;
}

size_t Size(const GetResponse& m) {
  return NumberSize(Signed(m.outcome)) + BytesSize(m.value.size()) + FixedSize(m.version) +
         NumberSize(m.flags) + OptionalSize(m.ttl_ms) + NumberSize(m.size) +
         NumberSize(Signed(m.max_idle_ms));
}

uint8_t* WriteHead(const GetResponse& m, uint8_t* out) {
  out = PutNumber(1, Signed(m.outcome), out);
  out = PutFixed(3, m.version, out);
  out = PutNumber(4, m.flags, out);
  out = PutOptional(5, m.ttl_ms, out);
  out = PutNumber(6, m.size, out);
  out = PutNumber(7, Signed(m.max_idle_ms), out);
  return PutPayloadHead(2, m.value, out);
}

uint8_t* Write(const GetResponse& m, uint8_t* out) {
  return PutPayload(m.value, WriteHead(m, out));
}

size_t Size(const WriteResponse& m) {
  return NumberSize(Signed(m.outcome)) + FixedSize(m.version) + NumberSize(m.copies);
}

uint8_t* Write(const WriteResponse& m, uint8_t* out) {
  out = PutNumber(1, Signed(m.outcome), out);
  out = PutFixed(2, m.version, out);
  return PutNumber(3, m.copies, out);
}

size_t BodySize(size_t message_size) { return MessageSize(message_size); }

size_t BodySize(Kind kind, size_t message_size) {
  return MessageSize(message_size) + (TagOf(kind) >= 0x80 ? 1 : 0);
}

uint8_t* WriteBodyHead(Kind kind, size_t message_size, uint8_t* out) {
  return PutKind(kind, message_size, out);
}

uint8_t* WriteErrorHead(size_t status_size, uint8_t* out) {
  return PutTagged(TagOf(2, kBytes), status_size, out);
}

namespace {

size_t OperationSize(uint64_t id, uint32_t timeout_ms, size_t body_size) {
  return NumberSize(id) + NumberSize(timeout_ms) + body_size;
}

size_t ResultSize(uint64_t id, size_t body_size) { return NumberSize(id) + body_size; }

size_t ItemSize(uint32_t index, size_t body_size) { return NumberSize(index) + body_size; }

}  // namespace

size_t OperationFrameSize(uint64_t id, uint32_t timeout_ms, size_t body_size) {
  return MessageSize(OperationSize(id, timeout_ms, body_size)) - body_size;
}

uint8_t* WriteOperationFrame(uint64_t id, uint32_t timeout_ms, size_t body_size, uint8_t* out) {
  // The length of a short one is one byte, written when it is known.
  constexpr size_t kMostNumbers = 1 + 10 + 1 + 5;
  if (body_size < 0x80 - kMostNumbers) {
    uint8_t* const numbers = out + 2;
    uint8_t* const end = PutNumber(2, timeout_ms, PutNumber(1, id, numbers));
    out[0] = TagOf(1, kBytes);
    out[1] = static_cast<uint8_t>(static_cast<size_t>(end - numbers) + body_size);
    return end;
  }
  out = PutElement(OperationSize(id, timeout_ms, body_size), out);
  return PutNumber(2, timeout_ms, PutNumber(1, id, out));
}

uint8_t* WriteRefuseWrongOwner(uint8_t* out) { return PutNumber(2, 1, out); }

uint8_t* WriteSent(uint64_t sent_us, uint8_t* out) { return PutNumber(3, sent_us, out); }

uint8_t* WriteValueLimit(uint64_t max_value_bytes, uint8_t* out) {
  return PutNumber(4, max_value_bytes, out);
}

uint8_t* WriteAnswerAtOnce(uint8_t* out) { return PutNumber(5, 1, out); }

size_t ResultFrameSize(uint64_t id, size_t body_size) {
  return MessageSize(ResultSize(id, body_size)) - body_size;
}

uint8_t* WriteResultFrame(uint64_t id, size_t body_size, uint8_t* out) {
  return PutNumber(1, id, PutElement(ResultSize(id, body_size), out));
}

size_t ItemFrameSize(uint32_t index, size_t body_size) {
  return MessageSize(ItemSize(index, body_size)) - body_size;
}

uint8_t* WriteItemFrame(uint32_t index, size_t body_size, uint8_t* out) {
  return PutNumber(1, index, PutElement(ItemSize(index, body_size), out));
}

uint8_t* WriteItemResultHead(size_t message_size, uint8_t* out) {
  return PutTagged(TagOf(3, kBytes), message_size, out);
}

}  // namespace atoll::wire
