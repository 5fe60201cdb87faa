#include "server/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <initializer_list>
#include <string>
#include <vector>

#include "base/version.h"

namespace atoll::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class SettingsTest : public ::testing::Test {
 protected:
  absl::StatusOr<Invocation> Read(std::vector<const char*> flags,
                                  std::vector<const char*> environment = {}) {
    flags.insert(flags.begin(), "atolld");
    environment.push_back(nullptr);
    return ReadSettings(static_cast<int>(flags.size()), flags.data(), environment.data());
  }

  std::string File(const std::string& content) {
    std::string path =
        ::testing::TempDir() + "atolld-settings-" + std::to_string(getpid()) + ".yaml";
    std::ofstream(path) << content;
    return path;
  }
};

TEST_F(SettingsTest, TheFlagWinsOverTheEnvironmentAndThatOverTheFile) {
  const std::string file = File("memory: 100MiB\nio_threads: 3\ncluster: filed\n");
  const auto read = Read({"--config", file.c_str(), "--memory", "300MiB"},
                         {"ATOLLD_MEMORY=200MiB", "ATOLLD_IO_THREADS=5"});
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->options.memory_bytes, uint64_t{300} << 20);
  EXPECT_EQ(read->options.io_threads, 5);
  EXPECT_EQ(read->options.cluster, "filed");
}

TEST_F(SettingsTest, BudgetsFollowFromMemoryAndTheDataFolder) {
  const auto small = Read({"--memory", "256MiB"});
  ASSERT_TRUE(small.ok()) << small.status();
  EXPECT_EQ(small->options.Budgets().Text(), "384 MiB: cache 256, RPC 64, RocksDB 0, the rest 64");
  const auto large = Read({"--memory", "4GiB", "--data-dir", "x", "--rpc-memory", "100MiB"});
  ASSERT_TRUE(large.ok()) << large.status();
  EXPECT_EQ(large->options.Budgets().Text(),
            "4772 MiB: cache 4096, RPC 100, RocksDB 512, the rest 64");
  // Whoever gave one field is told of no other.
  EXPECT_TRUE(Read({"--memory", "1000TiB"}).ok());
}

TEST_F(SettingsTest, UnknownKeysAreRefusedByName) {
  const std::string file = File("memoryy: 100MiB\n");
  EXPECT_THAT(std::string(Read({"--config", file.c_str()}).status().message()),
              HasSubstr("memoryy: no such setting"));
  EXPECT_THAT(std::string(Read({}, {"ATOLLD_MEMORYY=1"}).status().message()),
              HasSubstr("ATOLLD_MEMORYY: no such setting"));
  EXPECT_THAT(std::string(Read({"--memoryy", "1"}).status().message()), HasSubstr("--memoryy"));
}

TEST_F(SettingsTest, AComplaintNamesFieldValueAndLimit) {
  struct Case {
    std::vector<const char*> flags;
    const char* message;
  };
  for (const Case& c : std::initializer_list<Case>{
           {{"--memory", "1MiB"}, "memory: 1048576 bytes, limit at least 67108864"},
           {{"--memory", "much"}, "--memory: much, limit a size as 256MiB"},
           {{"--io-threads", "1000"}, "io-threads: 1000, limit 1 to 256"},
           {{"--grace", "900ms"}, "grace: 900ms, limit above --lease"},
           {{"--heartbeat", "3"}, "--heartbeat: 3, limit a time as 500ms or 30s"},
           {{"--node-lease", "1s"}, "node-lease: 1s, limit at least 2s"},
           {{"--listen", "client"}, "listen: client, limit name=address[,advertise=address]"},
           {{"--listen", "client=host"}, "listen: host, limit host:port"},
           {{"--listen", "a=localhost:1", "--listen", "a=localhost:2"}, "listen: a given twice"},
           {{"--etcd", "x:y"}, "etcd: x:y, limit host:port"},
           {{"--node-name", "a/b"}, "node-name: a/b"},
           {{"--tls-cert", "x"}, "tls-cert: alone, limit --tls-cert and --tls-key together"},
           {{"--tls-key", "x"}, "tls-key: alone, limit --tls-cert and --tls-key together"},
           {{"--tls-ca", "x"}, "tls-ca: alone, limit with --tls-cert and --tls-key"},
       }) {
    SCOPED_TRACE(c.flags[1]);
    const auto read = Read(c.flags);
    ASSERT_FALSE(read.ok());
    EXPECT_EQ(read.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(read.status().message()), HasSubstr(c.message));
  }
}

