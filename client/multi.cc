#include "client/multi.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/status.h"
#include "client/multi_job.h"
#include "client/translate.h"
#include "rpc/status.h"
#include "rpc/wire/encode.h"

namespace atoll::client {
namespace {

// Whether the keys of a part that failed so may be tried one by one.
bool MayTryAgain(const absl::Status& status) {
  return base::HasReason(status, base::reason::kWrongOwner) ||
         RetryPolicy::IsPassingRefusal(status);
}

absl::Status Check(std::string_view ns, size_t keys) {
  if (absl::Status bad = CheckNamespace(ns); !bad.ok()) return bad;
  if (keys <= kMaxKeysInACall) return absl::OkStatus();
  return base::InvalidArgument("keys", absl::StrCat(keys), kMaxKeysInACall);
}

absl::Status Check(const SetEntry& entry) {
  absl::Status bad = CheckKey(entry.key);
  if (bad.ok()) bad = CheckValue(entry.value);
  if (bad.ok()) bad = CheckTtl(entry.ttl);
  if (bad.ok()) bad = CheckMaxIdle(entry.max_idle);
  return bad;
}

absl::Status ErrorOf(std::string_view bytes) {
  google::rpc::Status message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) ||
      message.code() == 0) {
    return absl::InternalError("the node answered an error that cannot be read");
  }
  return rpc::FromProto(message);
}

// One operation on keys of one owner. Destroys itself at its end.
template <typename Result>
class Part : public Call {
 public:
  Part(std::shared_ptr<Answers<Result>> answers, absl::Span<const uint32_t> indices)
      : answers_(std::move(answers)),
        seen_(indices.size()),
        indices_(indices.begin(), indices.end()) {}

 protected:
  Engine& engine() { return answers_->engine(); }
  size_t keys() const { return indices_.size(); }
  uint32_t index(size_t position) const { return indices_[position]; }

  // Tries a key alone; `part` is this operation.
  virtual void One(const v1::Operation& part, size_t position) = 0;
  // Reads the answers of an operation that was carried out; with OnResult or OnError for each.
  virtual void Read(rpc::BatchEnd& end) = 0;
  virtual absl::StatusOr<Result> Missing(size_t position) = 0;

  void OnResult(size_t position, absl::StatusOr<Result> result) {
    if (!seen_.First(position)) return;
    answers_->Put(index(position), std::move(result));
    ++put_;
  }
  void OnError(size_t position, const absl::Status& error) {
    if (!seen_.First(position)) return;
    engine().dispatcher().MendFrom(error);
    if (MayTryAgain(error)) {
      Again(position);
    } else {
      answers_->Put(index(position), error);
      ++put_;
    }
  }
  void Again(size_t position) { again_.push_back(position); }

  const std::shared_ptr<Answers<Result>> answers_;
  Seen seen_;

 private:
  void Finish(rpc::BatchEnd& end) final {
    const std::unique_ptr<Part> self(this);
    const absl::Status& status = end.status;
    if (status.ok()) {
      Read(end);
      seen_.ForEachMissing([this](size_t position) {
        absl::StatusOr<Result> result = Missing(position);
        if (absl::IsUnavailable(result.status())) return Again(position);
        answers_->Put(index(position), std::move(result));
        ++put_;
      });
    } else if (MayTryAgain(status)) {
      // The dispatcher says AMBIGUOUS where the part may have been carried out.
      for (size_t i = 0; i < keys(); ++i) Again(i);
    } else {
      for (size_t i = 0; i < keys(); ++i) answers_->Put(index(i), status);
      put_ = keys();
    }
    if (!again_.empty()) {
      // What is asked for is read from what was sent: nothing else keeps it.
      v1::Operation part;
      part.ParseFromArray(head.data(), static_cast<int>(head.size()));
      for (const size_t position : again_) One(part, position);
    }
    if (put_ > 0) answers_->Filled(put_);
  }

  const std::vector<uint32_t> indices_;
  std::vector<size_t> again_;
  size_t put_ = 0;
};

