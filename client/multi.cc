#include "client/multi.h"

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/status.h"
#include "client/translate.h"
#include "rpc/status.h"

namespace atoll::client {
namespace {

// A part is one operation; these keep it, and its answer, about a message long.
constexpr size_t kMaxPartKeys = 512;
constexpr size_t kMaxPartBytes = size_t{192} << 10;

// The answers of one call, filled by many threads: each writes its own keys.
template <typename Result>
class Answers {
 public:
  Answers(Engine& engine, size_t keys, Client::MultiCallback<Result> done)
      : engine_(engine),
        results_(keys, absl::UnknownError("not answered")),
        done_(std::move(done)) {}

  void Fill(size_t index, absl::StatusOr<Result> result) {
    engine_.Count(result.ok());
    results_[index] = std::move(result);
    // Release: what is in the results; acquire by the last, who hands them out.
    if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1) Finish();
  }
  // The one who starts holds the call open until every key has been started.
  void Started() {
    if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1) Finish();
  }

 private:
  void Finish() {
    auto done = std::move(done_);
    done(std::move(results_));
  }

  Engine& engine_;
  Client::Results<Result> results_;
  Client::MultiCallback<Result> done_;
  std::atomic<size_t> left_{results_.size() + 1};
};

// Keys with one owner.
struct Part {
  base::PartitionId partition;  // of one of them
  std::vector<size_t> indices;
  size_t bytes = 0;
};

// Puts each key into a part of its owner. Keys of partitions that nobody is known to own go
// together.
class Split {
 public:
  explicit Split(Dispatcher& dispatcher) : dispatcher_(dispatcher) {}

  void Add(size_t index, base::PartitionId partition, size_t bytes) {
    std::vector<Part>& parts = parts_[dispatcher_.OwnerOf(partition)];
    if (parts.empty() || parts.back().indices.size() >= kMaxPartKeys ||
        parts.back().bytes + bytes > kMaxPartBytes) {
      parts.emplace_back().partition = partition;
    }
    parts.back().indices.push_back(index);
    parts.back().bytes += bytes;
  }

  template <typename Visit>
  void ForEach(Visit visit) {
    for (auto& [owner, parts] : parts_) {
      for (Part& part : parts) visit(std::move(part));
    }
  }

 private:
  Dispatcher& dispatcher_;
  absl::flat_hash_map<std::string, std::vector<Part>> parts_;
};

// Whether the keys of a part that failed so may be tried one by one.
bool MayTryAgain(const absl::Status& status) {
  return base::HasReason(status, base::reason::kWrongOwner) || Dispatcher::IsPassingRefusal(status);
}

absl::Status CheckCount(size_t keys) {
  if (keys <= kMaxKeysInACall) return absl::OkStatus();
  return base::InvalidArgument("keys", absl::StrCat(keys), kMaxKeysInACall);
}

template <typename Result>
void FailAll(size_t keys, const absl::Status& status, Client::MultiCallback<Result> done) {
  done(Client::Results<Result>(keys, status));
}

// Walks the answers of a part: `fill(position, answer)` for each that came, `missing(position)`
// for each that did not.
template <typename Messages, typename Fill, typename Missing>
void ForEachAnswer(Messages* answers, size_t keys, Fill fill, Missing missing) {
  std::vector<bool> seen(keys, false);
  for (auto& answer : *answers) {
    if (answer.index() >= keys || seen[answer.index()]) continue;
    seen[answer.index()] = true;
    fill(answer.index(), &answer);
  }
  for (size_t i = 0; i < keys; ++i) {
    if (!seen[i]) missing(i);
  }
}

struct GetJob : std::enable_shared_from_this<GetJob> {
  GetJob(Engine& engine_, size_t count, Client::MultiCallback<GetResult> done)
      : engine(engine_), answers(engine_, count, std::move(done)) {}

  void One(size_t index) {
    ReadRequest request{.ns = ns,
                        .key = keys[index],
                        .consistency = consistency,
                        .deadline = deadline,
                        .stream_deadline = stream_deadline};
    engine.reads().Get(std::move(request),
                       [job = shared_from_this(), index](absl::StatusOr<GetResult> result) {
                         job->answers.Fill(index, std::move(result));
                       });
  }

  Engine& engine;
  std::string ns;
  std::vector<std::string> keys;
  Consistency consistency = Consistency::kStrict;
  absl::Duration deadline;
  absl::Duration stream_deadline;
  Answers<GetResult> answers;
};

