#include "rpc/status.h"

#include <gtest/gtest.h>

#include <string>

#include "google/rpc/error_details.pb.h"

namespace atoll::rpc {
namespace {

absl::Status Sample() {
  return base::WithReason(absl::InvalidArgumentError("key: 1300 bytes, limit 1024"),
                          base::reason::kBadArgument,
                          {{"field", "key"}, {"long", std::string(300, 'x')}});
}

TEST(Status, TheHandWrittenErrorInfoIsTheGeneratedOne) {
  const google::rpc::Status message = ToProto(Sample());
  ASSERT_EQ(message.details_size(), 1);
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(message.details(0).UnpackTo(&info));
  EXPECT_EQ(info.reason(), "BAD_ARGUMENT");
  EXPECT_EQ(info.domain(), "atoll");
  EXPECT_EQ(info.metadata().at("field"), "key");
  EXPECT_EQ(info.metadata().at("long"), std::string(300, 'x'));
}

TEST(Status, ReasonAndMetadataSurviveBothWires) {
  for (const absl::Status& status : {FromGrpc(ToGrpc(Sample())), FromProto(ToProto(Sample()))}) {
    EXPECT_EQ(status, Sample());
    EXPECT_EQ(base::Reason(status), base::reason::kBadArgument);
    EXPECT_EQ(base::ReasonMetadata(status).at("field"), "key");
    EXPECT_EQ(base::ReasonMetadata(status).at("long"), std::string(300, 'x'));
  }
}

TEST(Status, OkStaysOkAndAPlainErrorHasNoReason) {
  EXPECT_TRUE(FromGrpc(ToGrpc(absl::OkStatus())).ok());
  EXPECT_TRUE(FromProto(ToProto(absl::OkStatus())).ok());
  const absl::Status plain = FromGrpc(grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone"));
  EXPECT_EQ(plain, absl::UnavailableError("gone"));
  EXPECT_EQ(base::Reason(plain), "");
}

TEST(Status, AnotherDomainsReasonIsNotOurs) {
  google::rpc::Status message;
  message.set_code(9);
  google::rpc::ErrorInfo info;
  info.set_reason("WRONG_OWNER");
  info.set_domain("example.com");
  message.add_details()->PackFrom(info);
  EXPECT_EQ(base::Reason(FromProto(message)), "");
}

TEST(Status, ADamagedErrorInfoHasNoReason) {
  google::rpc::Status message;
  message.set_code(9);
  auto* detail = message.add_details();
  detail->set_type_url(std::string(base::kErrorInfoUrl));
  for (const std::string bytes :
       {"\x0a", "\x0a\x7fx", "\x0a\xff\xff\xff\xff\xff\xff", "\x08\x01"}) {
    detail->set_value(bytes);
    EXPECT_EQ(base::Reason(FromProto(message)), "");
  }
}

TEST(Status, WrongOwnerCarriesThePlacement) {
  v1::WrongOwner detail;
  detail.set_map_version(7);
  detail.mutable_placement()->set_partition(12);
  detail.add_nodes()->set_name("n1");
  const absl::Status status = FromGrpc(ToGrpc(WrongOwnerError(detail)));
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(base::HasReason(status, base::reason::kWrongOwner));
  const auto back = WrongOwnerOf(status);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->SerializeAsString(), detail.SerializeAsString());
  EXPECT_FALSE(WrongOwnerOf(absl::UnavailableError("x")).has_value());
}

}  // namespace
}  // namespace atoll::rpc
