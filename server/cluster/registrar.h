// Keeps a node registered: its descriptor under a lease, the lease alive. Internal to cluster/.
//
// A lease that has ended is replaced and the node registered again, with the same incarnation.
//
// Thread safety: all methods. One thread, from Start to Stop. The callback runs on it, with no lock
// held.
#pragma once

#include <functional>
#include <string>
#include <thread>
#include <utility>

#include "atoll/internal/v1/storage.pb.h"
#include "base/mutex.h"
#include "server/cluster/coordinator.h"
#include "server/cluster/keys.h"

namespace atoll::cluster {

class Registrar {
 public:
  // `on_state` is told when the coordinator was lost and when it came back.
  Registrar(Coordinator* coordinator, Keys keys, internal::v1::NodeDescriptor descriptor,
            absl::Duration ttl, std::function<void(bool up)> on_state);
  ~Registrar();

  // Before Start.
  void SetDescriptor(internal::v1::NodeDescriptor descriptor) {
    descriptor_ = std::move(descriptor);
  }
  // Registers. While another node of this name lives, waits, at most so long: ALREADY_EXISTS.
  absl::Status Start(absl::Duration name_wait);
  // Ends the thread, and the lease if the coordinator answers.
  void Stop();
  // The lease ends in time and is not replaced.
  void StopKeepAlive();
  // The registration was seen to be gone: look at once.
  void OnRegistrationGone();

  // 0 before Start and while there is none.
  LeaseId lease() const;
  bool up() const;

 private:
  absl::Status Register();
  absl::Status PutDescriptor(LeaseId lease);
  void Run();
  // True if the coordinator answered.
  bool KeepOnce();
  void SetUp(bool up);

  Coordinator* const coordinator_;
  const Keys keys_;
  internal::v1::NodeDescriptor descriptor_;  // const from Start
  const absl::Duration ttl_;
  const std::function<void(bool up)> on_state_;

  mutable base::Mutex mu_;
  base::CondVar changed_;
  LeaseId lease_ ABSL_GUARDED_BY(mu_) = 0;
  bool up_ ABSL_GUARDED_BY(mu_) = false;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  bool gone_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;  // of the owner's thread
};

}  // namespace atoll::cluster
