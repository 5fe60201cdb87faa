/// \file
/// The client of an Atoll cluster.
///
///     atoll::ClientOptions options;
///     options.endpoints = {"127.0.0.1:7850"};
///     absl::StatusOr<std::unique_ptr<atoll::Client>> client = atoll::Client::Create(options);
///     if (!client.ok()) return client.status();
///     (*client)->Set("greeting", "hello", {.ttl = absl::Minutes(5)}).status();
///     absl::StatusOr<atoll::GetResult> got = (*client)->Get("greeting");
///     if (got.ok() && got->found()) std::cout << got->value.view();
///
/// One client serves all threads of a process: it keeps one connection per node (up to four, and
/// one more for large values, where there is more to do), and batches what its callers ask for at
/// the same time. What is asked for at the same time has no order.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "atoll/namespace.h"  // must be the first
#include "atoll/options.h"
#include "atoll/status.h"
#include "atoll/value.h"

namespace atoll {

/// Counts since the client was made.
struct ClientStats {
  uint64_t calls = 0;           ///< Operations asked for; each key of a multi call counts.
  uint64_t failures = 0;        ///< Those that ended with an error.
  uint64_t collapsed = 0;       ///< Reads that shared another's flight.
  uint64_t retries = 0;         ///< Tries beyond the first.
  uint64_t wrong_owner = 0;     ///< Answers that mended the map.
  uint64_t through_others = 0;  ///< Operations sent through a node that is not the owner.
  uint64_t streamed = 0;        ///< Values moved by streams of their own.
  uint64_t messages = 0;        ///< Batches written.
  uint64_t slowdowns = 0;       ///< Times that a node's overload made the client send less.
  uint64_t map_version = 0;     ///< Of the map in use; 0: none yet.
};

/// Thread safety: every method may be called by any thread, at any time before destruction.
///
/// Errors: see atoll/status.h. A miss or an unmet condition is an Outcome, not an error.
///
/// Blocking calls return within their timeout. They must not be made from a callback (they answer
/// FAILED_PRECONDITION there: the thread that would bring the answer is the one that waits).
///
/// Asynchronous calls (`...Async`) copy their arguments before they return and call `done` exactly
/// once: on a thread of the client, or before they return where the answer is known at once. `done`
/// must not block; it may start further asynchronous calls.
class Client {
 public:
  template <typename Result>
  using Callback = absl::AnyInvocable<void(absl::StatusOr<Result>)>;
  /// One answer per key, in the order of the call.
  template <typename Result>
  using Results = std::vector<absl::StatusOr<Result>>;
  template <typename Result>
  using MultiCallback = absl::AnyInvocable<void(Results<Result>)>;

  /// Starts a client and returns at once, whether or not the cluster can be reached. Until the
  /// first map is there calls go through the endpoints. INVALID_ARGUMENT from
  /// ClientOptions::Validate; credentials that cannot be read: NOT_FOUND with the file's name.
  ///
  /// Turns off the search for deadlocks of Abseil's mutexes, for the whole process: where Abseil
  /// was built without NDEBUG every lock that gRPC takes pays for it.
  static absl::StatusOr<std::unique_ptr<Client>> Create(ClientOptions options);

  /// Ends all calls under way with CANCELLED (their callbacks run before this returns) and joins
  /// the client's threads. Must not be called from a callback.
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// Waits until the client has a map in which every partition has an owner. DEADLINE_EXCEEDED
  /// tells what was missing.
  absl::Status WaitUntilReady(absl::Time deadline);

  // -- One key ----------------------------------------------------------------------------------
  // Keys have 1-1,024 bytes. Values that are set or read have up to 64 MiB, or an eighth of a
  // node's memory if that is less; those of Add, Replace, CompareAndSwap, Append and Prepend up to
  // 4 MiB.

