#include "base/status.h"

#include <gtest/gtest.h>

#include "base/strings.h"

namespace atoll::base {
namespace {

std::string Message(const absl::Status& status) { return std::string(AsStd(status.message())); }

TEST(Status, CarriesItsReasonAndMetadata) {
  const absl::Status status =
      WithReason(absl::UnavailableError("gone"), reason::kDraining, {{"node", "n1"}, {"", "x"}});
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Message(status), "gone");
  EXPECT_TRUE(HasReason(status, reason::kDraining));
  EXPECT_FALSE(HasReason(status, reason::kOverload));
  EXPECT_EQ(ReasonMetadata(status), (Metadata{{"node", "n1"}, {"", "x"}}));
}

TEST(Status, WithoutAReasonHasAnEmptyOne) {
  EXPECT_EQ(Reason(absl::OkStatus()), "");
  EXPECT_EQ(Reason(absl::InternalError("x")), "");
  EXPECT_TRUE(ReasonMetadata(absl::InternalError("x")).empty());
}

TEST(Status, ALaterReasonReplacesTheFirst) {
  absl::Status status = WithReason(absl::AbortedError("x"), reason::kOverload, {{"a", "b"}});
  status = WithReason(status, reason::kAmbiguous);
  EXPECT_EQ(Reason(status), reason::kAmbiguous);
  EXPECT_TRUE(ReasonMetadata(status).empty());
}

TEST(Status, IsInTheWireFormatOfErrorInfo) {
  const absl::Status status = WithReason(absl::AbortedError("x"), "R", {{"k", "v"}});
  const std::string bytes(*status.GetPayload(AsAbsl(kErrorInfoUrl)));
  EXPECT_EQ(bytes, std::string("\x0a\x01R\x12\x05") + "atoll" + "\x1a\x06\x0a\x01k\x12\x01v");
}

TEST(Status, LongTextsSurvive) {
  const std::string text(300, 't');
  EXPECT_EQ(ReasonMetadata(WithReason(absl::AbortedError("x"), text, {{"k", text}}))["k"], text);
}

TEST(Status, AMalformedOrForeignPayloadIsNoReason) {
  struct Case {
    const char* name;
    std::string bytes;
  };
  for (const Case& c : {Case{"cut short", std::string("\x0a\x05"
                                                      "ab")},
                        Case{"length overflow", std::string("\x0a\xff\xff\xff\xff\xff\xff\xff")},
                        Case{"another wire type", std::string("\x08\x01")},
                        Case{"another domain", std::string("\x0a\x01R\x12\x03") + "xyz"}}) {
    SCOPED_TRACE(c.name);
    absl::Status status = absl::AbortedError("x");
    status.SetPayload(AsAbsl(kErrorInfoUrl), absl::Cord(c.bytes));
    EXPECT_EQ(Reason(status), "");
  }
}

TEST(Status, ABadArgumentNamesFieldContentAndLimit) {
  const absl::Status status = InvalidArgument("key", "1300 bytes", 1024);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Message(status), "key: 1300 bytes, limit 1024");
  EXPECT_TRUE(HasReason(status, reason::kBadArgument));
  EXPECT_EQ(ReasonMetadata(status)["field"], "key");
  EXPECT_EQ(Message(InvalidArgument("ttl", "negative")), "ttl: negative");
}

}  // namespace
}  // namespace atoll::base