// Takes room in the call's bytes for a body of `message` bytes, which `write(out)` writes.
template <typename Write>
void FillBody(Call& call, wire::Kind kind, size_t message, Write write) {
  const size_t body = wire::BodySize(kind, message);
  uint8_t* const start = call.bytes.Take(body);
  write(wire::WriteBodyHead(kind, message, start));
  call.head = {reinterpret_cast<const char*>(start), body};
}

class GetPart final : public Part<GetResult> {
 public:
  using Part::Part;

  void Prepare(std::string_view ns, absl::Span<const std::string_view> keys_of_call,
               Consistency consistency, absl::Duration stream_deadline) {
    stream_deadline_ = stream_deadline;
    wire::MultiGetRequest get;
    std::vector<std::string_view> mine(keys());
    for (size_t i = 0; i < keys(); ++i) mine[i] = keys_of_call[index(i)];
    get.ns = WireNamespace(ns);
    get.keys = mine;
    get.count = mine.size();
    get.consistency = consistency == Consistency::kBounded ? v1::CONSISTENCY_BOUNDED : 0;
    FillBody(*this, wire::Kind::kMultiGet, wire::Size(get),
             [&get](uint8_t* out) { wire::Write(get, out); });
  }

 private:
  void Read(rpc::BatchEnd& end) override {
    if (end.result == nullptr) {
      for (v1::MultiGetResult& item : *end.message->mutable_multi_get()->mutable_results()) {
        if (item.has_error()) {
          OnError(item.index(), rpc::FromProto(item.error()));
        } else if (item.result().outcome() == v1::OUTCOME_USE_STREAM) {
          if (seen_.First(item.index())) Again(item.index());
        } else {
          OnResult(item.index(), ToGetResult(item.mutable_result()));
        }
      }
      return;
    }
    for (const wire::MultiGetItem& item : end.result->multi_get) {
      if (item.has_error) {
        OnError(item.index, ErrorOf(item.error));
      } else if (item.result.outcome == v1::OUTCOME_USE_STREAM) {
        if (seen_.First(item.index)) Again(item.index);
      } else {
        OnResult(item.index, ToGetResult(item.result, *end.values));
      }
    }
  }

  // A read left unanswered is tried again.
  absl::StatusOr<GetResult> Missing(size_t /*position*/) override {
    return absl::UnavailableError("unanswered");
  }

  void One(const v1::Operation& part, size_t position) override {
    const v1::MultiGetRequest& get = part.multi_get();
    auto* const call = new Async<ReadCall>(
        nullptr, [answers = answers_, at = index(position)](absl::StatusOr<GetResult> result) {
          answers->Fill(at, std::move(result));
        });
    call->Prepare(
        {.ns = get.namespace_().empty() ? "default" : get.namespace_(),
         .key = get.keys(static_cast<int>(position)),
         .consistency = get.consistency() == v1::CONSISTENCY_BOUNDED ? Consistency::kBounded
                                                                     : Consistency::kStrict,
         .deadline = deadline,
         .stream_deadline = stream_deadline_},
        /*own=*/true);
    engine().reads().Get(call);
  }

  absl::Duration stream_deadline_;
};

// What sets and deletes have in common.
class WritePart : public Part<WriteResult> {
 public:
  using Part::Part;

 protected:
  void ReadItems(absl::Span<const wire::MultiWriteItem> items) {
    for (const wire::MultiWriteItem& item : items) {
      if (item.has_error) {
        OnError(item.index, ErrorOf(item.error));
      } else {
        OnResult(item.index, ToWriteResult(item.result));
      }
    }
  }
  template <typename Items>
  void ReadMessage(const Items& items) {
    for (const auto& item : items) {
      if (item.has_error()) {
        OnError(item.index(), rpc::FromProto(item.error()));
      } else {
        OnResult(item.index(), ToWriteResult(item.result()));
      }
    }
  }

  WriteCall* NewCall(size_t position) {
    return new Async<WriteCall>(
        nullptr, [answers = answers_, at = index(position)](absl::StatusOr<WriteResult> result) {
          answers->Fill(at, std::move(result));
        });
  }