  absl::StatusOr<GetResult> Get(std::string_view key, const GetOptions& options = {});
  /// Stores an entry whatever was there.
  absl::StatusOr<WriteResult> Set(std::string_view key, std::string_view value,
                                  const SetOptions& options = {});
  /// Stores only if the key has no entry; else kNotStored.
  absl::StatusOr<WriteResult> Add(std::string_view key, std::string_view value,
                                  const SetOptions& options = {});
  /// Stores only if the key has an entry; else kNotStored.
  absl::StatusOr<WriteResult> Replace(std::string_view key, std::string_view value,
                                      const SetOptions& options = {});
  /// Stores only if the entry's version is `expected_version`; else kMismatch, or kMiss.
  absl::StatusOr<WriteResult> CompareAndSwap(std::string_view key, std::string_view value,
                                             uint64_t expected_version,
                                             const SetOptions& options = {});
  /// kMiss if there was no entry.
  absl::StatusOr<WriteResult> Delete(std::string_view key, const CallOptions& options = {});
  /// Changes the time to live, and the idle limit where given. kMiss if there is no entry.
  absl::StatusOr<WriteResult> Touch(std::string_view key, const TouchOptions& options = {});
  /// Touch and Get in one step.
  absl::StatusOr<GetResult> GetAndTouch(std::string_view key, const TouchOptions& options = {});
  /// Adds to a signed 64-bit decimal counter.
  absl::StatusOr<CounterResult> Increment(std::string_view key, int64_t delta,
                                          const CounterOptions& options = {});
  /// Subtracts; `delta` is not -2^63.
  absl::StatusOr<CounterResult> Decrement(std::string_view key, int64_t delta,
                                          const CounterOptions& options = {});
  /// Adds bytes behind the value; kNotStored if there is no entry.
  absl::StatusOr<WriteResult> Append(std::string_view key, std::string_view suffix,
                                     const CallOptions& options = {});
  /// Adds bytes before the value; kNotStored if there is no entry.
  absl::StatusOr<WriteResult> Prepend(std::string_view key, std::string_view prefix,
                                      const CallOptions& options = {});

  // -- Many keys --------------------------------------------------------------------------------
  // Up to 10,000 keys. Each key is answered on its own: a failing node fails only its own keys, and
  // delays none of the others beyond the call's timeout.

  Results<GetResult> MultiGet(absl::Span<const std::string_view> keys,
                              const MultiGetOptions& options = {});
  Results<WriteResult> MultiSet(absl::Span<const SetEntry> entries,
                                const CallOptions& options = {});
  Results<WriteResult> MultiDelete(absl::Span<const std::string_view> keys,
                                   const CallOptions& options = {});

  // -- Whole namespaces -------------------------------------------------------------------------

  /// One page of a namespace's entries. Each entry that lives throughout is listed exactly once
  /// while ownership does not change, and at least once otherwise.
  absl::StatusOr<ScanPage> Scan(const ScanOptions& options = {});
  /// Makes every entry that the namespace holds now read as absent; atomic per partition only.
  absl::Status Flush(const CallOptions& options = {});

  // -- The same, asynchronous -------------------------------------------------------------------

  void GetAsync(std::string_view key, const GetOptions& options, Callback<GetResult> done);
  void SetAsync(std::string_view key, std::string_view value, const SetOptions& options,
                Callback<WriteResult> done);
  void AddAsync(std::string_view key, std::string_view value, const SetOptions& options,
                Callback<WriteResult> done);
  void ReplaceAsync(std::string_view key, std::string_view value, const SetOptions& options,
                    Callback<WriteResult> done);
  void CompareAndSwapAsync(std::string_view key, std::string_view value, uint64_t expected_version,
                           const SetOptions& options, Callback<WriteResult> done);
  void DeleteAsync(std::string_view key, const CallOptions& options, Callback<WriteResult> done);
  void TouchAsync(std::string_view key, const TouchOptions& options, Callback<WriteResult> done);
  void GetAndTouchAsync(std::string_view key, const TouchOptions& options,
                        Callback<GetResult> done);
  void IncrementAsync(std::string_view key, int64_t delta, const CounterOptions& options,
                      Callback<CounterResult> done);
  void DecrementAsync(std::string_view key, int64_t delta, const CounterOptions& options,
                      Callback<CounterResult> done);
  void AppendAsync(std::string_view key, std::string_view suffix, const CallOptions& options,
                   Callback<WriteResult> done);
  void PrependAsync(std::string_view key, std::string_view prefix, const CallOptions& options,
                    Callback<WriteResult> done);
  void MultiGetAsync(absl::Span<const std::string_view> keys, const MultiGetOptions& options,
                     MultiCallback<GetResult> done);
  void MultiSetAsync(absl::Span<const SetEntry> entries, const CallOptions& options,
                     MultiCallback<WriteResult> done);
  void MultiDeleteAsync(absl::Span<const std::string_view> keys, const CallOptions& options,
                        MultiCallback<WriteResult> done);
  void ScanAsync(const ScanOptions& options, Callback<ScanPage> done);
  void FlushAsync(const CallOptions& options, absl::AnyInvocable<void(absl::Status)> done);

  ClientStats stats() const;

 private:
  class Impl;
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace atoll
