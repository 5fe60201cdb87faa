// How etcd is reached: several endpoints, TLS, user and password, an etcd that goes and comes.

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/mutex.h"
#include "etcd/rpc.grpc.pb.h"
#include "grpcpp/create_channel.h"
#include "gtest/gtest.h"
#include "server/cluster/etcd_coordinator.h"
#include "tests/support/certificates.h"
#include "tests/support/child_process.h"
#include "tests/support/etcd_process.h"

namespace atoll::cluster {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(20);

class EtcdAccess : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = absl::StrCat(::testing::TempDir(), "/atoll-access-", getpid(), "-",
                           ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override {
    etcd_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  // False if the test was skipped or failed.
  bool StartEtcd(const test::EtcdTls& tls = {}) {
    auto started = test::EtcdProcess::Start(folder_ + "/etcd", tls);
    if (absl::IsNotFound(started.status())) return false;
    EXPECT_TRUE(started.ok()) << started.status();
    if (started.ok()) etcd_ = *std::move(started);
    return started.ok();
  }
  static std::unique_ptr<Coordinator> Make(const EtcdOptions& options) {
    auto made = MakeEtcdCoordinator(options);
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? *std::move(made) : nullptr;
  }

  std::string folder_;
  std::unique_ptr<test::EtcdProcess> etcd_;
};

#define START_ETCD_OR_SKIP(...)                                                           \
  if (!StartEtcd(__VA_ARGS__)) {                                                          \
    if (HasFailure()) return;                                                             \
    GTEST_SKIP() << "NO ETCD: set ATOLL_ETCD_BINARY or put etcd on PATH; nothing tested"; \
  }

TEST_F(EtcdAccess, AnEndpointThatIsDeadMakesWayForOneThatLives) {
  START_ETCD_OR_SKIP();
  auto coordinator = Make({.endpoints = {"127.0.0.1:1", etcd_->endpoint()}});
  auto first = coordinator->Get("a");
  EXPECT_TRUE(first.ok()) << first.status();
  EXPECT_TRUE(coordinator->Txn({}, {Mutation::Put("a", "1")}).ok());
  base::Mutex mu;
  int updates = 0;
  auto watch = coordinator->WatchPrefix("a", 0, [&](const WatchUpdate&) {
    base::MutexLock lock(mu);
    ++updates;
  });
  EXPECT_TRUE(test::WaitUntil(
      [&] {
        base::MutexLock lock(mu);
        return updates > 0;
      },
      kPatience));
}

TEST_F(EtcdAccess, NobodyThereIsUnavailable) {
  auto coordinator = Make({.endpoints = {"127.0.0.1:1", "127.0.0.1:2"}});
  EXPECT_EQ(coordinator->Get("a").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(coordinator->Txn({}, {Mutation::Put("a", "1")}).status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(coordinator->GrantLease(absl::Seconds(3)).status().code(),
            absl::StatusCode::kUnavailable);
}

TEST_F(EtcdAccess, AWatchGoesOnWhereItWasAfterEtcdWasRestarted) {
  START_ETCD_OR_SKIP();
  auto coordinator = Make({.endpoints = {etcd_->endpoint()}});
  base::Mutex mu;
  std::string told;
  auto watch = coordinator->WatchPrefix("w/", 0, [&](const WatchUpdate& update) {
    base::MutexLock lock(mu);
    if (update.snapshot) told += "snapshot ";
    for (const WatchEvent& event : update.events) told += event.kv.value + " ";
  });
  const auto seen = [&](const std::string& what) {
    return test::WaitUntil(
        [&] {
          base::MutexLock lock(mu);
          return told == what;
        },
        kPatience);
  };
  ASSERT_TRUE(coordinator->Txn({}, {Mutation::Put("w/a", "1")}).ok());
  ASSERT_TRUE(test::WaitUntil(
      [&] {
        base::MutexLock lock(mu);
        return told.ends_with("1 ");
      },
      kPatience));
  {
    base::MutexLock lock(mu);
    told.clear();
  }
  etcd_->Kill();
  EXPECT_FALSE(coordinator->Get("w/a").ok());
  ASSERT_TRUE(etcd_->Restart().ok());
  ASSERT_TRUE(test::WaitUntil(
      [&] { return coordinator->Txn({}, {Mutation::Put("w/a", "2")}).ok(); }, kPatience));
  EXPECT_TRUE(seen("2 ")) << told;
}

TEST_F(EtcdAccess, AWatchBeginsAnewWhenEtcdForgotEverything) {
  START_ETCD_OR_SKIP();
  auto coordinator = Make({.endpoints = {etcd_->endpoint()}});
  base::Mutex mu;
  int snapshots = 0;
  std::string last;
  auto watch = coordinator->WatchPrefix("w/", 0, [&](const WatchUpdate& update) {
    base::MutexLock lock(mu);
    snapshots += update.snapshot ? 1 : 0;
    last.clear();
    for (const WatchEvent& event : update.events) last += event.kv.value;
  });
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(coordinator->Txn({}, {Mutation::Put("w/a", absl::StrCat(i))}).ok());
  }
  // The watch is there, and has told everything: only then is there something to begin anew.
  ASSERT_TRUE(test::WaitUntil(
      [&] {
        base::MutexLock lock(mu);
        return last == "4";
      },
      kPatience));
  etcd_->Kill();
  std::filesystem::remove_all(folder_ + "/etcd/data");
  ASSERT_TRUE(etcd_->Restart().ok());
  ASSERT_TRUE(test::WaitUntil(
      [&] { return coordinator->Txn({}, {Mutation::Put("w/a", "new")}).ok(); }, kPatience));
  EXPECT_TRUE(test::WaitUntil(
      [&] {
        base::MutexLock lock(mu);
        // Once anew, or more often if the first stream to the new etcd broke as well.
        return snapshots >= 2 && last == "new";
      },
      kPatience));
}

TEST_F(EtcdAccess, AUserWithAPasswordIsLetInAndAnotherIsNot) {
  START_ETCD_OR_SKIP();
  auto channel = grpc::CreateChannel(etcd_->endpoint(), grpc::InsecureChannelCredentials());
  auto auth = etcdserverpb::Auth::NewStub(channel);
  {
    grpc::ClientContext contexts[4];
    etcdserverpb::AuthUserAddRequest user;
    user.set_name("root");
    user.set_password("secret");
    etcdserverpb::AuthUserAddResponse user_added;
    ASSERT_TRUE(auth->UserAdd(&contexts[0], user, &user_added).ok());
    etcdserverpb::AuthRoleAddRequest role;
    role.set_name("root");
    etcdserverpb::AuthRoleAddResponse role_added;
    const grpc::Status made = auth->RoleAdd(&contexts[1], role, &role_added);
    EXPECT_TRUE(made.ok()) << made.error_message();
    etcdserverpb::AuthUserGrantRoleRequest grant;
    grant.set_user("root");
    grant.set_role("root");
    etcdserverpb::AuthUserGrantRoleResponse granted;
    ASSERT_TRUE(auth->UserGrantRole(&contexts[2], grant, &granted).ok());
    etcdserverpb::AuthEnableRequest enable;
    etcdserverpb::AuthEnableResponse enabled;
    const grpc::Status on = auth->AuthEnable(&contexts[3], enable, &enabled);
    ASSERT_TRUE(on.ok()) << on.error_message();
  }
  auto known = Make({.endpoints = {etcd_->endpoint()}, .user = "root", .password = "secret"});
  auto written = known->Txn({}, {Mutation::Put("a", "1")});
  EXPECT_TRUE(written.ok()) << written.status();
  base::Mutex mu;
  bool told = false;
  auto watch = known->WatchPrefix("a", 0, [&](const WatchUpdate& update) {
    base::MutexLock lock(mu);
    told = !update.snapshot;
  });
  EXPECT_TRUE(test::WaitUntil(
      [&] {
        EXPECT_TRUE(known->Txn({}, {Mutation::Put("a", "2")}).ok());
        base::MutexLock lock(mu);
        return told;
      },
      kPatience));
  // Its tokens are forgotten by a restart: the next call logs in again.
  ASSERT_TRUE(etcd_->Restart().ok());
  EXPECT_TRUE(test::WaitUntil([&] { return known->Get("a").ok(); }, kPatience));

  auto wrong = Make({.endpoints = {etcd_->endpoint()}, .user = "root", .password = "guess"});
  EXPECT_EQ(wrong->Get("a").status().code(), absl::StatusCode::kUnauthenticated);
  auto nobody = Make({.endpoints = {etcd_->endpoint()}});
  EXPECT_FALSE(nobody->Get("a").ok());
}

TEST_F(EtcdAccess, TlsWithACertificateOfTheClientsOwn) {
  if (!test::MakeCertificates(folder_)) GTEST_SKIP() << "NO OPENSSL: nothing tested";
  START_ETCD_OR_SKIP({.certificate = folder_ + "/server.pem",
                      .key = folder_ + "/server.key",
                      .client_ca = folder_ + "/ca.pem"});
  auto with = Make({.endpoints = {etcd_->endpoint()},
                    .tls = true,
                    .ca_file = folder_ + "/ca.pem",
                    .certificate_file = folder_ + "/client.pem",
                    .key_file = folder_ + "/client.key"});
  auto written = with->Txn({}, {Mutation::Put("a", "1")});
  EXPECT_TRUE(written.ok()) << written.status();
  auto without =
      Make({.endpoints = {etcd_->endpoint()}, .tls = true, .ca_file = folder_ + "/ca.pem"});
  EXPECT_FALSE(without->Get("a").ok());
  auto plain = Make({.endpoints = {etcd_->endpoint()}});
  EXPECT_FALSE(plain->Get("a").ok());
}

TEST(EtcdOptions, NameWhatIsMissing) {
  EXPECT_FALSE(EtcdOptions{}.Validate().ok());
  EXPECT_FALSE((EtcdOptions{.endpoints = {"a:1"}, .password = "x"}).Validate().ok());
  EXPECT_FALSE((EtcdOptions{.endpoints = {"a:1"}, .ca_file = "x"}).Validate().ok());
  EXPECT_TRUE((EtcdOptions{.endpoints = {"a:1"}}).Validate().ok());
  EXPECT_EQ(MakeEtcdCoordinator({.endpoints = {"a:1"}, .tls = true, .ca_file = "/nowhere"})
                .status()
                .code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace atoll::cluster