void OnGetPart(const std::shared_ptr<GetJob>& job, const Part& part, const absl::Status& status,
               v1::OperationResult* result) {
  if (!status.ok()) {
    const bool again = MayTryAgain(status);
    for (const size_t index : part.indices) {
      again ? job->One(index) : job->answers.Fill(index, status);
    }
    return;
  }
  ForEachAnswer(
      result->mutable_multi_get()->mutable_results(), part.indices.size(),
      [&](size_t position, v1::MultiGetResult* answer) {
        const size_t index = part.indices[position];
        if (answer->has_error()) {
          const absl::Status error = rpc::FromProto(answer->error());
          job->engine.dispatcher().MendFrom(error);
          MayTryAgain(error) ? job->One(index) : job->answers.Fill(index, error);
        } else if (answer->result().outcome() == v1::OUTCOME_USE_STREAM) {
          job->One(index);
        } else {
          job->answers.Fill(index, ToGetResult(answer->mutable_result()));
        }
      },
      [&](size_t position) { job->One(part.indices[position]); });
}

// Writes of many keys: what MultiSet and MultiDelete have in common.
struct WriteJob {
  WriteJob(Engine& engine_, size_t count, Client::MultiCallback<WriteResult> done)
      : engine(engine_), answers(engine_, count, std::move(done)) {}

  // Tries one key alone.
  std::function<void(size_t index)> one;
  Engine& engine;
  Answers<WriteResult> answers;
};

template <typename Messages>
void OnWritePart(const std::shared_ptr<WriteJob>& job, const Part& part, const absl::Status& status,
                 Messages* messages) {
  if (!status.ok()) {
    // The dispatcher says AMBIGUOUS where the part may have been carried out.
    const bool again = MayTryAgain(status);
    for (const size_t index : part.indices) {
      again ? job->one(index) : job->answers.Fill(index, status);
    }
    return;
  }
  ForEachAnswer(
      messages, part.indices.size(),
      [&](size_t position, auto* answer) {
        const size_t index = part.indices[position];
        if (answer->has_error()) {
          const absl::Status error = rpc::FromProto(answer->error());
          job->engine.dispatcher().MendFrom(error);
          MayTryAgain(error) ? job->one(index) : job->answers.Fill(index, error);
        } else {
          job->answers.Fill(index, ToWriteResult(answer->result()));
        }
      },
      [&](size_t position) {
        job->answers.Fill(part.indices[position],
                          absl::InternalError("the node left the key unanswered"));
      });
}

}  // namespace

void MultiGet(Engine& engine, absl::Span<const std::string_view> keys,
              const MultiGetOptions& options, Client::MultiCallback<GetResult> done) {
  const std::string ns = engine.NamespaceOr(options.ns);
  absl::Status valid = CheckNamespace(ns);
  if (valid.ok()) valid = CheckCount(keys.size());
  if (!valid.ok()) return FailAll(keys.size(), valid, std::move(done));

  auto job = std::make_shared<GetJob>(engine, keys.size(), std::move(done));
  job->ns = ns;
  job->keys.assign(keys.begin(), keys.end());
  job->consistency = options.consistency;
  job->deadline = engine.Deadline(options.timeout);
  job->stream_deadline = engine.StreamDeadline(options.timeout);
  Split split(engine.dispatcher());
  for (size_t i = 0; i < keys.size(); ++i) {
    if (absl::Status bad = CheckKey(keys[i]); !bad.ok()) {
      job->answers.Fill(i, bad);
      continue;
    }
    split.Add(i, base::PartitionOfHash(base::HashKey(ns, keys[i])), keys[i].size() + 8);
  }
  split.ForEach([&](Part part) {
    v1::Operation operation;
    v1::MultiGetRequest* get = operation.mutable_multi_get();
    get->set_namespace_(ns);
    get->set_consistency(options.consistency == Consistency::kBounded ? v1::CONSISTENCY_BOUNDED
                                                                      : v1::CONSISTENCY_STRICT);
    for (const size_t index : part.indices) get->add_keys(job->keys[index]);
    auto call = std::make_shared<Call>();
    call->operation = rpc::EncodeOperation(operation);
    call->partition = part.partition;
    call->deadline = job->deadline;
    call->done = [job, part = std::move(part)](absl::Status status, v1::OperationResult* result) {
      OnGetPart(job, part, status, result);
    };
    engine.dispatcher().Start(std::move(call));
  });
  job->answers.Started();
}

