// The codec of messages between nodes against the generated parser: what it reads by hand, the
// generated parser reads alike; what it writes, the generated parser reads as it was meant.
#include "rpc/wire/peer_codec.h"

#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "atoll/internal/v1/peer.pb.h"
#include "tests/rpc/wire/peer_check.h"
#include "tests/rpc/wire/random_messages.h"

namespace atoll::wire {
namespace {

using google::protobuf::util::MessageDifferencer;
using internal::v1::LinkRequest;
using internal::v1::PeerMessage;

uint64_t Seed() {
  const uint64_t seed = std::random_device()();
  std::cout << "seed " << seed << "\n";
  return seed;
}

uint32_t Small(RandomMessages& make) { return static_cast<uint32_t>(make.Number()); }

void FillRecord(RandomMessages& make, internal::v1::Record* out) {
  out->set_version(make.Number());
  out->set_key_hash(make.Number());
  switch (make.Below(6)) {
    case 0:
    case 1: {
      auto* put = out->mutable_put();
      put->set_namespace_id(Small(make));
      put->set_key(make.Bytes(40));
      put->set_value(make.Bytes(make.Below(20) == 0 ? 20'000 : 200));
      put->set_expiry(Small(make));
      if (make.Sometimes()) put->set_max_idle(Small(make));
      if (make.Sometimes()) put->set_flags(Small(make));
      break;
    }
    case 2:
      out->mutable_erase()->set_namespace_id(Small(make));
      out->mutable_erase()->set_key(make.Bytes(40));
      break;
    case 3:
      out->mutable_touch()->set_key(make.Bytes(40));
      out->mutable_touch()->set_expiry(Small(make));
      out->mutable_touch()->set_max_idle(Small(make));
      break;
    case 4:
      out->mutable_flush()->set_namespace_id(Small(make));
      break;
    default:
      out->set_nothing(true);
  }
  if (!make.Sometimes()) return;
  auto* remembered = out->mutable_remembered();
  remembered->set_client_id(make.Number());
  remembered->set_number(make.Number());
  remembered->set_outcome(Small(make));
  remembered->set_counter(static_cast<int64_t>(make.Number()) * (make.Sometimes() ? -1 : 1));
  remembered->set_at_ms(make.Number());
  remembered->set_version(make.Number());
}

void FillMessage(RandomMessages& make, PeerMessage* out) {
  switch (make.Below(6)) {
    case 0:
    case 1: {
      auto* append = out->mutable_append();
      append->set_partition(Small(make));
      append->set_epoch(Small(make));
      append->set_committed(make.Number());
      for (uint64_t i = make.Below(4); i > 0; --i) FillRecord(make, append->add_records());
      break;
    }
    case 2: {
      auto* ack = out->mutable_append_ack();
      ack->set_partition(Small(make));
      ack->set_epoch(Small(make));
      ack->set_applied(make.Number());
      ack->set_answer(static_cast<internal::v1::AppendAck::Answer>(make.Below(6)));
      break;
    }
    case 3:
      out->mutable_heartbeat()->set_sent_ns(make.Number());
      break;
    case 4: {
      auto* hints = out->mutable_warm_hints();
      for (uint64_t i = make.Below(4); i > 0; --i) {
        hints->add_key_hashes(make.Number());
        hints->add_versions(make.Number());
      }
      break;
    }
    default:
      break;
  }
}

// At random places.
std::vector<size_t> Cuts(RandomMessages& make, size_t size) {
  std::vector<size_t> cuts(make.Below(6));
  for (size_t& cut : cuts) cut = make.Below(size + 1);
  std::sort(cuts.begin(), cuts.end());
  return cuts;
}

// Whether it was read by hand; then the generated parser must read the same.
bool CheckRead(RandomMessages& make, const std::string& bytes) {
  bool by_hand = false;
  EXPECT_EQ(ComparePeerWithGenerated(bytes, Cuts(make, bytes.size()), &by_hand), "");
  return by_hand;
}

std::string Bytes(Output* out) {
  const grpc::ByteBuffer buffer = out->Finish();
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(buffer.Dump(&slices).ok());
  std::string bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

TEST(PeerCodec, WhatTheGeneratedClassesWriteIsReadByHandAlike) {
  RandomMessages make(Seed());
  for (int i = 0; i < 3000; ++i) {
    LinkRequest request;
    for (uint64_t n = make.Below(8); n > 0; --n) FillMessage(make, request.add_messages());
    request.set_number(make.Number());
    request.set_received(make.Number());
    EXPECT_TRUE(CheckRead(make, request.SerializeAsString())) << request.ShortDebugString();
  }
}

TEST(PeerCodec, DamagedMessagesAreReadAsTheGeneratedParserReadsThemOrLeftToIt) {
  RandomMessages make(Seed());
  int read = 0;
  for (int i = 0; i < 30'000; ++i) {
    LinkRequest request;
    for (uint64_t n = 1 + make.Below(3); n > 0; --n) FillMessage(make, request.add_messages());
    std::string bytes = request.SerializeAsString();
    for (uint64_t n = 1 + make.Below(3); n > 0 && !bytes.empty(); --n) {
      bytes[make.Below(bytes.size())] = static_cast<char>(make.Number());
    }
    if (make.Sometimes()) bytes.resize(make.Below(bytes.size() + 1));
    if (CheckRead(make, bytes)) ++read;
  }
  // Else the test says nothing.
  EXPECT_GT(read, 1000);
}

TEST(PeerCodec, AHelloIsLeftToTheGeneratedParser) {
  LinkRequest request;
  request.mutable_hello()->set_cluster_id("c");
  RandomMessages make(1);
  EXPECT_FALSE(CheckRead(make, request.SerializeAsString()));
}

TEST(PeerCodec, AForeignFieldLeavesItsMessageToTheGeneratedParserAndNoOther) {
  LinkRequest request;
  request.add_messages()->mutable_append()->set_partition(1);
  std::string odd = request.messages(0).SerializeAsString();
  odd += "\xf8\x07\x01";  // field 127
  PeerMessage* const strange = request.add_messages();
  ASSERT_TRUE(strange->ParseFromString(odd));
  request.add_messages()->mutable_append()->set_partition(2);
  const std::string bytes = request.SerializeAsString();
  const std::string_view piece = bytes;
  Input input;
  input.Load(absl::MakeConstSpan(&piece, 1));
  LinkMessage read;
  ASSERT_TRUE(Decode(input, &read));
  ASSERT_EQ(read.items.size(), 3u);
  EXPECT_EQ(read.items[0].kind, PeerItem::Kind::kAppend);
  EXPECT_EQ(read.items[1].kind, PeerItem::Kind::kOther);
  EXPECT_EQ(read.items[1].other, odd);
  EXPECT_EQ(read.items[2].append.partition, 2u);
}

TEST(PeerCodec, WhatIsWrittenTheGeneratedParserReads) {
  RandomMessages make(Seed());
  for (int i = 0; i < 2000; ++i) {
    LinkRequest expected;
    Output out;
    for (uint64_t n = make.Below(6); n > 0; --n) {
      PeerMessage* const message = expected.add_messages();
      FillMessage(make, message);
      if (message->has_append()) {
        std::vector<EncodedRecord> records;
        for (const internal::v1::Record& record : message->append().records()) {
          const std::string whole = record.SerializeAsString();
          const std::string_view piece = whole;
          Input input;
          input.Load(absl::MakeConstSpan(&piece, 1));
          Record read;
          ASSERT_TRUE(Decode(input, &read)) << record.ShortDebugString();
          const size_t size = Size(read);
          auto bytes = std::make_shared_for_overwrite<char[]>(size);
          auto* const begin = reinterpret_cast<uint8_t*>(bytes.get());
          ASSERT_EQ(Write(read, begin), begin + size);
          records.push_back({.bytes = {bytes.get(), size}, .owner = std::move(bytes)});
        }
        AppendItem({.partition = message->append().partition(),
                    .epoch = message->append().epoch(),
                    .committed = message->append().committed(),
                    .records = records},
                   &out);
      } else if (message->has_append_ack()) {
        const auto& ack = message->append_ack();
        AppendItem(AppendAck{.partition = ack.partition(),
                             .epoch = ack.epoch(),
                             .applied = ack.applied(),
                             .answer = ack.answer()},
                   &out);
      } else {
        const size_t size = message->ByteSizeLong();
        uint8_t* const place = ReserveItem(size, &out);
        out.Advance(message->SerializeWithCachedSizesToArray(place));
      }
    }
    expected.set_number(make.Number());
    expected.set_received(make.Number());
    AppendNumbers(expected.number(), expected.received(), &out);
    LinkRequest read;
    ASSERT_TRUE(read.ParseFromString(Bytes(&out)));
    ASSERT_TRUE(MessageDifferencer::Equals(read, expected)) << expected.ShortDebugString();
  }
}

}  // namespace
}  // namespace atoll::wire
