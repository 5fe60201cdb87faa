// The operations of one message, carried out together: reads next to each other are one look at the
// store, writes next to each other one message to each replica. Answers are written straight into
// what goes out. Private to this folder.
//
// A batch is used for message after message: Decode, Run, and again once it is idle. In the common
// case (keys of this node's, nothing to wait for) no operation of it needs memory of its own.
// Operations that must wait go on after Run, which keeps the batch, with all that they point into,
// busy until the last of them has ended.
//
// Thread safety: one thread decodes and runs; OnLate may be called by any, as soon as Run has
// begun.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "rpc/wire/decode.h"
#include "rpc/wire/input.h"
#include "rpc/wire/output.h"
#include "server/service/admission.h"
#include "server/service/answers.h"
#include "server/service/cache_handler.h"

namespace atoll::service {

class OperationBatch {
 public:
  // What a message should not exceed by more than one answer.
  static constexpr size_t kMessageBytes = size_t{256} << 10;
  // At what size an answering message goes, where values may be so large: a large one is the last
  // of its message, since whoever keeps it keeps all of that.
  static size_t MessageBytes(uint64_t max_value_bytes) {
    return max_value_bytes > routing::kExchangeValueBytes ? routing::kExchangeValueBytes
                                                          : kMessageBytes;
  }
  // A message of 256 KiB cannot hold more.
  static constexpr size_t kMostOperations = 32'768;

  // An operation whose answer comes later. Lives as long as the batch is busy.
  struct MultiWrite;
  struct Late {
    OperationBatch* batch;
    const replication::Operation* operation;
    MultiWrite* set;  // nullptr: it is alone
    Frame frame;
  };

  // Whoever got the message.
  class Owner {
   public:
    virtual ~Owner() = default;
    // The output has grown to MessageBytes: the owner may take what it holds.
    virtual void OnFull() = 0;
    // Whether there is room for more answers; else Run pauses.
    virtual bool HasRoom() = 0;
    // A bare operation failed.
    virtual void OnFailed(const absl::Status& status) = 0;
    // One for the generated classes, in its turn.
    virtual void StartOther(std::unique_ptr<v1::Operation> operation) = 0;
    // An operation that had to wait has ended: Encode, then Leave. On any thread, with no lock
    // held.
    virtual void OnLate(Late* late, replication::OperationResult result) = 0;
  };

  // The handler outlives the batch.
  explicit OperationBatch(CacheHandler* handler);
  ~OperationBatch();
  OperationBatch(const OperationBatch&) = delete;
  OperationBatch& operator=(const OperationBatch&) = delete;

  wire::Input& input() { return input_; }

  // Reads an ExchangeRequest from the input. INVALID_ARGUMENT if it is none; then nothing may be
  // run.
  absl::Status Decode();
  // Reads one bare request of this kind: kGet, kSet, kMultiGet, kMultiSet, kMultiDelete.
  absl::Status DecodeOne(wire::Kind kind);
  // Of what was decoded: keys.
  size_t count() const { return count_; }
  bool refuse_wrong_owner() const { return refuse_wrong_owner_; }
  uint64_t sent_us() const { return sent_us_; }
  uint64_t max_value_bytes() const { return max_value_bytes_; }
  bool answer_at_once() const { return answer_at_once_; }

  // Carries all of it out. The batch is busy from then on, until Leave has been called once by the
  // caller and once for each late operation. False: it has paused for want of room, and is to be
  // Resumed, or Abandoned, before the caller's Leave.
  bool Run(const CallInfo& info, wire::Output* output, Owner* owner);
  bool Resume();
  void Abandon();
  // The same, but that all of it is refused.
  void Refuse(const CallInfo& info, const absl::Status& status, wire::Output* output, Owner* owner);
  // Whether that was the last: the batch may be used again.
  bool Leave();
  // Operations that were late, after Run.
  size_t late() const { return late_count_; }

  // Writes a late operation's answer, if it is complete by that. Calls for one batch must not
  // overlap.
  void Encode(Late* late, replication::OperationResult result, wire::Output* output);
  // Forgets the message.
  void Clear();

  // For the owner, while the batch is busy.
  std::shared_ptr<void> keep;
  size_t charged = 0;

 private:
  class Reads;
  class Writes;
  // What is carried out at once: a range of the lists below.
  struct Step {
    enum class Kind : uint8_t { kGets, kMultiGet, kWrites, kMultiWrite, kOther, kError };
    Kind kind;
    Frame frame;  // but of kGets and kWrites, which have one for each
    size_t first;
    size_t count;
  };
  struct Get {
    Frame frame;
    uint64_t if_version_not;
    uint32_t timeout_ms;
    uint32_t ns;  // its place in namespaces_
    bool bounded;
  };

