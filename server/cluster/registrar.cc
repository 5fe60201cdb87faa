#include "server/cluster/registrar.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/strings.h"

namespace atoll::cluster {
namespace {

bool IsAway(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

}  // namespace

Registrar::Registrar(Coordinator* coordinator, Keys keys, internal::v1::NodeDescriptor descriptor,
                     absl::Duration ttl, std::function<void(bool up)> on_state)
    : coordinator_(coordinator),
      keys_(std::move(keys)),
      descriptor_(std::move(descriptor)),
      ttl_(ttl),
      on_state_(std::move(on_state)) {}

Registrar::~Registrar() { Stop(); }

absl::Status Registrar::Register() {
  // The lease in use carries the controller's key too: it is replaced only when it has ended.
  LeaseId lease = this->lease();
  if (lease != 0) {
    absl::Status kept = coordinator_->KeepAlive(lease);
    if (absl::IsNotFound(kept)) {
      lease = 0;
    } else if (!kept.ok()) {
      return kept;
    }
  }
  const bool is_new = lease == 0;
  if (is_new) {
    absl::StatusOr<LeaseId> granted = coordinator_->GrantLease(ttl_);
    if (!granted.ok()) return granted.status();
    lease = *granted;
  }
  absl::Status result = PutDescriptor(lease);
  if (!result.ok() && is_new) {
    coordinator_->RevokeLease(lease).IgnoreError();
    lease = 0;
  }
  base::MutexLock lock(mu_);
  lease_ = lease;
  if (result.ok()) gone_ = false;
  return result;
}

absl::Status Registrar::PutDescriptor(LeaseId lease) {
  const std::string key = keys_.node(descriptor_.node().name());
  absl::StatusOr<Lookup> lookup = coordinator_->Get(key);
  if (!lookup.ok()) return lookup.status();
  Condition condition = Condition::Absent(key);
  if (lookup->kv) {
    internal::v1::NodeDescriptor other;
    const bool readable = other.ParseFromString(lookup->kv->value);
    const bool own = readable && other.node().incarnation() == descriptor_.node().incarnation();
    if (own && lookup->kv->lease == lease) return absl::OkStatus();
    // A restarted process on the same data folder takes its own name over at once: the folder's
    // lock says that the old one is gone.
    if (!own && !(readable && other.data_uuid() == descriptor_.data_uuid())) {
      return absl::AlreadyExistsError(
          absl::StrCat("node_name: \"", descriptor_.node().name(),
                       "\" is registered by a living node with another data folder"));
    }
    condition = Condition::Unchanged(*lookup->kv);
  }
  absl::StatusOr<TxnResult> written = coordinator_->Txn(
      {std::move(condition)}, {Mutation::Put(key, descriptor_.SerializeAsString(), lease)});
  if (!written.ok()) return written.status();
  if (!written->succeeded) return absl::AbortedError("node registration: changed meanwhile");
  return absl::OkStatus();
}

absl::Status Registrar::Start(absl::Duration name_wait) {
  constexpr absl::Duration kPoll = absl::Milliseconds(200);
  absl::Duration waited;
  bool told = false;
  while (true) {
    absl::Status status = Register();
    if (status.ok()) break;
    if (!absl::IsAlreadyExists(status) && !absl::IsAborted(status)) return status;
    if (waited >= name_wait) return status;
    if (!told) {
      base::LogInfo(absl::StrCat(status.message(), "; waiting for its lease to end"));
    }
    told = true;
    base::MutexLock lock(mu_);
    if (stopping_) return absl::CancelledError("stopped");
    changed_.WaitFor(mu_, kPoll);
    waited += kPoll;
  }
  SetUp(true);
  thread_ = std::thread([this] { Run(); });
  return absl::OkStatus();
}

void Registrar::Stop() {
  StopKeepAlive();
  if (thread_.joinable()) thread_.join();
  LeaseId lease = 0;
  {
    base::MutexLock lock(mu_);
    lease = std::exchange(lease_, 0);
    if (!up_) return;
    up_ = false;
  }
  if (lease != 0) coordinator_->RevokeLease(lease).IgnoreError();
}

void Registrar::StopKeepAlive() {
  base::MutexLock lock(mu_);
  stopping_ = true;
  changed_.SignalAll();
}

void Registrar::OnRegistrationGone() {
  base::MutexLock lock(mu_);
  gone_ = true;
  changed_.SignalAll();
}

LeaseId Registrar::lease() const {
  base::MutexLock lock(mu_);
  return lease_;
}

bool Registrar::up() const {
  base::MutexLock lock(mu_);
  return up_;
}

void Registrar::SetUp(bool up) {
  {
    base::MutexLock lock(mu_);
    if (up_ == up) return;
    up_ = up;
  }
  on_state_(up);
}

bool Registrar::KeepOnce() {
  LeaseId lease = 0;
  bool gone = false;
  {
    base::MutexLock lock(mu_);
    lease = lease_;
    gone = gone_;
  }
  absl::Status status = absl::NotFoundError("no lease");
  if (lease != 0 && !gone) status = coordinator_->KeepAlive(lease);
  if (absl::IsNotFound(status)) {
    base::LogWarning("the node's registration has ended: registering again");
    status = Register();
    if (absl::IsAlreadyExists(status)) base::LogError(base::AsStd(status.message()));
  }
  return !IsAway(status);
}

void Registrar::Run() {
  const absl::Duration interval = ttl_ / 3;
  // Sooner after a failure: a lease that has little left should not wait.
  const absl::Duration retry = std::min(interval, absl::Milliseconds(300));
  absl::Duration wait = interval;
  while (true) {
    {
      base::MutexLock lock(mu_);
      if (!stopping_ && !gone_) changed_.WaitFor(mu_, wait);
      if (stopping_) return;
    }
    const bool up = KeepOnce();
    SetUp(up);
    wait = up && lease() != 0 ? interval : retry;
    base::MutexLock lock(mu_);
    if (gone_ && !stopping_) {  // it could not be mended now
      gone_ = false;
      changed_.WaitFor(mu_, retry);
    }
  }
}

}  // namespace atoll::cluster
