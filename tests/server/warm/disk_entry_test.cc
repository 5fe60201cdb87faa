#include "server/warm/disk_entry.h"

#include <gtest/gtest.h>

#include "server/warm/warm_db.h"

namespace atoll::warm {
namespace {

TEST(DiskEntry, ComesBackAsItWas) {
  const store::EntryMeta meta{base::Version(base::Epoch(3), 99), 1234, 56, 0xdeadbeef};
  const std::string_view pieces[] = {"ab", "", "cde"};
  const std::string record = EncodeDiskEntry(meta, 0x0123456789abcdef, pieces);
  EXPECT_EQ(record.size(), kDiskEntryHeaderBytes + 5);
  const auto entry = DecodeDiskEntry(record);
  ASSERT_TRUE(entry.has_value());
  EXPECT_EQ(entry->meta.version, meta.version);
  EXPECT_EQ(entry->meta.expiry, 1234u);
  EXPECT_EQ(entry->meta.max_idle, 56u);
  EXPECT_EQ(entry->meta.flags, 0xdeadbeefu);
  EXPECT_EQ(entry->hash, 0x0123456789abcdefu);
  EXPECT_EQ(entry->value, "abcde");
}

TEST(DiskEntry, AnEmptyValueIsAValue) {
  const auto entry = DecodeDiskEntry(EncodeDiskEntry({}, 1, {}));
  ASSERT_TRUE(entry.has_value());
  EXPECT_EQ(entry->value, "");
}

TEST(DiskEntry, ShortOrForeignRecordsAreRefused) {
  std::string record = EncodeDiskEntry({}, 1, {});
  EXPECT_FALSE(DecodeDiskEntry(std::string_view(record).substr(1)).has_value());
  EXPECT_FALSE(DecodeDiskEntry("").has_value());
  record[0] = 2;
  EXPECT_FALSE(DecodeDiskEntry(record).has_value());
}

TEST(DiskKey, OrdersByPartitionAndHoldsAnyBytes) {
  const std::string key =
      DiskKey(base::PartitionId(0x0102), base::NamespaceId(0x0304), std::string_view("\0\xff", 2));
  EXPECT_EQ(key, std::string("\x01\x02\x03\x04\0\xff", 6));
  EXPECT_EQ(ParseDiskKey(key).ns, base::NamespaceId(0x0304));
  EXPECT_EQ(ParseDiskKey(key).key, std::string_view("\0\xff", 2));
  EXPECT_LT(DiskKey(base::PartitionId(255), base::NamespaceId(9), "z"),
            DiskKey(base::PartitionId(256), base::NamespaceId(0), "a"));
}

}  // namespace
}  // namespace atoll::warm