  // Decoding. Nothing is carried out yet, since the message as a whole may turn out to be one for
  // the generated parser.
  absl::Status DecodeOther();
  absl::Status DecodeOneOther(wire::Kind kind);
  bool Add(const wire::Operation& operation);
  void AddGet(const wire::GetRequest& get, const Frame& frame, uint32_t timeout_ms);
  void AddSet(const wire::SetRequest& set, const Frame& frame, uint32_t timeout_ms);
  void AddDelete(const wire::DeleteRequest& del, const Frame& frame, uint32_t timeout_ms);
  void AddMultiGet(const wire::MultiGetRequest& get, const Frame& frame, uint32_t timeout_ms);
  void AddMultiSet(const wire::MultiSetRequest& set, const Frame& frame, uint32_t timeout_ms);
  void AddMultiDelete(const wire::MultiDeleteRequest& del, const Frame& frame, uint32_t timeout_ms);
  // Takes back the writes from `first` on.
  void DropWrites(size_t first);
  void AddOther(std::unique_ptr<v1::Operation> operation, Frame::Form form = Frame::Form::kResult);
  void AddError(const Frame& frame, const absl::Status& status);
  // Joins the step before if it is of this kind.
  void AddToStep(Step::Kind kind, size_t place);
  static std::unique_ptr<v1::Operation> NewOther(const Frame& frame, uint32_t timeout_ms);
  std::unique_ptr<v1::Operation> MultiGetOf(const wire::MultiGetRequest& get, const Frame& frame,
                                            uint32_t timeout_ms);
  std::unique_ptr<v1::Operation> MultiSetOf(const wire::MultiSetRequest& set, const Frame& frame,
                                            uint32_t timeout_ms);
  std::unique_ptr<v1::Operation> MultiDeleteOf(const wire::MultiDeleteRequest& del,
                                               const Frame& frame, uint32_t timeout_ms);
  static absl::Duration TimeoutOf(uint32_t timeout_ms);
  // Makes it the last of `namespaces_`.
  absl::Status Resolve(std::string_view name);
  const cluster::NamespacePtr& ns() const { return namespaces_.back(); }
  store::Key KeyOf(std::string_view key) const;
  // Value, times and flags.
  absl::Status PrepareSet(const wire::Entry& entry, replication::Operation* out);
  void PushWrite(std::string_view key, const Frame& frame, uint32_t timeout_ms,
                 replication::Operation write);

  // Running.
  void Start(const CallInfo& info, wire::Output* output, Owner* owner);
  void RunStep(const Step& step);
  // Piece by piece, until the turn is over. False: there is no room now.
  bool RunInTurn(Step* step);
  void EndRun();
  bool TurnIsOver();
  // Of the burden that a test puts on this node: so many operations were carried out.
  void Burn(size_t count) const;
  bool burns() const { return handler_->limits_.test_burn > absl::ZeroDuration(); }
  void RunMultiGet(const Step& step);
  void RunMultiWrite(const Step& step);
  void RefuseOne(const Frame& frame, const absl::Status& status);
  void RefuseStep(const Step& step, const absl::Status& status);
  void ExecuteGet(size_t index);
  void AppendResult(const Frame& frame, const replication::OperationResult& result, int64_t now_ms,
                    wire::Output* output);
  void AppendMultiWrite(const MultiWrite& set, wire::Output* output);
  void AppendFailure(const Frame& frame, const absl::Status& status, wire::Output* output);
  void Flush();
  // Counts as one more that Leave is called for.
  Late* MakeLate(const Frame& frame, const replication::Operation* operation, MultiWrite* set);

  CacheHandler* const handler_;
  wire::Input input_;
  bool refuse_wrong_owner_ = false;
  bool answer_at_once_ = false;
  uint64_t sent_us_ = 0;
  uint64_t max_value_bytes_ = 0;

  // Of the message.
  size_t decoded_ = 0;  // operations
  size_t count_ = 0;    // those for admission: a multi call counts each key; no others
  size_t reads_ = 0;
  std::vector<Step> steps_;
  std::vector<store::Key> keys_;
  std::vector<Get> gets_;  // beside keys_
  std::vector<replication::Operation> writes_;
  std::vector<Frame> write_frames_;
  std::vector<std::unique_ptr<v1::Operation>> others_;
  std::vector<absl::Status> errors_;
  // Those that were named, in order; the name of the last.
  std::vector<cluster::NamespacePtr> namespaces_;
  std::string_view last_name_;

  // Of the run.
  routing::CallOptions options_;
  absl::Duration now_;
  absl::Duration deadline_;  // of all
  int64_t now_ms_ = 0;       // of the cluster's clock, Unix
  wire::Output* output_ = nullptr;
  Owner* owner_ = nullptr;
  size_t late_count_ = 0;
  // Of the thread's processor time, in nanoseconds; 0: the message is too short for a look at it.
  int64_t turn_start_ = 0;
  absl::Duration turn_;
  size_t next_step_ = 0;       // what of the steps is not done is as it stands there
  size_t begun_ = 0;           // operations
  absl::Status turn_is_over_;  // not OK: the rest is refused so
  std::string refusal_;        // serialized
  std::vector<std::unique_ptr<replication::Operation>> late_gets_;
  std::vector<std::unique_ptr<MultiWrite>> multi_writes_;
  CacheHandler::Admission admission_;
  // Run itself, and late operations. Released and acquired: whoever is last sees all that was done.
  std::atomic<size_t> busy_{0};
};

}  // namespace atoll::service