 private:
  absl::StatusOr<WriteResult> Missing(size_t /*position*/) override {
    return absl::InternalError("the node left the key unanswered");
  }
};

class SetPart final : public WritePart {
 public:
  using WritePart::WritePart;

  void Prepare(std::string_view ns, absl::Span<const SetEntry> entries, absl::Duration timeout) {
    timeout_ = timeout;
    wire::MultiSetRequest set;
    std::vector<wire::Entry> mine(keys());
    for (size_t i = 0; i < keys(); ++i) {
      const SetEntry& entry = entries[index(i)];
      mine[i].key = entry.key;
      mine[i].value.bytes = entry.value;
      if (entry.ttl.has_value()) mine[i].ttl_ms = TtlMs(*entry.ttl);
      mine[i].max_idle_ms = TtlMs(entry.max_idle);
      mine[i].flags = entry.flags;
    }
    set.ns = WireNamespace(ns);
    set.entries = mine;
    set.count = mine.size();
    FillBody(*this, wire::Kind::kMultiSet, wire::Size(set),
             [&set](uint8_t* out) { wire::Write(set, out); });
  }

 private:
  void Read(rpc::BatchEnd& end) override {
    if (end.result == nullptr) return ReadMessage(end.message->multi_set().results());
    ReadItems(end.result->multi_write);
  }

  void One(const v1::Operation& part, size_t position) override {
    const v1::MultiSetRequest& set = part.multi_set();
    const v1::MultiSetEntry& entry = set.entries(static_cast<int>(position));
    EntryOptions options{.max_idle = absl::Milliseconds(entry.max_idle_ms()),
                         .flags = entry.flags()};
    if (entry.has_ttl_ms()) options.ttl = absl::Milliseconds(entry.ttl_ms());
    engine().Set(NewCall(position), set.namespace_().empty() ? "default" : set.namespace_(),
                 entry.key(), entry.value(), options, timeout_, /*own=*/true);
  }

  absl::Duration timeout_;
};

class DeletePart final : public WritePart {
 public:
  using WritePart::WritePart;

  void Prepare(std::string_view ns, absl::Span<const std::string_view> keys_of_call) {
    wire::MultiDeleteRequest del;
    std::vector<std::string_view> mine(keys());
    for (size_t i = 0; i < keys(); ++i) mine[i] = keys_of_call[index(i)];
    del.ns = WireNamespace(ns);
    del.keys = mine;
    del.count = mine.size();
    FillBody(*this, wire::Kind::kMultiDelete, wire::Size(del),
             [&del](uint8_t* out) { wire::Write(del, out); });
  }

 private:
  void Read(rpc::BatchEnd& end) override {
    if (end.result == nullptr) return ReadMessage(end.message->multi_delete().results());
    ReadItems(end.result->multi_write);
  }

  void One(const v1::Operation& part, size_t position) override {
    const v1::MultiDeleteRequest& del = part.multi_delete();
    WriteCall* const call = NewCall(position);
    call->PrepareDelete(del.namespace_().empty() ? "default" : del.namespace_(),
                        del.keys(static_cast<int>(position)));
    call->deadline = deadline;
    engine().dispatcher().Start(call);
  }
};

// Starts a part: `prepare(part)` fills it.
template <typename PartOf, typename Result, typename Prepare>
void StartPart(const std::shared_ptr<Answers<Result>>& answers, base::PartitionId partition,
               absl::Span<const uint32_t> indices, absl::Duration deadline, bool blocking,
               Prepare prepare) {
  auto* const part = new PartOf(answers, indices);
  part->partition = partition;
  part->deadline = deadline;
  part->blocking = blocking;
  prepare(*part);
  answers->engine().dispatcher().Start(part);
}

}  // namespace

