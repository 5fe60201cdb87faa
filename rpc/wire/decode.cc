#include "rpc/wire/decode.h"

#include <type_traits>

#include "rpc/wire/fields.h"
#include "rpc/wire/flat_reader.h"
#include "rpc/wire/format.h"

namespace atoll::wire {
namespace {

template <typename In>
bool ReadMessage(In& in, size_t limit, GetRequest* out) {
  uint32_t seen = 0;
  return ReadFields(in, limit, [&](uint8_t tag) {
    if (!Once(tag, &seen)) return false;
    switch (tag) {
      case TagOf(1, kBytes):
        return ReadName(in, limit, &out->ns);
      case TagOf(2, kBytes):
        return in.Bytes(limit, &out->key);
      case TagOf(3, kVarint):
        return ReadInt32(in, &out->consistency);
      case TagOf(4, kFixed64):
        return in.Fixed64(&out->if_version_not);
      case TagOf(5, kVarint):
        return ReadBool(in, &out->metadata_only);
      default:
        return false;
    }
  });
}

// The fields of an entry, whose numbers begin at `first` (that of the key).
template <uint32_t first, typename In>
bool ReadEntryField(In& in, size_t limit, uint8_t tag, Entry* out) {
  switch (tag) {
    case TagOf(first, kBytes):
      return in.Bytes(limit, &out->key);
    case TagOf(first + 1, kBytes):
      return in.Value(limit, &out->value);
    case TagOf(first + 2, kVarint):
      return ReadInt64(in, &out->ttl_ms);
    case TagOf(first + 3, kVarint):
      return ReadInt64(in, &out->max_idle_ms);
    case TagOf(first + 4, kVarint):
      return ReadUint32(in, &out->flags);
    default:
      return false;
  }
}

template <typename In>
bool ReadMessage(In& in, size_t limit, SetRequest* out) {
  uint32_t seen = 0;
  return ReadFields(in, limit, [&](uint8_t tag) {
    if (!Once(tag, &seen)) return false;
    if (tag == TagOf(1, kBytes)) return ReadName(in, limit, &out->ns);
    return ReadEntryField<2>(in, limit, tag, &out->entry);
  });
}

template <typename In>
bool ReadMessage(In& in, size_t limit, Entry* out) {
  uint32_t seen = 0;
  return ReadFields(in, limit, [&](uint8_t tag) {
    return Once(tag, &seen) && ReadEntryField<1>(in, limit, tag, out);
  });
}

template <typename In>
bool ReadMessage(In& in, size_t limit, DeleteRequest* out) {
  uint32_t seen = 0;
  return ReadFields(in, limit, [&](uint8_t tag) {
    if (!Once(tag, &seen)) return false;
    switch (tag) {
      case TagOf(1, kBytes):
        return ReadName(in, limit, &out->ns);
      case TagOf(2, kBytes):
        return in.Bytes(limit, &out->key);
      default:
        return false;
    }
  });
}

// One of the keys of a MultiGetRequest or MultiDeleteRequest.
template <typename In, typename M>
bool ReadOneKey(In& in, size_t limit, ArenaVector<std::string_view>* keys, M* out) {
  std::string_view key;
  if (!in.Bytes(limit, &key)) return false;
  if (++out->count <= kMostItems) keys->push_back(key);
  return true;
}

template <typename In>
bool ReadMessage(In& in, size_t limit, MultiGetRequest* out) {
  uint32_t seen = 0;
  ArenaVector<std::string_view> keys(in.arena());
  const bool read = ReadFields(in, limit, [&](uint8_t tag) {
    switch (tag) {
      case TagOf(2, kBytes):
        return ReadOneKey(in, limit, &keys, out);
      case TagOf(1, kBytes):
        return Once(tag, &seen) && ReadName(in, limit, &out->ns);
      case TagOf(3, kVarint):
        return Once(tag, &seen) && ReadInt32(in, &out->consistency);
      default:
        return false;
    }
  });
  out->keys = keys.span();
  return read;
}

template <typename In>
bool ReadMessage(In& in, size_t limit, MultiDeleteRequest* out) {
  uint32_t seen = 0;
  ArenaVector<std::string_view> keys(in.arena());
  const bool read = ReadFields(in, limit, [&](uint8_t tag) {
    switch (tag) {
      case TagOf(2, kBytes):
        return ReadOneKey(in, limit, &keys, out);
      case TagOf(1, kBytes):
        return Once(tag, &seen) && ReadName(in, limit, &out->ns);
      default:
        return false;
    }
  });
  out->keys = keys.span();
  return read;
}

template <typename In, typename Response>
bool ReadMessage(In& in, size_t limit, Item<Response>* out);
template <typename In>
bool ReadMessage(In& in, size_t limit, MultiSetRequest* out);
template <typename In>
bool ReadMessage(In& in, size_t limit, GetResponse* out);
template <typename In>
bool ReadMessage(In& in, size_t limit, WriteResponse* out);
template <typename In, typename Response>
bool ReadMessage(In& in, size_t limit, absl::Span<const Item<Response>>* out);
template <typename In>
bool ReadMessage(In& in, size_t limit, Operation* out);
template <typename In>
bool ReadMessage(In& in, size_t limit, Result* out);

template <typename M>
bool ReadNested(FlatReader& in, size_t limit, M* out) {
  size_t length = 0;
  return in.Length(limit, &length) && ReadMessage(in, in.position() + length, out);
}

// All of it in one function, so that where it reads is kept in registers.
template <typename M>
[[gnu::flatten]] bool ReadFlat(std::string_view bytes, Arena* arena, M* out) {
  FlatReader flat(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), arena);
  return ReadMessage(flat, flat.size(), out);
}

template <typename M>
bool ReadNested(Reader& in, size_t limit, M* out) {
  size_t length = 0;
  if (!in.Length(limit, &length)) return false;
  std::string_view piece;
  if (!in.TakeFlat(length, &piece)) return ReadMessage(in, in.position() + length, out);
  return ReadFlat(piece, in.arena(), out);
}

template <typename In>
bool ReadMessage(In& in, size_t limit, MultiSetRequest* out) {
  uint32_t seen = 0;
  ArenaVector<Entry> entries(in.arena());
  const bool read = ReadFields(in, limit, [&](uint8_t tag) {
    if (tag == TagOf(1, kBytes)) return Once(tag, &seen) && ReadName(in, limit, &out->ns);
    Entry entry;
    if (tag != TagOf(2, kBytes) || !ReadNested(in, limit, &entry)) return false;
    if (++out->count <= kMostItems) entries.push_back(entry);
    return true;
  });
  out->entries = entries.span();
  return read;
}

// Fields in the order in which encode.h writes them, so that each is looked for once: no loop over
// tags, and no jump by tag that the processor guesses wrong. False if it is anything else: nothing
// was done to `out` then. What is read is stored once, and not into what was zeroed before.
bool ReadAsWritten(FlatReader& in, uintptr_t limit, GetResponse* out) {
  int32_t outcome = 0;
  uint64_t version = 0;
  uint32_t flags = 0;
  std::optional<int64_t> ttl_ms;
  uint64_t size = 0;
  int64_t max_idle_ms = 0;
  std::string_view value;
  const bool read = (!in.NextIs(TagOf(1, kVarint)) || ReadInt32(in, &outcome)) &&
                    (!in.NextIs(TagOf(3, kFixed64)) || in.Fixed64(&version)) &&
                    (!in.NextIs(TagOf(4, kVarint)) || ReadUint32(in, &flags)) &&
                    (!in.NextIs(TagOf(5, kVarint)) || ReadInt64(in, &ttl_ms)) &&
                    (!in.NextIs(TagOf(6, kVarint)) || in.Varint(&size)) &&
                    (!in.NextIs(TagOf(7, kVarint)) || ReadInt64(in, &max_idle_ms)) &&
                    (!in.NextIs(TagOf(2, kBytes)) || in.Bytes(limit, &value));
  if (!read || in.position() != limit) return false;
  out->outcome = outcome;
  out->value.bytes = value;
  out->value.pieces = {};
  out->version = version;
  out->flags = flags;
  out->ttl_ms = ttl_ms;
  out->size = size;
  out->max_idle_ms = max_idle_ms;
  return true;
}

template <typename In>
bool ReadMessage(In& in, size_t limit, GetResponse* out) {
  if constexpr (std::is_same_v<In, FlatReader>) {
    const FlatReader start = in;
    if (ReadAsWritten(in, limit, out)) return true;
    in = start;
  }
  uint32_t seen = 0;
  return ReadFields(in, limit, [&](uint8_t tag) {
    if (!Once(tag, &seen)) return false;
    switch (tag) {
      case TagOf(1, kVarint):
        return ReadInt32(in, &out->outcome);
      case TagOf(2, kBytes):
        return in.Value(limit, &out->value);
      case TagOf(3, kFixed64):
        return in.Fixed64(&out->version);
      case TagOf(4, kVarint):
        return ReadUint32(in, &out->flags);
      case TagOf(5, kVarint):
        return ReadInt64(in, &out->ttl_ms);
      case TagOf(6, kVarint):
        return in.Varint(&out->size);
      case TagOf(7, kVarint):
        return ReadInt64(in, &out->max_idle_ms);
      default:
        return false;
    }
  });
}

template <typename In>
bool ReadMessage(In& in, size_t limit, WriteResponse* out) {
  uint32_t seen = 0;
  return ReadFields(in, limit, [&](uint8_t tag) {
    if (!Once(tag, &seen)) return false;
    switch (tag) {
      case TagOf(1, kVarint):
        return ReadInt32(in, &out->outcome);
      case TagOf(2, kFixed64):
        return in.Fixed64(&out->version);
      case TagOf(3, kVarint):
        return ReadUint32(in, &out->copies);
      default:
        return false;
    }
  });
}

// The same of what holds it.
bool ReadAsWritten(FlatReader& in, uintptr_t limit, MultiGetItem* out) {
  uint32_t index = 0;
  size_t length = 0;
  if ((in.NextIs(TagOf(1, kVarint)) && !ReadUint32(in, &index)) || !in.NextIs(TagOf(3, kBytes)) ||
      !in.Length(limit, &length) || in.position() + length != limit ||
      !ReadAsWritten(in, limit, &out->result)) {
    return false;
  }
  out->index = index;
  out->has_error = false;
  out->error = {};
  return true;
}

template <typename In, typename Response>
bool ReadMessage(In& in, size_t limit, Item<Response>* out) {
  uint32_t seen = 0;
  return ReadFields(in, limit, [&](uint8_t tag) {
    if (!Once(tag, &seen)) return false;
    switch (tag) {
      case TagOf(1, kVarint):
        return ReadUint32(in, &out->index);
      case TagOf(2, kBytes):
        out->has_error = true;
        return in.Bytes(limit, &out->error);
      case TagOf(3, kBytes):
        return ReadNested(in, limit, &out->result);
      default:
        return false;
    }
  });
}

// A MultiGetResponse, MultiSetResponse or MultiDeleteResponse.
template <typename In, typename Response>
bool ReadMessage(In& in, size_t limit, absl::Span<const Item<Response>>* out) {
  ArenaVector<Item<Response>> items(in.arena());
  const bool read = ReadFields(in, limit, [&](uint8_t tag) {
    if (tag != TagOf(1, kBytes)) return false;
    if constexpr (std::is_same_v<In, FlatReader> && std::is_same_v<Response, GetResponse>) {
      const FlatReader start = in;
      size_t length = 0;
      if (in.Length(limit, &length) && ReadAsWritten(in, in.position() + length, items.Place())) {
        items.Keep();
        return true;
      }
      in = start;
    }
    Item<Response> item;
    if (!ReadNested(in, limit, &item)) return false;
    items.push_back(item);
    return true;
  });
  *out = items.span();
  return read;
}

// One field of the oneof, the first: a second one is for the generated parser.
template <typename In, typename M>
bool ReadKind(In& in, size_t limit, Kind kind, Kind* known, M* out) {
  if (*known != Kind::kOther) return false;
  *known = kind;
  *out = M{};
  return ReadNested(in, limit, out);
}

// A get, as clients write it.
bool ReadAsWritten(FlatReader& in, uintptr_t limit, Operation* out) {
  size_t length = 0;
  if (!in.NextIs(TagOf(1, kVarint)) || !in.Varint(&out->id) || !in.NextIs(TagOf(2, kVarint)) ||
      !ReadUint32(in, &out->timeout_ms) || !in.NextIs(TagOf(Kind::kGet)) ||
      !in.Length(limit, &length) || in.position() + length != limit) {
    return false;
  }
  out->kind = Kind::kGet;
  out->get = GetRequest{};
  GetRequest& get = out->get;
  const bool read = (!in.NextIs(TagOf(1, kBytes)) || ReadName(in, limit, &get.ns)) &&
                    (!in.NextIs(TagOf(2, kBytes)) || in.Bytes(limit, &get.key)) &&
                    (!in.NextIs(TagOf(3, kVarint)) || ReadInt32(in, &get.consistency)) &&
                    (!in.NextIs(TagOf(4, kFixed64)) || in.Fixed64(&get.if_version_not)) &&
                    (!in.NextIs(TagOf(5, kVarint)) || ReadBool(in, &get.metadata_only));
  return read && in.position() == limit;
}

template <typename In>
bool ReadMessage(In& in, size_t limit, Operation* out) {
  out->id = 0;
  out->timeout_ms = 0;
  out->kind = Kind::kOther;
  uint32_t seen = 0;
  const bool read = ReadFields(in, limit, [&](uint8_t tag) {
    switch (tag) {
      case TagOf(1, kVarint):
        return Once(tag, &seen) && in.Varint(&out->id);
      case TagOf(2, kVarint):
        return Once(tag, &seen) && ReadUint32(in, &out->timeout_ms);
      case TagOf(Kind::kGet):
        return ReadKind(in, limit, Kind::kGet, &out->kind, &out->get);
      case TagOf(Kind::kSet):
        return ReadKind(in, limit, Kind::kSet, &out->kind, &out->set);
      case TagOf(Kind::kDelete):
        return ReadKind(in, limit, Kind::kDelete, &out->kind, &out->del);
      case TagOf(Kind::kMultiGet):
        return ReadKind(in, limit, Kind::kMultiGet, &out->kind, &out->multi_get);
      case TagOf(Kind::kMultiSet):
        return ReadKind(in, limit, Kind::kMultiSet, &out->kind, &out->multi_set);
      case TagOf(Kind::kMultiDelete):
        return ReadKind(in, limit, Kind::kMultiDelete, &out->kind, &out->multi_delete);
      default:
        return false;
    }
  });
  return read && out->kind != Kind::kOther;
}

// A found entry, as nodes write it: nearly every answer.
bool ReadAsWritten(FlatReader& in, uintptr_t limit, Result* out) {
  size_t length = 0;
  if (!in.NextIs(TagOf(1, kVarint)) || !in.Varint(&out->id) || !in.NextIs(TagOf(Kind::kGet)) ||
      !in.Length(limit, &length) || in.position() + length != limit) {
    return false;
  }
  out->kind = Kind::kGet;
  out->has_error = false;
  out->error = {};
  return ReadAsWritten(in, limit, &out->get);
}

template <typename In>
bool ReadMessage(In& in, size_t limit, Result* out) {
  out->id = 0;
  out->kind = Kind::kOther;
  out->has_error = false;
  out->error = {};
  uint32_t seen = 0;
  const bool read = ReadFields(in, limit, [&](uint8_t tag) {
    switch (tag) {
      case TagOf(1, kVarint):
        return Once(tag, &seen) && in.Varint(&out->id);
      case TagOf(2, kBytes):
        out->has_error = true;
        return Once(tag, &seen) && in.Bytes(limit, &out->error);
      case TagOf(Kind::kGet):
        return ReadKind(in, limit, Kind::kGet, &out->kind, &out->get);
      case TagOf(Kind::kSet):
        return ReadKind(in, limit, Kind::kSet, &out->kind, &out->write);
      case TagOf(Kind::kDelete):
        return ReadKind(in, limit, Kind::kDelete, &out->kind, &out->write);
      case TagOf(Kind::kMultiGet):
        return ReadKind(in, limit, Kind::kMultiGet, &out->kind, &out->multi_get);
      case TagOf(Kind::kMultiSet):
        return ReadKind(in, limit, Kind::kMultiSet, &out->kind, &out->multi_write);
      case TagOf(Kind::kMultiDelete):
        return ReadKind(in, limit, Kind::kMultiDelete, &out->kind, &out->multi_write);
      default:
        return false;
    }
  });
  return read && (out->kind != Kind::kOther || out->has_error);
}

// As ReadFlat, but apart from all other shapes, which leave fewer registers.
template <typename M>
[[gnu::flatten]] bool ReadFlatAsWritten(std::string_view bytes, Arena* arena, M* out) {
  FlatReader flat(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), arena);
  return ReadAsWritten(flat, flat.size(), out);
}

