// The calls on one key: checked, prepared and started.
//
// Thread safety: all functions. A call answers once, also where it is refused at once.
#pragma once

#include <cstdint>
#include <string_view>

#include "atoll/v1/cache.pb.h"
#include "client/answered_call.h"
#include "client/engine.h"
#include "client/include/atoll/options.h"
#include "client/include/atoll/value.h"
#include "client/reads.h"
#include "client/write_call.h"

namespace atoll::client {

// Touches; a large value is then fetched by a stream of its own.
class GetAndTouchCall : public AnsweredCall<GetResult> {
 public:
  void Start(Engine& through, std::string_view ns, std::string_view key,
             const TouchOptions& options);

 private:
  void Finish(rpc::BatchEnd& end) override;

  Engine* through_ = nullptr;
  v1::GetRequest get_;
  absl::Duration stream_deadline_;
};

// `own`: arguments may be gone before the call ends. (Where it is missing they may.)
void StartGet(Engine& engine, std::string_view key, const GetOptions& options, bool own,
              ReadCall& call);
void StartSet(Engine& engine, std::string_view key, std::string_view value,
              const SetOptions& options, bool own, WriteCall& call);
void StartDelete(Engine& engine, std::string_view key, const CallOptions& options, WriteCall& call);
void StartAdd(Engine& engine, std::string_view key, std::string_view value,
              const SetOptions& options, MessageCall<WriteResult>& call);
void StartReplace(Engine& engine, std::string_view key, std::string_view value,
                  const SetOptions& options, MessageCall<WriteResult>& call);
void StartCompareAndSwap(Engine& engine, std::string_view key, std::string_view value,
                         uint64_t expected_version, const SetOptions& options,
                         MessageCall<WriteResult>& call);
void StartTouch(Engine& engine, std::string_view key, const TouchOptions& options,
                MessageCall<WriteResult>& call);
void StartGetAndTouch(Engine& engine, std::string_view key, const TouchOptions& options,
                      GetAndTouchCall& call);
void StartIncrement(Engine& engine, std::string_view key, int64_t delta,
                    const CounterOptions& options, MessageCall<CounterResult>& call);
void StartDecrement(Engine& engine, std::string_view key, int64_t delta,
                    const CounterOptions& options, MessageCall<CounterResult>& call);
void StartAppend(Engine& engine, std::string_view key, std::string_view suffix,
                 const CallOptions& options, MessageCall<WriteResult>& call);
void StartPrepend(Engine& engine, std::string_view key, std::string_view prefix,
                  const CallOptions& options, MessageCall<WriteResult>& call);

}  // namespace atoll::client