void MultiGet(Engine& engine, absl::Span<const std::string_view> keys,
              const MultiGetOptions& options, bool blocking,
              Client::MultiCallback<GetResult> done) {
  const std::string_view ns = engine.NamespaceOr(options.ns);
  if (absl::Status bad = Check(ns, keys.size()); !bad.ok()) {
    return done(Client::Results<GetResult>(keys.size(), bad));
  }
  const auto answers = std::make_shared<Answers<GetResult>>(engine, keys.size(), std::move(done));
  Split split(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    if (absl::Status bad = CheckKey(keys[i]); !bad.ok()) {
      answers->Fill(i, bad);
    } else {
      split.Add(i, base::PartitionOfHash(base::HashKey(ns, keys[i])), keys[i].size() + 8);
    }
  }
  const absl::Duration deadline = engine.Deadline(options.timeout);
  const absl::Duration stream_deadline = engine.StreamDeadline(options.timeout);
  split.ForEach(engine.dispatcher(), [&](base::PartitionId partition, auto indices) {
    StartPart<GetPart>(answers, partition, indices, deadline, blocking, [&](GetPart& part) {
      part.Prepare(ns, keys, options.consistency, stream_deadline);
    });
  });
  answers->Filled(0);
}

void MultiSet(Engine& engine, absl::Span<const SetEntry> entries, const CallOptions& options,
              bool blocking, Client::MultiCallback<WriteResult> done) {
  const std::string_view ns = engine.NamespaceOr(options.ns);
  if (absl::Status bad = Check(ns, entries.size()); !bad.ok()) {
    return done(Client::Results<WriteResult>(entries.size(), bad));
  }
  const auto answers =
      std::make_shared<Answers<WriteResult>>(engine, entries.size(), std::move(done));
  Split split(entries.size());
  for (size_t i = 0; i < entries.size(); ++i) {
    const SetEntry& entry = entries[i];
    if (absl::Status bad = Check(entry); !bad.ok()) {
      answers->Fill(i, bad);
    } else if (entry.value.size() > kMaxInlineBytes) {
      auto* const call =
          new Async<WriteCall>(nullptr, [answers, i](absl::StatusOr<WriteResult> result) {
            answers->Fill(i, std::move(result));
          });
      engine.Set(call, ns, entry.key, entry.value,
                 {.ttl = entry.ttl, .max_idle = entry.max_idle, .flags = entry.flags},
                 options.timeout, /*own=*/true);
    } else {
      split.Add(i, base::PartitionOfHash(base::HashKey(ns, entry.key)),
                entry.key.size() + entry.value.size() + 32);
    }
  }
  const absl::Duration deadline = engine.Deadline(options.timeout);
  split.ForEach(engine.dispatcher(), [&](base::PartitionId partition, auto indices) {
    StartPart<SetPart>(answers, partition, indices, deadline, blocking, [&](SetPart& part) {
      part.attempts.rule = RetryRule::kOnlyUnapplied;
      part.attempts.write = true;
      part.Prepare(ns, entries, options.timeout);
    });
  });
  answers->Filled(0);
}

void MultiDelete(Engine& engine, absl::Span<const std::string_view> keys,
                 const CallOptions& options, bool blocking,
                 Client::MultiCallback<WriteResult> done) {
  const std::string_view ns = engine.NamespaceOr(options.ns);
  if (absl::Status bad = Check(ns, keys.size()); !bad.ok()) {
    return done(Client::Results<WriteResult>(keys.size(), bad));
  }
  const auto answers = std::make_shared<Answers<WriteResult>>(engine, keys.size(), std::move(done));
  Split split(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    if (absl::Status bad = CheckKey(keys[i]); !bad.ok()) {
      answers->Fill(i, bad);
    } else {
      split.Add(i, base::PartitionOfHash(base::HashKey(ns, keys[i])), keys[i].size() + 8);
    }
  }
  const absl::Duration deadline = engine.Deadline(options.timeout);
  split.ForEach(engine.dispatcher(), [&](base::PartitionId partition, auto indices) {
    StartPart<DeletePart>(answers, partition, indices, deadline, blocking, [&](DeletePart& part) {
      part.attempts.rule = RetryRule::kOnlyUnapplied;
      part.attempts.write = true;
      part.Prepare(ns, keys);
    });
  });
  answers->Filled(0);
}

}  // namespace atoll::client
