/// \file
/// How a client is set up, and what a single call may ask for. Plain aggregates with defaults.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "atoll/namespace.h"  // must be the first

namespace atoll {

/// How a connection is secured. The default is plain text.
struct Credentials {
  bool tls = false;
  /// PEM file of the authorities that may sign the nodes' certificates; empty: the system's.
  std::string ca_file;
  /// PEM files of the client's own certificate and key, for mutual TLS; both or neither.
  std::string certificate_file;
  std::string key_file;
  /// The name that the nodes' certificates must carry, where it is not the one dialled.
  std::string server_name;
};

/// Settings of a Client or an AdminClient.
struct ClientOptions {
  // -- Where the cluster is ---------------------------------------------------------------------

  /// `host:port` or `unix:/path` of some nodes, at least one; the others are learned from them. May
  /// be load balancers.
  std::vector<std::string> endpoints;
  Credentials credentials;
  /// For calls that name none.
  std::string default_namespace = "default";
  /// Sends each key to its owner's own address. False: everything goes through `endpoints`, and the
  /// nodes forward; for clients that reach no other address.
  bool route_to_owners = true;

  // -- Time -------------------------------------------------------------------------------------

  /// From the call to its answer, retries included.
  absl::Duration timeout = absl::Seconds(1);
  /// The same for values above 64 KiB, scans and flushes.
  absl::Duration stream_timeout = absl::Seconds(30);

  // -- Load -------------------------------------------------------------------------------------

  /// Operations and bytes waiting or under way per node; beyond them calls answer
  /// RESOURCE_EXHAUSTED at once.
  size_t max_queued_operations = 65536;
  size_t max_queued_bytes = size_t{64} << 20;
  /// Identical reads under way at once are sent once, under a rule that keeps STRICT reads
  /// linearizable.
  bool collapse_reads = true;
  /// Threads that do the client's I/O and run callbacks; 1-64.
  int io_threads = 1;

  // -- Failure ----------------------------------------------------------------------------------

  /// Tries of one call, the first among them; 1: no retries. A node that has no primary yet for the
  /// key's partition (a takeover is under way) is asked again until the call's deadline, uncounted.
  int max_attempts = 3;
  /// Retries that may be spent for each call made (0.1: a tenth of the traffic); a quiet client
  /// keeps a reserve of ten.
  double retry_budget = 0.1;

  /// INVALID_ARGUMENT names the field, what was given and what is allowed.
  absl::Status Validate() const;

  /// `ATOLL_ENDPOINTS` (comma separated; 127.0.0.1:7850 where unset), `ATOLL_NAMESPACE`,
  /// `ATOLL_TIMEOUT` (such as 500ms or 2s), `ATOLL_TLS` (1), `ATOLL_CA_FILE`,
  /// `ATOLL_CERTIFICATE_FILE`, `ATOLL_KEY_FILE`, `ATOLL_SERVER_NAME`; the rest as above.
  /// INVALID_ARGUMENT names the variable that cannot be read.
  static absl::StatusOr<ClientOptions> FromEnvironment();
};

/// How fresh a read must be.
enum class Consistency : uint8_t {
  kStrict,   ///< Linearizable per key: the primary answers, with committed values only.
  kBounded,  ///< Any in-sync copy may answer; never older than about a second.
};

// In every options struct below: `ns` empty means ClientOptions::default_namespace; `timeout` zero
// means the client's.

struct GetOptions {
  std::string ns;
  absl::Duration timeout = absl::ZeroDuration();
  Consistency consistency = Consistency::kStrict;
  /// If not 0 and equal to the entry's version: Outcome::kUnchanged without the value.
  uint64_t if_version_not = 0;
  /// Answers everything but the value, and does not count as a read of the entry.
  bool metadata_only = false;
};

/// For Set, Add, Replace, CompareAndSwap.
struct SetOptions {
  std::string ns;
  absl::Duration timeout = absl::ZeroDuration();
  /// Rounded up to whole seconds by the cluster. Absent: the namespace's default; zero or infinite:
  /// never expires; negative is refused.
  std::optional<absl::Duration> ttl;
  /// The entry expires when it was not read for so long; zero: no limit.
  absl::Duration max_idle = absl::ZeroDuration();
  /// The caller's own 32 bits, handed back by reads.
  uint32_t flags = 0;
};

/// For Touch and GetAndTouch.
struct TouchOptions {
  std::string ns;
  absl::Duration timeout = absl::ZeroDuration();
  std::optional<absl::Duration> ttl;       ///< As in SetOptions.
  std::optional<absl::Duration> max_idle;  ///< Absent: unchanged; zero: no limit.
};

/// For Increment and Decrement.
struct CounterOptions {
  std::string ns;
  absl::Duration timeout = absl::ZeroDuration();
  /// What a key without an entry gets (the delta is not added to it); absent: Outcome::kMiss then.
  std::optional<int64_t> initial;
  /// For an entry that is made, as in SetOptions. An existing entry keeps its own.
  std::optional<absl::Duration> ttl;
};

/// For calls that need no more: Delete, Append, Prepend, MultiSet, MultiDelete, Flush.
struct CallOptions {
  std::string ns;
  absl::Duration timeout = absl::ZeroDuration();
};

struct MultiGetOptions {
  std::string ns;
  absl::Duration timeout = absl::ZeroDuration();
  Consistency consistency = Consistency::kStrict;
};

/// One entry of MultiSet.
struct SetEntry {
  std::string_view key;
  std::string_view value;
  std::optional<absl::Duration> ttl;
  absl::Duration max_idle = absl::ZeroDuration();
  uint32_t flags = 0;
};

struct ScanOptions {
  std::string ns;
  absl::Duration timeout = absl::ZeroDuration();
  std::string prefix;        ///< Only keys that begin so; empty: all.
  std::string cursor;        ///< Empty: from the start; else ScanPage::cursor of the page before.
  uint32_t limit = 1000;     ///< Entries in a page at the most, 1-10,000.
  bool with_values = false;  ///< Values up to 64 KiB too.
};

}  // namespace atoll