template <typename M>
void LeaveToParser(std::string_view message, M* out) {
  out->kind = Kind::kOther;
  if constexpr (requires { out->has_error; }) out->has_error = false;
  out->other = message;
}

// One of the repeated messages of an Exchange message: by hand, or as it is.
template <typename M>
void ReadWhole(std::string_view piece, Arena* arena, M* out) {
  if (ReadFlatAsWritten(piece, arena, out) || ReadFlat(piece, arena, out)) return;
  LeaveToParser(piece, out);
}

// The same of any shape, behind its tag.
template <typename M>
bool ReadOne(Reader& in, M* out) {
  size_t length = 0;
  if (!in.Length(in.size(), &length)) return false;
  std::string_view piece;
  if (in.TakeFlat(length, &piece)) {
    ReadWhole(piece, in.arena(), out);
    return true;
  }
  const Reader start = in;
  if (ReadMessage(in, in.position() + length, out)) return true;
  in = start;
  if (!in.Take(length, &piece)) return false;
  LeaveToParser(piece, out);
  return true;
}

template <typename M>
bool DecodeWhole(Input& input, M* out) {
  *out = M{};
  if (input.pieces().size() == 1) {
    return ReadFlat(input.pieces()[0], &input.arena(), out);
  }
  Reader in(input.pieces(), input.size(), &input.arena());
  return ReadMessage(in, in.size(), out);
}

}  // namespace