void MultiSet(Engine& engine, absl::Span<const SetEntry> entries, const CallOptions& options,
              Client::MultiCallback<WriteResult> done) {
  const std::string ns = engine.NamespaceOr(options.ns);
  absl::Status valid = CheckNamespace(ns);
  if (valid.ok()) valid = CheckCount(entries.size());
  if (!valid.ok()) return FailAll(entries.size(), valid, std::move(done));

  // The messages of single sets hold what the parts are made of, and what a fallback needs.
  auto sets = std::make_shared<std::vector<v1::SetRequest>>(entries.size());
  auto job = std::make_shared<WriteJob>(engine, entries.size(), std::move(done));
  const absl::Duration timeout = options.timeout;
  job->one = [weak = std::weak_ptr(job), sets, timeout](size_t index) {
    const std::shared_ptr<WriteJob> held = weak.lock();
    v1::SetRequest set = (*sets)[index];
    const std::string value = std::move(*set.mutable_value());
    set.clear_value();
    held->engine.Set(std::move(set), value, timeout,
                     [held, index](absl::StatusOr<WriteResult> result) {
                       held->answers.Fill(index, std::move(result));
                     });
  };
  Split split(engine.dispatcher());
  for (size_t i = 0; i < entries.size(); ++i) {
    const SetEntry& entry = entries[i];
    absl::Status bad = CheckKey(entry.key);
    if (bad.ok()) bad = CheckValue(entry.value);
    if (bad.ok()) bad = CheckTtl(entry.ttl);
    if (bad.ok()) bad = CheckMaxIdle(entry.max_idle);
    if (!bad.ok()) {
      job->answers.Fill(i, bad);
      continue;
    }
    v1::SetRequest& set = (*sets)[i];
    set.set_namespace_(ns);
    set.set_key(entry.key.data(), entry.key.size());
    set.set_value(entry.value.data(), entry.value.size());
    if (entry.ttl.has_value()) set.set_ttl_ms(TtlMs(*entry.ttl));
    set.set_max_idle_ms(TtlMs(entry.max_idle));
    set.set_flags(entry.flags);
    if (entry.value.size() > kMaxInlineBytes) {
      job->one(i);
    } else {
      split.Add(i, base::PartitionOfHash(base::HashKey(ns, entry.key)),
                entry.key.size() + entry.value.size() + 32);
    }
  }
  split.ForEach([&](Part part) {
    v1::Operation operation;
    v1::MultiSetRequest* message = operation.mutable_multi_set();
    message->set_namespace_(ns);
    for (const size_t index : part.indices) {
      const v1::SetRequest& set = (*sets)[index];
      v1::MultiSetEntry* entry = message->add_entries();
      entry->set_key(set.key());
      entry->set_value(set.value());
      if (set.has_ttl_ms()) entry->set_ttl_ms(set.ttl_ms());
      entry->set_max_idle_ms(set.max_idle_ms());
      entry->set_flags(set.flags());
    }
    const base::PartitionId partition = part.partition;
    engine.Send(operation, partition, RetryRule::kOnlyUnapplied, engine.Deadline(timeout),
                [job, part = std::move(part)](absl::Status status, v1::OperationResult* result) {
                  OnWritePart(
                      job, part, status,
                      status.ok() ? result->mutable_multi_set()->mutable_results() : nullptr);
                });
  });
  job->answers.Started();
}

void MultiDelete(Engine& engine, absl::Span<const std::string_view> keys,
                 const CallOptions& options, Client::MultiCallback<WriteResult> done) {
  const std::string ns = engine.NamespaceOr(options.ns);
  absl::Status valid = CheckNamespace(ns);
  if (valid.ok()) valid = CheckCount(keys.size());
  if (!valid.ok()) return FailAll(keys.size(), valid, std::move(done));

  auto copies = std::make_shared<std::vector<std::string>>(keys.begin(), keys.end());
  auto job = std::make_shared<WriteJob>(engine, keys.size(), std::move(done));
  const absl::Duration deadline = engine.Deadline(options.timeout);
  job->one = [weak = std::weak_ptr(job), copies, ns, deadline](size_t index) {
    const std::shared_ptr<WriteJob> held = weak.lock();
    v1::Operation operation;
    operation.mutable_delete_()->set_namespace_(ns);
    operation.mutable_delete_()->set_key((*copies)[index]);
    held->engine.Send(operation, base::PartitionOfHash(base::HashKey(ns, (*copies)[index])),
                      RetryRule::kOnlyUnapplied, deadline,
                      [held, index](absl::Status status, v1::OperationResult* result) {
                        if (status.ok()) {
                          held->answers.Fill(index, ToWriteResult(result->delete_()));
                        } else {
                          held->answers.Fill(index, std::move(status));
                        }
                      });
  };
  Split split(engine.dispatcher());
  for (size_t i = 0; i < keys.size(); ++i) {
    if (absl::Status bad = CheckKey(keys[i]); !bad.ok()) {
      job->answers.Fill(i, bad);
    } else {
      split.Add(i, base::PartitionOfHash(base::HashKey(ns, keys[i])), keys[i].size() + 8);
    }
  }
  split.ForEach([&](Part part) {
    v1::Operation operation;
    operation.mutable_multi_delete()->set_namespace_(ns);
    for (const size_t index : part.indices) {
      operation.mutable_multi_delete()->add_keys((*copies)[index]);
    }
    const base::PartitionId partition = part.partition;
    engine.Send(operation, partition, RetryRule::kOnlyUnapplied, deadline,
                [job, part = std::move(part)](absl::Status status, v1::OperationResult* result) {
                  OnWritePart(
                      job, part, status,
                      status.ok() ? result->mutable_multi_delete()->mutable_results() : nullptr);
                });
  });
  job->answers.Started();
}

}  // namespace atoll::client
