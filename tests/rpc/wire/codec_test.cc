// The codec against the generated parser: what it reads by hand, the generated parser reads alike;
// what programs of ours write, it reads by hand.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "atoll/v1/cache.pb.h"
#include "rpc/wire/decode.h"
#include "rpc/wire/encode.h"
#include "tests/rpc/wire/codec_check.h"
#include "tests/rpc/wire/random_messages.h"

namespace atoll::wire {
namespace {

uint64_t Seed() {
  const uint64_t seed = std::random_device()();
  std::cout << "seed " << seed << "\n";
  return seed;
}

// Ascending.
std::vector<size_t> RandomCuts(RandomMessages& make, size_t size) {
  std::vector<size_t> cuts(make.Below(6));
  for (size_t& cut : cuts) cut = make.Below(size + 1);
  std::sort(cuts.begin(), cuts.end());
  return cuts;
}

std::string Name(int kind) { return absl::StrCat("kind ", kind); }

// One operation of each kind that the codec knows.
std::vector<v1::ExchangeRequest> OneOfEach() {
  std::vector<v1::ExchangeRequest> requests(6);
  for (v1::ExchangeRequest& request : requests) {
    request.add_operations()->set_id(300);
    request.mutable_operations(0)->set_timeout_ms(1000);
    request.set_refuse_wrong_owner(true);
    request.set_sent_us(uint64_t{1} << 40);
    request.set_max_value_bytes(1 << 20);
  }
  auto* get = requests[0].mutable_operations(0)->mutable_get();
  get->set_namespace_("users");
  get->set_key("a key");
  get->set_consistency(v1::CONSISTENCY_STRICT);
  get->set_if_version_not(7);
  get->set_metadata_only(true);
  auto* set = requests[1].mutable_operations(0)->mutable_set();
  set->set_namespace_("users");
  set->set_key("a key");
  set->set_value("a value");
  set->set_ttl_ms(60'000);
  set->set_max_idle_ms(1'000);
  set->set_flags(9);
  requests[2].mutable_operations(0)->mutable_delete_()->set_key("a key");
  auto* multi_get = requests[3].mutable_operations(0)->mutable_multi_get();
  for (const char* key : {"a", "bc", "def"}) multi_get->add_keys(key);
  auto* multi_set = requests[4].mutable_operations(0)->mutable_multi_set();
  for (const char* key : {"a", "bc"}) {
    multi_set->add_entries()->set_key(key);
    multi_set->mutable_entries(multi_set->entries_size() - 1)->set_value("value");
  }
  auto* multi_delete = requests[5].mutable_operations(0)->mutable_multi_delete();
  for (const char* key : {"a", "bc", "def"}) multi_delete->add_keys(key);
  return requests;
}

v1::ExchangeResponse SomeResponse() {
  v1::ExchangeResponse response;
  auto* get = response.add_results();
  get->set_id(300);
  get->mutable_get()->set_outcome(v1::OUTCOME_OK);
  get->mutable_get()->set_value("a value");
  get->mutable_get()->set_version(1);
  get->mutable_get()->set_ttl_ms(5);
  get->mutable_get()->set_size(7);
  auto* set = response.add_results();
  set->set_id(301);
  set->mutable_set()->set_outcome(v1::OUTCOME_OK);
  set->mutable_set()->set_version(1);
  set->mutable_set()->set_copies(2);
  auto* error = response.add_results();
  error->set_id(302);
  error->mutable_error()->set_code(8);
  error->mutable_error()->set_message("too many operations");
  auto* many = response.add_results();
  many->set_id(303);
  many->mutable_multi_get()->add_results()->mutable_result()->set_outcome(v1::OUTCOME_MISS);
  many->mutable_multi_get()->add_results()->set_index(1);
  auto* deleted = response.add_results();
  deleted->set_id(304);
  deleted->mutable_multi_delete()->add_results()->mutable_result()->set_outcome(v1::OUTCOME_MISS);
  deleted->mutable_multi_delete()->add_results()->set_index(1);
  return response;
}

TEST(Codec, ReadsRandomMessagesAsTheGeneratedParserDoes) {
  RandomMessages make(Seed());
  for (int round = 0; round < 2000; ++round) {
    const int count = static_cast<int>(make.Below(8));
    const std::string request = make.Request(count).SerializeAsString();
    const std::string response = make.Response(count).SerializeAsString();
    ASSERT_EQ("", CompareWithGenerated(request, RandomCuts(make, request.size())));
    ASSERT_EQ("", CompareWithGenerated(response, RandomCuts(make, response.size())));
    ASSERT_TRUE(RequestReadByHand(request));
    ASSERT_TRUE(ResponseReadByHand(response));
  }
}

TEST(Codec, ReadsAndWritesSingleMessagesAsTheGeneratedParserDoes) {
  RandomMessages make(Seed());
  const auto check = [&](auto message) {
    make.Fill(&message);
    const std::string bytes = message.SerializeAsString();
    ASSERT_EQ("", CompareWithGenerated(bytes, RandomCuts(make, bytes.size())));
  };
  for (int round = 0; round < 1000; ++round) {
    check(v1::GetRequest());
    check(v1::SetRequest());
    check(v1::DeleteRequest());
    check(v1::MultiGetRequest());
    check(v1::MultiSetRequest());
    check(v1::MultiDeleteRequest());
    check(v1::GetResponse());
  }
}

TEST(Codec, ReadsAMessageThatIsCutAnywhere) {
  std::vector<std::string> messages = {SomeResponse().SerializeAsString()};
  for (const v1::ExchangeRequest& request : OneOfEach()) {
    messages.push_back(request.SerializeAsString());
  }
  for (const std::string& bytes : messages) {
    for (size_t first = 0; first <= bytes.size(); ++first) {
      for (size_t second = first; second <= bytes.size(); ++second) {
        const size_t cuts[] = {first, second};
        ASSERT_EQ("", CompareWithGenerated(bytes, cuts)) << first << " " << second;
      }
    }
  }
}

TEST(Codec, ReadsAMessageInPiecesOfOneByte) {
  RandomMessages make(Seed());
  const std::string bytes = make.Request(20).SerializeAsString();
  std::vector<size_t> cuts(bytes.size());
  for (size_t i = 0; i < cuts.size(); ++i) cuts[i] = i;
  EXPECT_EQ("", CompareWithGenerated(bytes, cuts));
}

TEST(Codec, LeavesATruncatedMessageToTheGeneratedParser) {
  std::vector<std::string> messages = {SomeResponse().SerializeAsString()};
  for (const v1::ExchangeRequest& request : OneOfEach()) {
    messages.push_back(request.SerializeAsString());
  }
  for (const std::string& bytes : messages) {
    for (size_t length = 0; length < bytes.size(); ++length) {
      const size_t cuts[] = {length / 2};
      ASSERT_EQ("", CompareWithGenerated(bytes.substr(0, length), cuts)) << length;
    }
  }
}

TEST(Codec, AgreesWithTheGeneratedParserOnMutatedMessages) {
  RandomMessages make(Seed());
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = make.Sometimes() ? make.Response(3).SerializeAsString()
                                         : make.Request(3).SerializeAsString();
    if (bytes.empty()) continue;
    for (uint64_t i = 1 + make.Below(4); i > 0; --i) {
      switch (make.Below(3)) {
        case 0:
          bytes[make.Below(bytes.size())] = static_cast<char>(make.Below(256));
          break;
        case 1:
          bytes.insert(make.Below(bytes.size()), make.Bytes(3));
          break;
        default: {
          char& byte = bytes[make.Below(std::min<size_t>(bytes.size(), 12))];
          byte = static_cast<char>(byte ^ static_cast<char>(make.Below(8)));
        }
      }
    }
    ASSERT_EQ("", CompareWithGenerated(bytes, RandomCuts(make, bytes.size()))) << round;
  }
}

// --- What is left to the generated parser ---

std::string Element(std::string_view operation) {
  return absl::StrCat("\x0a", std::string(1, static_cast<char>(operation.size())),
                      std::string(operation));
}

TEST(Codec, LeavesWhatNoProgramOfOursWritesToTheGeneratedParser) {
  struct Case {
    const char* name;
    std::string operation;
  };
  const std::string get("\x1a\x03\x12\x01k", 5);
  const Case cases[] = {
      {"unknown field", get + std::string("\xc0\x3e\x01", 3)},
      {"group", get + std::string("\x0b\x0c", 2)},
      {"an id twice", get + std::string("\x08\x01\x08\x02", 4)},
      {"a kind twice, which is merged", get + get},
      {"two kinds, of which the last counts", get + std::string("\x2a\x03\x12\x01k", 5)},
      {"an overlong id", get + std::string("\x08\x81\x80\x80\x80\x80\x80\x80\x80\x80\x02", 11)},
      {"another kind", std::string("\x52\x03\x12\x01k", 5)},
      {"a tag longer than it need be", std::string("\x9a\x00\x03\x12\x01k", 6)},
      {"a field above 31", std::string("\x82\x02\x03\x12\x01k", 6)},
      {"a tag that ends the message", get + std::string("\x82", 1)},
      {"no kind", std::string("\x08\x01", 2)},
      {"a key of another type", std::string("\x1a\x02\x10\x01", 4)},
      {"a namespace that is not ASCII", std::string("\x1a\x06\x0a\x01\xff\x12\x01k", 8)},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const std::string bytes = Element(c.operation);
    EXPECT_EQ("", CompareWithGenerated(bytes, {}));
    EXPECT_FALSE(RequestReadByHand(bytes));
    Input input;
    const std::string_view piece = bytes;
    input.Load({&piece, 1});
    RequestReader reader(input);
    Operation operation;
    ASSERT_EQ(reader.Next(&operation), Step::kItem);
    EXPECT_EQ(operation.kind, Kind::kOther);
    EXPECT_EQ(operation.other, c.operation);
    EXPECT_EQ(reader.Next(&operation), Step::kEnd);
  }
}

TEST(Codec, LeavesAnUnknownFieldOfTheMessageToTheGeneratedParser) {
  const std::string bytes = OneOfEach()[0].SerializeAsString() + std::string("\x18\x01", 2);
  Input input;
  const std::string_view piece = bytes;
  input.Load({&piece, 1});
  RequestReader reader(input);
  Operation operation;
  ASSERT_EQ(reader.Next(&operation), Step::kItem);
  EXPECT_EQ(reader.Next(&operation), Step::kOther);
}

TEST(Codec, BelievesNoLengthBeyondTheMessage) {
  for (const uint64_t length : {uint64_t{6}, uint64_t{1} << 31, uint64_t{1} << 63, ~uint64_t{0}}) {
    std::string bytes("\x0a", 1);
    for (uint64_t rest = length;; rest >>= 7) {
      bytes.push_back(static_cast<char>((rest & 0x7f) | (rest >= 0x80 ? 0x80 : 0)));
      if (rest < 0x80) break;
    }
    bytes += std::string("\x1a\x03\x12\x01k", 5);
    SCOPED_TRACE(length);
    const size_t cuts[] = {1, 3};
    EXPECT_EQ("", CompareWithGenerated(bytes, cuts));
    EXPECT_FALSE(RequestReadByHand(bytes));
  }
}

TEST(Codec, KeepsNoMoreKeysThanACallMayHave) {
  const auto check = [](auto request, auto decoded) {
    for (size_t i = 0; i < kMostItems + 5; ++i) request.add_keys("k");
    const std::string bytes = request.SerializeAsString();
    Input input;
    const std::string_view piece = bytes;
    input.Load({&piece, 1});
    ASSERT_TRUE(Decode(input, &decoded));
    EXPECT_EQ(decoded.count, kMostItems + 5);
    EXPECT_EQ(decoded.keys.size(), kMostItems);
  };
  check(v1::MultiGetRequest(), MultiGetRequest());
  check(v1::MultiDeleteRequest(), MultiDeleteRequest());
}

// --- By reference ---

TEST(Codec, CopiesNothingThatLiesInOnePiece) {
  for (const v1::ExchangeRequest& request : OneOfEach()) {
    const std::string bytes = request.SerializeAsString();
    const std::string_view piece = bytes;
    Input input;
    input.Load({&piece, 1});
    const auto inside = [&](std::string_view view) {
      return view.data() >= bytes.data() &&
             view.data() + view.size() <= bytes.data() + bytes.size();
    };
    RequestReader reader(input);
    Operation operation;
    ASSERT_EQ(reader.Next(&operation), Step::kItem);
    SCOPED_TRACE(Name(static_cast<int>(operation.kind)));
    switch (operation.kind) {
      case Kind::kGet:
        EXPECT_TRUE(inside(operation.get.key));
        break;
      case Kind::kSet:
        EXPECT_TRUE(inside(operation.set.entry.key));
        EXPECT_TRUE(inside(operation.set.entry.value.bytes));
        break;
      case Kind::kDelete:
        EXPECT_TRUE(inside(operation.del.key));
        break;
      case Kind::kMultiGet:
        for (const std::string_view key : operation.multi_get.keys) EXPECT_TRUE(inside(key));
        break;
      case Kind::kMultiSet:
        for (const Entry& entry : operation.multi_set.entries) {
          EXPECT_TRUE(inside(entry.key));
          EXPECT_TRUE(inside(entry.value.bytes));
        }
        break;
      case Kind::kMultiDelete:
        for (const std::string_view key : operation.multi_delete.keys) EXPECT_TRUE(inside(key));
        break;
      case Kind::kOther:
        ADD_FAILURE() << "not read by hand";
    }
  }
}

TEST(Codec, LeavesALargeValueInItsPieces) {
  v1::SetRequest request;
  request.set_key("k");
  request.set_value(std::string(3 * kLargestCopy, 'v'));
  const std::string bytes = request.SerializeAsString();
  const std::string_view pieces[] = {std::string_view(bytes).substr(0, kLargestCopy),
                                     std::string_view(bytes).substr(kLargestCopy)};
  Input input;
  input.Load(pieces);
  SetRequest decoded;
  ASSERT_TRUE(Decode(input, &decoded));
  ASSERT_EQ(decoded.entry.value.pieces.size(), 2u);
  EXPECT_EQ(decoded.entry.value.pieces[1].data(), pieces[1].data());
  EXPECT_EQ(decoded.entry.value.size(), 3 * kLargestCopy);
}

// --- Writing ---

template <typename M>
std::string Encoded(const M& m) {
  std::string out(Size(m), '\0');
  Write(m, reinterpret_cast<uint8_t*>(out.data()));
  return out;
}

TEST(Codec, WritesAGetInOneGoAsInParts) {
  RandomMessages make(Seed());
  for (int round = 0; round < 500; ++round) {
    const std::string ns = round % 2 == 0 ? "" : "users";
    const std::string key = make.Bytes(1024);
    const GetRequest get{.ns = ns,
                         .key = key,
                         .consistency = static_cast<int32_t>(make.Number()),
                         .if_version_not = make.Number(),
                         .metadata_only = round % 3 == 0};
    std::string parts(BodySize(Kind::kGet, Size(get)), '\0');
    Write(get, WriteBodyHead(Kind::kGet, Size(get), reinterpret_cast<uint8_t*>(parts.data())));
    std::string whole(kMaxGetHead + ns.size() + key.size(), '\0');
    auto* const begin = reinterpret_cast<uint8_t*>(whole.data());
    GetRequest written;
    const uint8_t* const end = WriteGetBody(get, begin, &written);
    ASSERT_LE(end, begin + whole.size());
    EXPECT_EQ(std::string_view(whole).substr(0, static_cast<size_t>(end - begin)), parts);
    EXPECT_EQ(written.ns, ns);
    EXPECT_EQ(written.key, key);
    EXPECT_TRUE(key.empty() || (written.key.data() >= whole.data() &&
                                written.key.data() < whole.data() + whole.size()))
        << "it is to be found in what was written";
  }
}

TEST(Codec, FramesOperationsAsTheGeneratedParserReadsThem) {
  RandomMessages make(Seed());
  for (int round = 0; round < 500; ++round) {
    const std::string key = make.Bytes(100);
    const GetRequest get{.ns = "users", .key = key, .if_version_not = make.Number()};
    const uint64_t id = make.Number();
    const auto timeout_ms = static_cast<uint32_t>(make.Number());
    const size_t body = BodySize(Size(get));
    const uint64_t sent_us = id + 1;
    std::string bytes(kMaxSentSize + kMaxValueLimitSize + kRefuseWrongOwnerSize +
                          kAnswerAtOnceSize + OperationFrameSize(id, timeout_ms, body) + body,
                      '\0');
    auto* out = reinterpret_cast<uint8_t*>(bytes.data());
    const uint64_t limit = make.Number() | 1;
    out = WriteSent(sent_us, WriteValueLimit(limit, WriteRefuseWrongOwner(out)));
    out = WriteAnswerAtOnce(out);
    out = WriteOperationFrame(id, timeout_ms, body, out);
    out = WriteBodyHead(Kind::kGet, Size(get), out);
    out = Write(get, out);
    ASSERT_LE(out, reinterpret_cast<const uint8_t*>(bytes.data()) + bytes.size());
    bytes.resize(static_cast<size_t>(out - reinterpret_cast<const uint8_t*>(bytes.data())));
    v1::ExchangeRequest parsed;
    ASSERT_TRUE(parsed.ParseFromString(bytes));
    ASSERT_EQ(parsed.operations_size(), 1);
    EXPECT_TRUE(parsed.refuse_wrong_owner());
    EXPECT_EQ(parsed.sent_us(), sent_us);
    EXPECT_EQ(parsed.max_value_bytes(), limit);
    EXPECT_TRUE(parsed.answer_at_once());
    EXPECT_EQ(parsed.operations(0).id(), id);
    EXPECT_EQ(parsed.operations(0).timeout_ms(), timeout_ms);
    EXPECT_EQ(parsed.operations(0).get().key(), key);
    EXPECT_EQ(parsed.operations(0).get().if_version_not(), get.if_version_not);
    EXPECT_TRUE(RequestReadByHand(bytes));
  }
}

TEST(Codec, FramesAKindWhoseTagHasTwoBytes) {
  const std::vector<std::string_view> keys = {"a", "bc"};
  const MultiDeleteRequest del{.ns = "users", .keys = keys, .count = keys.size()};
  const size_t body = BodySize(Kind::kMultiDelete, Size(del));
  std::string bytes(OperationFrameSize(300, 1000, body) + body, '\0');
  auto* out = reinterpret_cast<uint8_t*>(bytes.data());
  out = WriteOperationFrame(300, 1000, body, out);
  out = Write(del, WriteBodyHead(Kind::kMultiDelete, Size(del), out));
  ASSERT_EQ(reinterpret_cast<const char*>(out), bytes.data() + bytes.size());
  v1::ExchangeRequest parsed;
  ASSERT_TRUE(parsed.ParseFromString(bytes));
  ASSERT_EQ(parsed.operations_size(), 1);
  EXPECT_EQ(parsed.operations(0).timeout_ms(), 1000u);
  EXPECT_EQ(parsed.operations(0).multi_delete().namespace_(), "users");
  ASSERT_EQ(parsed.operations(0).multi_delete().keys_size(), 2);
  EXPECT_EQ(parsed.operations(0).multi_delete().keys(1), "bc");
  EXPECT_TRUE(RequestReadByHand(bytes));
}

TEST(Codec, FramesResultsAsTheGeneratedParserReadsThem) {
  RandomMessages make(Seed());
  for (int round = 0; round < 500; ++round) {
    const std::string value = make.Bytes(300);
    GetResponse get{.outcome = v1::OUTCOME_OK,
                    .value = {.bytes = value, .pieces = {}},
                    .version = make.Number(),
                    .flags = static_cast<uint32_t>(make.Number()),
                    .ttl_ms = std::nullopt,
                    .size = value.size(),
                    .max_idle_ms = static_cast<int64_t>(make.Number())};
    if (make.Sometimes()) get.ttl_ms = static_cast<int64_t>(make.Number());
    const uint64_t id = make.Number();
    const size_t body = BodySize(Size(get));
    std::string bytes(ResultFrameSize(id, body) + body, '\0');
    auto* const start = reinterpret_cast<uint8_t*>(bytes.data());
    uint8_t* out = WriteResultFrame(id, body, start);
    out = WriteBodyHead(Kind::kGet, Size(get), out);
    out = WriteHead(get, out);
    EXPECT_LE(out - start, static_cast<ptrdiff_t>(kMaxHeadSize));
    ASSERT_EQ(static_cast<size_t>(out - start) + value.size(), bytes.size());
    std::copy(value.begin(), value.end(), out);
    v1::ExchangeResponse parsed;
    ASSERT_TRUE(parsed.ParseFromString(bytes));
    EXPECT_EQ(parsed.results(0).id(), id);
    EXPECT_EQ(parsed.results(0).get().value(), value);
    EXPECT_EQ(parsed.results(0).get().version(), get.version);
    EXPECT_EQ(parsed.results(0).get().has_ttl_ms(), get.ttl_ms.has_value());
    EXPECT_TRUE(ResponseReadByHand(bytes));
  }
}

TEST(Codec, NoHeadIsLongerThanPromised) {
  const GetResponse get{.outcome = -1,
                        .value = {},
                        .version = ~uint64_t{0},
                        .flags = ~uint32_t{0},
                        .ttl_ms = -1,
                        .size = ~uint64_t{0},
                        .max_idle_ms = -1};
  // Around a value of the largest size.
  const size_t large = Size(get) + 6 + (size_t{64} << 20);
  const size_t body = BodySize(large);
  EXPECT_LE(ResultFrameSize(~uint64_t{0}, body) + (body - large) + Size(get) + 6, kMaxHeadSize);
}

TEST(Codec, FramesItemsAsTheGeneratedParserReadsThem) {
  const WriteResponse write{.outcome = v1::OUTCOME_OK, .version = 5, .copies = 2};
  google::rpc::Status status;
  status.set_code(3);
  const std::string error = status.SerializeAsString();
  std::string bytes(100, '\0');
  auto* const start = reinterpret_cast<uint8_t*>(bytes.data());
  const size_t body = BodySize(Size(write));
  uint8_t* out = WriteItemFrame(0, body, start);
  out = Write(write, WriteItemResultHead(Size(write), out));
  EXPECT_EQ(static_cast<size_t>(out - start), ItemFrameSize(0, body) + body);
  out = WriteItemFrame(300, BodySize(error.size()), out);
  out = WriteErrorHead(error.size(), out);
  out = std::copy(error.begin(), error.end(), out);
  bytes.resize(static_cast<size_t>(out - start));
  v1::MultiSetResponse parsed;
  ASSERT_TRUE(parsed.ParseFromString(bytes));
  ASSERT_EQ(parsed.results_size(), 2);
  EXPECT_EQ(parsed.results(0).result().version(), 5u);
  EXPECT_EQ(parsed.results(1).index(), 300u);
  EXPECT_EQ(parsed.results(1).error().code(), 3);
}

}  // namespace
}  // namespace atoll::wire
