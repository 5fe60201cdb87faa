#include "client/nodes.h"

#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "base/clock.h"
#include "client/step_aside.h"
#include "client/translate.h"
#include "rpc/batch_stream.h"
#include "rpc/channel.h"
#include "rpc/completion_queue.h"
#include "rpc/credentials.h"
#include "rpc/grpc_process.h"
#include "rpc/lone_stream.h"
#include "rpc/timers.h"

namespace atoll::client {
namespace {

std::shared_ptr<grpc::Channel> Connect(const std::string& address,
                                       const std::shared_ptr<grpc::ChannelCredentials>& credentials,
                                       const std::string& server_name) {
  grpc::ChannelArguments arguments = rpc::ChannelArguments();
  if (!server_name.empty()) arguments.SetSslTargetNameOverride(server_name);
  return grpc::CreateCustomChannel(address, credentials, arguments);
}

// Those of all clients: gRPC has one set of sockets in a process, and each of their pollers takes
// turns at waiting for it. The lock comes before each one's own.
struct AllNodes {
  static AllNodes& OfProcess() {
    static auto* const all = new AllNodes;
    return *all;
  }
  base::Mutex mu;
  absl::flat_hash_set<Nodes*> nodes ABSL_GUARDED_BY(mu);
};

}  // namespace

IoThread::IoThread() : poller(std::make_unique<rpc::Poller>("atoll-client")) {
  timers = std::make_unique<rpc::Timers>(poller->queue());
  aside = std::make_unique<StepAside>(poller->queue());
  poller->Start();
}

IoThread::~IoThread() {
  aside->Stop();
  timers->Stop();
  poller->Stop();
}

NodeLink::NodeLink(std::string address, absl::Span<const std::unique_ptr<IoThread>> io_in,
                   size_t first, std::shared_ptr<grpc::ChannelCredentials> credentials,
                   const std::string& server_name, const ClientOptions& options)
    : address_(std::move(address)),
      io_(io_in),
      first_io_(first),
      credentials_(std::move(credentials)),
      server_name_(server_name),
      // The limits are the node's: each stream has its part of them, where that is worth having.
      most_streams_(options.max_queued_operations >= kMostStreams * kFullOperations &&
                            options.max_queued_bytes >= 2 * kMostStreams * kFullBytes
                        ? kMostStreams
                        : 1),
      bulk_(Connection()) {
  stream_options_.max_operations = options.max_queued_operations / most_streams_;
  stream_options_.max_bytes = options.max_queued_bytes / most_streams_;
  stream_options_.paced = true;
  const std::shared_ptr<grpc::Channel> channel = Connection();
  direct_[0] = std::make_unique<rpc::BatchStream>(channel, queue(), timers(), stream_options_);
  lone_ = std::make_unique<rpc::LoneStream>(channel, rpc::LoneStream::Options());
  rpc::BatchStreamOptions forwarding = stream_options_;
  forwarding.refuse_wrong_owner = false;
  forwarding_ = std::make_unique<rpc::BatchStream>(channel, queue(), timers(), forwarding);
  rpc::BatchStreamOptions large = forwarding;
  large.max_value_bytes = kMostWholeBytes;
  large_ = std::make_unique<rpc::BatchStream>(bulk_, queue(), timers(), large);
}

std::shared_ptr<grpc::Channel> NodeLink::Connection() const {
  return Connect(address_, credentials_, server_name_);
}

rpc::BatchStream& NodeLink::DirectOfSeveral() {
  const size_t open = open_.load(std::memory_order_acquire);
  size_t least = 0;
  for (size_t i = 1; i < open; ++i) {
    if (!Full(*direct_[i])) return *direct_[i];
    if (direct_[i]->outstanding() < direct_[least]->outstanding()) least = i;
  }
  // More of it is the last that an overloaded node needs.
  if (open == most_streams_ || direct_[0]->slowed()) return *direct_[least];
  base::MutexLock lock(mu_);
  // Another thread may have been first; it is for the next call then.
  if (shut_down_ || open_.load(std::memory_order_relaxed) != open) return *direct_[least];
  const IoThread& thread = io(open);
  direct_[open] = std::make_unique<rpc::BatchStream>(Connection(), thread.poller->queue(),
                                                     thread.timers.get(), stream_options_);
  open_.store(open + 1, std::memory_order_release);
  return *direct_[open];
}

NodeLink::~NodeLink() = default;

grpc::CompletionQueue* NodeLink::queue() const { return io(0).poller->queue(); }

bool NodeLink::CallerIsAlone() {
  // One that comes between two calls of another makes a pause of this many.
  constexpr int kQuiet = 16;
  const int quiet = quiet_calls_.load(std::memory_order_relaxed);
  if (direct_[0]->outstanding() > 0 || direct_[0]->slowed()) {
    if (quiet != 0) quiet_calls_.store(0, std::memory_order_relaxed);
    return false;
  }
  if (quiet >= kQuiet) return true;
  quiet_calls_.store(quiet + 1, std::memory_order_relaxed);
  return false;
}

void NodeLink::RecallPoller() {
  // With several threads none steps aside.
  if (io_.size() == 1) io_[0]->aside->Recall();
}

template <typename Visit>
void NodeLink::ForEachStream(Visit visit) const {
  const size_t open = open_.load(std::memory_order_acquire);
  for (size_t i = 0; i < open; ++i) visit(*direct_[i]);
  visit(*forwarding_);
  visit(*large_);
}

size_t NodeLink::outstanding() const {
  size_t sum = 0;
  ForEachStream([&sum](const rpc::BatchStream& stream) { sum += stream.outstanding(); });
  return sum;
}

uint64_t NodeLink::messages() const {
  uint64_t sum = lone_->messages();
  ForEachStream([&sum](const rpc::BatchStream& stream) { sum += stream.messages(); });
  return sum;
}

uint64_t NodeLink::slowdowns() const {
  uint64_t sum = 0;
  ForEachStream([&sum](const rpc::BatchStream& stream) { sum += stream.slowdowns(); });
  return sum;
}

void NodeLink::Shutdown() {
  {
    base::MutexLock lock(mu_);
    shut_down_ = true;
  }
  ForEachStream([](rpc::BatchStream& stream) { stream.Shutdown(); });
  lone_->Shutdown();
}

bool NodeLink::drained() const {
  bool all = true;
  ForEachStream([&all](const rpc::BatchStream& stream) { all = all && stream.drained(); });
  return all;
}

void NodeLink::Stop() {
  Shutdown();
  ForEachStream([](rpc::BatchStream& stream) { stream.Stop(); });
  lone_->Stop();
}

absl::StatusOr<std::unique_ptr<Nodes>> Nodes::Create(const ClientOptions& options) {
  rpc::PrepareGrpcProcess();
  if (absl::Status valid = options.Validate(); !valid.ok()) return valid;
  const Credentials& files = options.credentials;
  auto credentials = rpc::ChannelCredentials(
      {.ca = files.ca_file, .certificate = files.certificate_file, .key = files.key_file},
      files.tls);
  if (!credentials.ok()) return credentials.status();
  return std::unique_ptr<Nodes>(new Nodes(options, *std::move(credentials)));
}

Nodes::Nodes(const ClientOptions& options, std::shared_ptr<grpc::ChannelCredentials> credentials)
    : options_(options), credentials_(std::move(credentials)) {
  for (int i = 0; i < options.io_threads; ++i) io_.push_back(std::make_unique<IoThread>());
  AllNodes& all = AllNodes::OfProcess();
  base::MutexLock lock(all.mu);
  all.nodes.insert(this);
}

Nodes::~Nodes() {
  {
    AllNodes& all = AllNodes::OfProcess();
    base::MutexLock lock(all.mu);
    all.nodes.erase(this);
  }
  Shutdown();
  Stop();
}

LinkPtr Nodes::LinkLocked(const std::string& address) {
  if (closed_) return nullptr;
  LinkPtr& link = links_[address];
  if (link == nullptr) {
    link = std::make_shared<NodeLink>(address, io_, next_io_++, credentials_,
                                      options_.credentials.server_name, options_);
    link->troubled_.store(breakers_.Knows(address), std::memory_order_relaxed);
  }
  return link;
}

LinkPtr Nodes::Link(const std::string& address) {
  base::MutexLock lock(mu_);
  return LinkLocked(address);
}

LinkPtr Nodes::LinkIfAllowed(const std::string& address) {
  base::MutexLock lock(mu_);
  if (!breakers_.Allows(address, base::Clock::Real().BootTime())) return nullptr;
  return LinkLocked(address);
}

const std::vector<std::string>& Nodes::AskableLocked() const {
  return options_.route_to_owners && !members_.empty() ? members_ : options_.endpoints;
}

LinkPtr Nodes::AnyLink(const std::string& avoid) {
  base::MutexLock lock(mu_);
  const std::vector<std::string>& askable = AskableLocked();
  const absl::Duration now = base::Clock::Real().BootTime();
  const size_t start = next_any_++;
  const std::string* choice = nullptr;
  int best = 0;
  for (size_t i = 0; i < askable.size(); ++i) {
    const std::string& address = askable[(start + i) % askable.size()];
    // One that is out is better than none at all.
    const int rank = address == avoid ? 1 : breakers_.IsOut(address, now) ? 2 : 3;
    if (rank > best) {
      best = rank;
      choice = &address;
    }
  }
  if (choice == nullptr) return nullptr;
  breakers_.Allows(*choice, now);  // Notes the trial, where it is one.
  return LinkLocked(*choice);
}

void Nodes::Record(const std::string& address, bool ok) {
  base::MutexLock lock(mu_);
  breakers_.Record(address, ok, base::Clock::Real().BootTime(), AskableLocked().size());
  const auto link = links_.find(address);
  if (link == links_.end()) return;
  link->second->troubled_.store(breakers_.Knows(address), std::memory_order_relaxed);
}

void Nodes::SetMembers(std::vector<std::string> addresses) {
  std::vector<LinkPtr> given_up;
  {
    base::MutexLock lock(mu_);
    members_ = std::move(addresses);
    const auto wanted = [this](const std::string& address) ABSL_NO_THREAD_SAFETY_ANALYSIS {
      return std::find(members_.begin(), members_.end(), address) != members_.end() ||
             std::find(options_.endpoints.begin(), options_.endpoints.end(), address) !=
                 options_.endpoints.end();
    };
    for (auto link = links_.begin(); link != links_.end();) {
      if (wanted(link->first)) {
        ++link;
        continue;
      }
      breakers_.Forget(link->first);
      link->second->troubled_.store(true, std::memory_order_relaxed);
      given_up.push_back(link->second);
      retired_.push_back(std::move(link->second));
      links_.erase(link++);
    }
  }
  for (const LinkPtr& link : given_up) link->Shutdown();
  given_up.clear();
  // Those given up earlier, and over by now.
  base::MutexLock lock(mu_);
  std::erase_if(retired_, [this](const LinkPtr& link) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (link.use_count() > 1 || !link->drained()) return false;
    retired_messages_ += link->messages();
    retired_slowdowns_ += link->slowdowns();
    return true;
  });
}