TEST_F(SettingsTest, AnAddressOpenToTheNetworkMustBeAllowed) {
  const auto refused = Read({"--listen", "client=0.0.0.0:7850"});
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("--allow-unauthenticated"));
  EXPECT_TRUE(Read({"--listen", "client=0.0.0.0:7850", "--allow-unauthenticated"}).ok());
  // A certificate of one's own says nothing about who calls; an authority for theirs does.
  const std::vector<const char*> with_tls = {"--tls-cert", "c",        "--tls-key",
                                             "k",          "--listen", "client=0.0.0.0:7850"};
  EXPECT_FALSE(Read(with_tls).ok());
  std::vector<const char*> mutual = with_tls;
  mutual.insert(mutual.end(), {"--tls-ca", "a"});
  EXPECT_TRUE(Read(mutual).ok());
  mutual.insert(mutual.end(), {"--listen", "admin=0.0.0.0:7855"});
  EXPECT_FALSE(Read(mutual).ok()) << "the admin page speaks plain HTTP";
}

TEST_F(SettingsTest, ListenersReplaceDefaultsByNameAndOthersServeClientsToo) {
  const auto read =
      Read({"--listen", "peer=127.0.0.1:0,advertise=n1:7851", "--listen", "docker=127.0.0.1:7870"});
  ASSERT_TRUE(read.ok()) << read.status();
  std::vector<ListenerOptions> listeners;
  ASSERT_TRUE(read->options.Listeners(listeners).ok());
  std::vector<std::string> texts;
  for (const auto& l : listeners) texts.push_back(l.name + " " + l.address + " " + l.advertise);
  EXPECT_THAT(texts, ElementsAre("client 127.0.0.1:7850 ", "docker 127.0.0.1:7870 ",
                                 "peer 127.0.0.1:0 n1:7851", "admin 127.0.0.1:7855 "));
}

TEST_F(SettingsTest, ListsComeFromEverySource) {
  const std::string file = File("etcd: [a:1, b:2]\n");
  EXPECT_THAT(Read({"--config", file.c_str()})->options.etcd, ElementsAre("a:1", "b:2"));
  EXPECT_THAT(Read({}, {"ATOLLD_ETCD=a:1 b:2"})->options.etcd, ElementsAre("a:1", "b:2"));
  EXPECT_THAT(Read({"--etcd", "a:1", "--etcd", "b:2"})->options.etcd, ElementsAre("a:1", "b:2"));
}

TEST_F(SettingsTest, WhatIsPrintedGivesTheSameAgain) {
  const auto first = Read({"--print-config", "--memory", "96MiB", "--etcd", "a:1", "--zone", "z",
                           "--grace", "1500ms", "--node-name", "n1", "--log-level", "debug"});
  ASSERT_TRUE(first.ok());
  ASSERT_FALSE(first->print.empty());
  const std::string file = File(first->print);
  const auto second = Read({"--print-config", "--config", file.c_str()});
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->print, first->print);
}

TEST_F(SettingsTest, AStandaloneNodeKeepsOneCopy) {
  EXPECT_EQ(Read({})->options.replication_factor, 1u);
  EXPECT_EQ(Read({"--etcd", "a:1"})->options.replication_factor, 2u);
}

TEST_F(SettingsTest, HelpAndVersionArePrintedWithoutValidating) {
  EXPECT_THAT(Read({"--help"})->print, HasSubstr("--io-threads"));
  EXPECT_EQ(Read({"--version"})->print, base::VersionLine("atolld") + "\n");
}

}  // namespace
}  // namespace atoll::server
