// One operation until its end: sent to its owner, and sent again where that is safe, until its
// deadline. Private to this folder.
#pragma once

#include <memory>
#include <optional>

#include "server/routing/router.h"

namespace atoll::routing {

// What to do with an answer.
enum class Verdict : uint8_t {
  kFinish,
  kRetry,      // it was not carried out, or may be carried out twice
  kAmbiguous,  // it may have been carried out, and must not be again
};

// Pure: `status` is the answer, `fate` whether it may have been carried out.
Verdict Judge(const replication::Operation& operation, const absl::Status& status, rpc::Fate fate);

class Router::Attempt : public std::enable_shared_from_this<Attempt> {
 public:
  // `departs` (may be empty) is called before the first try is written.
  Attempt(Router* router, const replication::Operation& operation, replication::Done done,
          rpc::BatchStream::Departs departs = nullptr);
  // An attempt that was dropped while it waited ends with UNAVAILABLE.
  ~Attempt();

  // Tries now. `by_stream`: kGet by GetStream, which brings a value of any size.
  void Run(bool by_stream = false);
  // Counts as a try that was answered so.
  void OnResult(replication::OperationResult result, rpc::Fate fate);

 private:
  void Send(const ring::Member& owner);
  void Finish(replication::OperationResult result);

  Router* const router_;
  const replication::Operation operation_;
  replication::Done done_;
  rpc::BatchStream::Departs departs_;
  rpc::OperationBytes bytes_;
  absl::Duration pause_;
  bool by_stream_ = false;
  bool counted_ = false;
  // From a refusal that knew a newer map than ours.
  std::optional<ring::Member> hint_;
};

}  // namespace atoll::routing
