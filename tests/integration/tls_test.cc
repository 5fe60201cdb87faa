// A cluster whose nodes and clients show each other certificates.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/support/certificates.h"
#include "tests/support/test_cluster.h"

namespace atoll {
namespace {

using test::TestCluster;

class TlsTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = test::FreshFolder("certificates");
    if (!test::MakeCertificates(folder_)) GTEST_SKIP() << "NO OPENSSL: nothing tested";
  }
  std::string File(const std::string& name) const { return absl::StrCat(folder_, "/", name); }
  Credentials Mine() const {
    return {.tls = true,
            .ca_file = File("ca.pem"),
            .certificate_file = File("client.pem"),
            .key_file = File("client.key")};
  }
  // The code of a read over a connection of these credentials.
  absl::StatusCode ReadWith(const TestCluster& cluster, Credentials credentials) const {
    ClientOptions options = cluster.client_options();
    options.credentials = std::move(credentials);
    options.timeout = absl::Seconds(2);
    auto client = Client::Create(options);
    EXPECT_TRUE(client.ok()) << client.status();
    return client.ok() ? (*client)->Get("k").status().code() : client.status().code();
  }

  std::string folder_;
};

TEST_F(TlsTest, NodesAndClientsShowEachOtherCertificates) {
  auto cluster = TestCluster::Start(
      {.data_folders = false,
       .flags = {"--tls-cert=" + File("server.pem"), "--tls-key=" + File("server.key"),
                 "--tls-ca=" + File("ca.pem")},
       .credentials = Mine()});
  ASSERT_TRUE(cluster.ok());
  const auto client = (*cluster)->MakeClient();
  for (int i = 0; i < 30; ++i) {
    const auto set = client->Set(absl::StrCat("k", i), absl::StrCat("v", i));
    ASSERT_TRUE(set.ok()) << set.status();
    EXPECT_EQ(set->copies, 2u);  // replication links
  }
  const std::string large(3 << 20, 'x');
  ASSERT_TRUE(client->Set("large", large).ok());
  // By one node alone, which has to forward most of it.
  ClientOptions one = (*cluster)->client_options();
  one.endpoints.resize(1);
  one.route_to_owners = false;
  const auto through_one = (*cluster)->MakeClient(one);
  for (int i = 0; i < 30; ++i) {
    const auto got = through_one->Get(absl::StrCat("k", i));
    ASSERT_TRUE(got.ok()) << got.status();
    EXPECT_EQ(got->value.view(), absl::StrCat("v", i));
  }
  const auto got = through_one->Get("large");
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->value.size(), large.size());

  EXPECT_EQ(ReadWith(**cluster, Mine()), absl::StatusCode::kOk);
  Credentials nobody = Mine();
  nobody.certificate_file = nobody.key_file = "";
  EXPECT_NE(ReadWith(**cluster, nobody), absl::StatusCode::kOk);
  EXPECT_NE(ReadWith(**cluster, {}), absl::StatusCode::kOk);
}

TEST_F(TlsTest, WithoutAnAuthorityOfTheirOwnNodesAskClientsForNothing) {
  Credentials trusting{.tls = true, .ca_file = File("ca.pem")};
  auto cluster = TestCluster::Start(
      {.standalone = true,
       .data_folders = false,
       .flags = {"--tls-cert=" + File("server.pem"), "--tls-key=" + File("server.key")},
       .credentials = trusting});
  ASSERT_TRUE(cluster.ok());
  EXPECT_EQ(ReadWith(**cluster, trusting), absl::StatusCode::kOk);
  EXPECT_NE(ReadWith(**cluster, {}), absl::StatusCode::kOk);
  trusting.ca_file = "";  // the system's roots know nothing of the test's authority
  EXPECT_NE(ReadWith(**cluster, trusting), absl::StatusCode::kOk);
}

}  // namespace
}  // namespace atoll