bool Decode(Input& input, GetRequest* out) { return DecodeWhole(input, out); }
bool Decode(Input& input, SetRequest* out) { return DecodeWhole(input, out); }
bool Decode(Input& input, DeleteRequest* out) { return DecodeWhole(input, out); }
bool Decode(Input& input, MultiGetRequest* out) { return DecodeWhole(input, out); }
bool Decode(Input& input, MultiSetRequest* out) { return DecodeWhole(input, out); }
bool Decode(Input& input, MultiDeleteRequest* out) { return DecodeWhole(input, out); }
bool Decode(Input& input, GetResponse* out) { return DecodeWhole(input, out); }
bool Decode(Input& input, WriteResponse* out) { return DecodeWhole(input, out); }
bool Decode(Input& input, absl::Span<const MultiGetItem>* out) { return DecodeWhole(input, out); }
bool Decode(Input& input, absl::Span<const MultiWriteItem>* out) { return DecodeWhole(input, out); }

RequestReader::RequestReader(Input& input)
    : reader_(input.pieces(), input.size(), &input.arena()) {}

Step RequestReader::Next(Operation* out) {
  std::string_view piece;
  if (reader_.TakeElement(TagOf(1, kBytes), &piece)) {
    ReadWhole(piece, reader_.arena(), out);
    return Step::kItem;
  }
  while (reader_.position() < reader_.size()) {
    uint8_t tag = 0;
    if (!reader_.Tag(&tag)) return Step::kOther;
    if (tag == TagOf(1, kBytes)) return ReadOne(reader_, out) ? Step::kItem : Step::kOther;
    const bool read = tag < 0x80 && Once(tag, &seen_) &&
                      ((tag == TagOf(2, kVarint) && ReadBool(reader_, &refuse_wrong_owner_)) ||
                       (tag == TagOf(3, kVarint) && reader_.Varint(&sent_us_)) ||
                       (tag == TagOf(4, kVarint) && reader_.Varint(&max_value_bytes_)) ||
                       (tag == TagOf(5, kVarint) && ReadBool(reader_, &answer_at_once_)));
    if (!read) return Step::kOther;
  }
  return Step::kEnd;
}

ResponseReader::ResponseReader(Input& input)
    : reader_(input.pieces(), input.size(), &input.arena()) {}

Step ResponseReader::Next(Result* out) {
  std::string_view piece;
  if (reader_.TakeElement(TagOf(1, kBytes), &piece)) {
    ReadWhole(piece, reader_.arena(), out);
    return Step::kItem;
  }
  if (reader_.position() >= reader_.size()) return Step::kEnd;
  uint8_t tag = 0;
  if (!reader_.Tag(&tag) || tag != TagOf(1, kBytes)) return Step::kOther;
  return ReadOne(reader_, out) ? Step::kItem : Step::kOther;
}

}  // namespace atoll::wire