std::vector<std::string> Nodes::Candidates() const {
  base::MutexLock lock(mu_);
  std::vector<std::string> all = options_.endpoints;
  if (!options_.route_to_owners) return all;
  for (const std::string& member : members_) {
    if (std::find(all.begin(), all.end(), member) == all.end()) all.push_back(member);
  }
  return all;
}

uint64_t Nodes::messages() const {
  base::MutexLock lock(mu_);
  uint64_t sum = retired_messages_;
  for (const auto& [address, link] : links_) sum += link->messages();
  for (const LinkPtr& link : retired_) sum += link->messages();
  return sum;
}

uint64_t Nodes::slowdowns() const {
  base::MutexLock lock(mu_);
  uint64_t sum = retired_slowdowns_;
  for (const auto& [address, link] : links_) sum += link->slowdowns();
  for (const LinkPtr& link : retired_) sum += link->slowdowns();
  return sum;
}

void Nodes::Shutdown() {
  std::vector<LinkPtr> all;
  {
    base::MutexLock lock(mu_);
    closed_ = true;
    all = retired_;
    for (const auto& [address, link] : links_) all.push_back(link);
  }
  for (const LinkPtr& link : all) link->Shutdown();
  for (const auto& io : io_) io->aside->Stop();
}

void Nodes::LoneCall() {
  if (!GoAside()) return;
  AllNodes& all = AllNodes::OfProcess();
  base::MutexLock lock(all.mu);
  for (Nodes* nodes : all.nodes) nodes->GoAside();
}

bool Nodes::GoAside() {
  // With several pollers one of them would be in the way all the same.
  if (io_.size() > 1 || io_[0]->aside->away()) return false;
  if (other_calls_.load(std::memory_order_relaxed) > 0) return false;
  {
    base::MutexLock lock(mu_);
    for (const auto& [address, link] : links_) {
      if (link->outstanding() > 0) return false;
    }
  }
  io_[0]->aside->Ask();
  return true;
}

void Nodes::CallBegins() {
  other_calls_.fetch_add(1, std::memory_order_relaxed);
  for (const auto& io : io_) io->aside->Recall();
}

void Nodes::Stop() {
  if (stopped_) return;
  stopped_ = true;
  std::vector<LinkPtr> all;
  {
    base::MutexLock lock(mu_);
    all.swap(retired_);
    for (const auto& [address, link] : links_) all.push_back(link);
  }
  for (const LinkPtr& link : all) link->Stop();
  // Threads first: a last callback may hold a link.
  io_.clear();
}

}  // namespace atoll::client
