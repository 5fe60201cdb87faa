#include "server/cluster/membership.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/status.h"
#include "base/strings.h"
#include "server/cluster/descriptor.h"
#include "server/cluster/keys.h"
#include "server/cluster/listeners.h"
#include "server/cluster/map_publisher.h"
#include "server/cluster/namespaces.h"
#include "server/cluster/registrar.h"

namespace atoll::cluster {
namespace {

using internal::v1::AskControllerRequest;
using internal::v1::AskControllerResponse;
using internal::v1::ControllerRecord;

constexpr size_t kMaxWaitingRequests = 1024;

absl::Status NotController() {
  return base::WithReason(absl::FailedPreconditionError("this node is not the controller"),
                          base::reason::kNotController);
}

absl::Status NoController() { return absl::UnavailableError("no controller is known"); }

bool HasPrefix(std::string_view key, std::string_view prefix) {
  return key.substr(0, prefix.size()) == prefix;
}

ControllerOptions OptionsOfController(const MembershipOptions& options) {
  ControllerOptions controller = options.controller;
  controller.cluster = options.cluster;
  controller.cluster_id = options.config.cluster_id();
  controller.replication_factor = options.config.replication_factor();
  return controller;
}

ControllerRecord RecordOf(const MembershipOptions& options) {
  ControllerRecord record;
  record.set_node(options.descriptor.node().name());
  record.set_incarnation(options.descriptor.node().incarnation());
  return record;
}

class MembershipImpl final : public Membership {
 public:
  MembershipImpl(const MembershipOptions& options, Coordinator* coordinator, PeerCaller* peers,
                 const base::Clock* clock)
      : options_(options),
        keys_(options.cluster),
        name_(options.descriptor.node().name()),
        self_(options.descriptor.node().incarnation()),
        coordinator_(coordinator),
        peers_(peers),
        clock_(clock),
        publisher_(keys_, OptionsOfController(options), RecordOf(options), coordinator, clock),
        registrar_(coordinator, keys_, options.descriptor, options.node_lease,
                   [this](bool up) { OnCoordinator(up); }),
        map_(std::make_shared<const ring::PlacementMap>()) {}

  ~MembershipImpl() override { Stop(); }

  void SetListeners(const std::vector<v1::Listener>& listeners) override;
  absl::Status Start() override;
  absl::Status WaitForMap(absl::Duration timeout) override;
  absl::Status Leave(absl::Duration timeout) override;
  void Stop() override;
  void HandleAskController(const AskControllerRequest& request, AskDone done) override;
  void StopKeepAlive() override { registrar_.StopKeepAlive(); }

  base::Incarnation self() const override { return self_; }
  const std::string& node_name() const override { return name_; }
  MapPtr map() const override {
    base::MutexLock lock(mu_);
    return map_;
  }
  void AddListener(ClusterListener* listener) override {
    listeners_.Add(listener);
    Wake();
  }
  void RemoveListener(ClusterListener* listener) override { listeners_.Remove(listener); }
  NamespacePtr FindNamespace(std::string_view name) const override {
    base::MutexLock lock(mu_);
    return namespaces_.Find(name);
  }
  NamespacePtr FindNamespace(base::NamespaceId id) const override {
    base::MutexLock lock(mu_);
    return namespaces_.Find(id);
  }
  std::vector<NamespacePtr> namespaces() const override {
    base::MutexLock lock(mu_);
    return namespaces_.All();
  }
  void AskController(AskControllerRequest request, AskDone done) override;
  bool coordinator_up() const override { return registrar_.up(); }
  bool is_controller() const override { return in_office_.load(std::memory_order_relaxed); }
  base::Incarnation controller() const override {
    if (is_controller()) return self_;
    base::MutexLock lock(mu_);
    return base::Incarnation(controller_ ? controller_->incarnation() : 0);
  }

  absl::StatusOr<NamespacePtr> CreateNamespace(std::string_view name,
                                               const v1::NamespaceSettings& settings) override {
    return Seen(CreateNamespaceIn(coordinator_, keys_, name, settings));
  }
  absl::StatusOr<NamespacePtr> UpdateNamespace(std::string_view name,
                                               const v1::NamespaceSettings& settings) override {
    return Seen(UpdateNamespaceIn(coordinator_, keys_, name, settings));
  }
  absl::Status DropNamespace(std::string_view name) override {
    return Seen(DropNamespaceIn(coordinator_, keys_, name)).status();
  }

 private:
  // An answer of the controller that waits until this node has the map that it names.
  struct Answer {
    AskControllerResponse response;
    AskDone done;
    absl::Duration deadline;
  };
  struct Question {
    AskControllerRequest request;
    AskDone done;
  };

  void OnCoordinator(bool up);
  void Wake();
  void Run();
  void TakeNews(const std::deque<WatchUpdate>& news);
  void TakeEvent(const WatchEvent& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void TakeControllerKey(const WatchEvent& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void TakeMap(MapPtr map) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Tell();
  void AnswerWaiting();
  void Govern();
  void Campaign();
  void AnswerAll(std::vector<Question> questions, const absl::Status& status);
  std::vector<Registration> LivingNodes() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void OnAnswer(absl::StatusOr<AskControllerResponse> response, AskDone done);
  absl::StatusOr<NamespacePtr> Seen(absl::StatusOr<NamespaceWrite> write);

  MembershipOptions options_;  // const from Start
  const Keys keys_;
  const std::string name_;
  const base::Incarnation self_;
  Coordinator* const coordinator_;
  PeerCaller* const peers_;
  const base::Clock* const clock_;
  // Of the membership's thread.
  MapPublisher publisher_;
  // Relaxed: a hint to those who ask; the thread knows.
  std::atomic<bool> in_office_{false};
  Registrar registrar_;
  Listeners listeners_;

  mutable base::Mutex mu_;
  base::CondVar changed_;  // work for the thread
  base::CondVar seen_;     // news were taken in
  MapPtr map_ ABSL_GUARDED_BY(mu_);
  NamespaceTable namespaces_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, Registration> nodes_ ABSL_GUARDED_BY(mu_);
  // Who holds the controller's key; nothing if nobody does.
  std::optional<ControllerRecord> controller_ ABSL_GUARDED_BY(mu_);
  int64_t controller_revision_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t seen_revision_ ABSL_GUARDED_BY(mu_) = 0;
  bool namespaces_changed_ ABSL_GUARDED_BY(mu_) = false;
  bool coordinator_back_ ABSL_GUARDED_BY(mu_) = false;
  std::deque<WatchUpdate> news_ ABSL_GUARDED_BY(mu_);
  std::vector<Question> questions_ ABSL_GUARDED_BY(mu_);
  std::vector<Answer> answers_ ABSL_GUARDED_BY(mu_);
  bool woken_ ABSL_GUARDED_BY(mu_) = false;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
  std::unique_ptr<Watch> watch_;
};

void MembershipImpl::SetListeners(const std::vector<v1::Listener>& listeners) {
  v1::Node* node = options_.descriptor.mutable_node();
  node->mutable_listeners()->Assign(listeners.begin(), listeners.end());
  registrar_.SetDescriptor(options_.descriptor);
}

absl::Status MembershipImpl::Start() {
  if (absl::Status s = EnsureDefaultNamespace(coordinator_, keys_); !s.ok()) return s;
  if (absl::Status s = registrar_.Start(options_.name_wait); !s.ok()) return s;
  thread_ = std::thread([this] { Run(); });
  watch_ = coordinator_->WatchPrefix(keys_.root, 0, [this](const WatchUpdate& update) {
    base::MutexLock lock(mu_);
    news_.push_back(update);
    changed_.SignalAll();
  });
  return absl::OkStatus();
}

absl::Status MembershipImpl::WaitForMap(absl::Duration timeout) {
  const absl::Duration deadline = clock_->BootTime() + timeout;
  base::MutexLock lock(mu_);
  while (map_->partitions.empty() || map_->FindMember(self_) == nullptr) {
    const absl::Duration left = deadline - clock_->BootTime();
    if (stopping_) return absl::CancelledError("stopping");
    if (left <= absl::ZeroDuration()) {
      return absl::DeadlineExceededError(map_->partitions.empty()
                                             ? "there is no placement map yet"
                                             : "the placement map does not have this node yet");
    }
    seen_.WaitFor(mu_, std::min(left, absl::Milliseconds(100)));
  }
  return absl::OkStatus();
}

absl::Status MembershipImpl::Leave(absl::Duration timeout) {
  const absl::Duration deadline = clock_->BootTime() + timeout;
  constexpr absl::Duration kRetry = absl::Milliseconds(100);
  while (true) {
    struct Outcome {
      base::Mutex mu;
      base::CondVar done;
      std::optional<absl::Status> status ABSL_GUARDED_BY(mu);
    };
    // Shared: the answer may come after we have given up.
    auto outcome = std::make_shared<Outcome>();
    AskControllerRequest request;
    request.set_leaving(true);
    AskController(std::move(request),
                  [outcome](const absl::StatusOr<AskControllerResponse>& response) {
                    base::MutexLock lock(outcome->mu);
                    outcome->status = response.status();
                    outcome->done.SignalAll();
                  });
    base::MutexLock lock(outcome->mu);
    while (!outcome->status && clock_->BootTime() < deadline) {
      outcome->done.WaitFor(outcome->mu, kRetry);
    }
    if (outcome->status && outcome->status->ok()) return absl::OkStatus();
    // Without the coordinator nothing will change, and the time is better spent on the disk.
    if (clock_->BootTime() >= deadline || (outcome->status && !coordinator_up())) {
      return outcome->status ? *outcome->status : absl::DeadlineExceededError("leave: no answer");
    }
    outcome->done.WaitFor(outcome->mu, kRetry);  // no controller now: one will be elected
  }
}

void MembershipImpl::Stop() {
  {
    base::MutexLock lock(mu_);
    if (stopped_) return;
    stopped_ = true;
    stopping_ = true;
    changed_.SignalAll();
    seen_.SignalAll();
  }
  // The watch first: its callback only fills the queue. Then the thread, then the lease, with which
  // the registration and the office go.
  watch_.reset();
  if (thread_.joinable()) thread_.join();
  registrar_.Stop();
  in_office_.store(false, std::memory_order_relaxed);
  std::vector<Question> questions;
  std::vector<Answer> answers;
  {
    base::MutexLock lock(mu_);
    questions.swap(questions_);
    answers.swap(answers_);
  }
  for (Question& question : questions) question.done(absl::UnavailableError("stopping"));
  for (Answer& answer : answers) answer.done(absl::UnavailableError("stopping"));
}

void MembershipImpl::OnCoordinator(bool up) {
  if (up) {
    base::LogInfo("the coordinator answers");
  } else {
    base::LogWarning("the coordinator does not answer: the placement map stays as it is");
  }
  base::MutexLock lock(mu_);
  coordinator_back_ |= up;
  woken_ = true;
  changed_.SignalAll();
}

void MembershipImpl::Wake() {
  base::MutexLock lock(mu_);
  woken_ = true;
  changed_.SignalAll();
}

void MembershipImpl::Run() {
  while (true) {
    std::deque<WatchUpdate> news;
    {
      base::MutexLock lock(mu_);
      if (!stopping_ && !woken_ && news_.empty() && questions_.empty()) {
        changed_.WaitFor(mu_, options_.tick);
      }
      if (stopping_) return;
      woken_ = false;
      news.swap(news_);
    }
    TakeNews(news);
    Tell();
    AnswerWaiting();
    Govern();
    Tell();
    AnswerWaiting();
  }
}

void MembershipImpl::TakeNews(const std::deque<WatchUpdate>& news) {
  for (const WatchUpdate& update : news) {
    base::MutexLock lock(mu_);
    if (update.snapshot) {
      nodes_.clear();
      controller_.reset();
      controller_revision_ = 0;
      namespaces_.Clear();
      namespaces_changed_ = true;
    }
    for (const WatchEvent& event : update.events) TakeEvent(event);
    if (update.snapshot) {
      publisher_.OnControllerKey(controller_revision_, update.revision);
      if (!nodes_.contains(name_)) registrar_.OnRegistrationGone();
    }
    seen_revision_ = std::max(seen_revision_, update.revision);
    seen_.SignalAll();
  }
}

void MembershipImpl::TakeEvent(const WatchEvent& event) {
  const std::string& key = event.kv.key;
  const bool put = event.kind == WatchEvent::Kind::kPut;
  if (key == keys_.map()) {
    if (!put) return;
    absl::StatusOr<MapPtr> map = ParseMap(event.kv.value);
    if (map.ok()) {
      TakeMap(*std::move(map));
    } else {
      base::LogError(base::AsStd(map.status().message()));
    }
  } else if (key == keys_.controller()) {
    TakeControllerKey(event);
  } else if (HasPrefix(key, keys_.nodes())) {
    const std::string name = key.substr(keys_.nodes().size());
    Registration node{.descriptor = {}, .revision = event.kv.mod_revision};
    if (put && node.descriptor.ParseFromString(event.kv.value)) {
      nodes_[name] = std::move(node);
    } else {
      nodes_.erase(name);
      if (name == name_) registrar_.OnRegistrationGone();
    }
  } else if (HasPrefix(key, keys_.namespaces())) {
    const std::string name = key.substr(keys_.namespaces().size());
    namespaces_changed_ |= namespaces_.Apply(name, put ? &event.kv.value : nullptr);
  }
}

void MembershipImpl::TakeControllerKey(const WatchEvent& event) {
  controller_.reset();
  controller_revision_ = 0;
  ControllerRecord record;
  if (event.kind == WatchEvent::Kind::kPut && record.ParseFromString(event.kv.value)) {
    controller_ = std::move(record);
    controller_revision_ = event.kv.create_revision;
  }
  publisher_.OnControllerKey(controller_revision_, event.kv.mod_revision);
}

void MembershipImpl::TakeMap(MapPtr map) {
  if (map->version <= map_->version) return;
  map_ = std::move(map);
  seen_.SignalAll();
}

void MembershipImpl::Tell() {
  MapPtr map;
  bool namespaces_changed = false;
  {
    base::MutexLock lock(mu_);
    map = map_;
    namespaces_changed = std::exchange(namespaces_changed_, false);
  }
  listeners_.Tell(map, namespaces_changed);
}

void MembershipImpl::AnswerWaiting() {
  std::vector<Answer> ready;
  std::vector<Answer> late;
  {
    base::MutexLock lock(mu_);
    const absl::Duration now = clock_->BootTime();
    std::vector<Answer> waiting;
    for (Answer& answer : answers_) {
      if (answer.response.map_version() <= map_->version) {
        ready.push_back(std::move(answer));
      } else if (answer.deadline <= now) {
        late.push_back(std::move(answer));
      } else {
        waiting.push_back(std::move(answer));
      }
    }
    answers_ = std::move(waiting);
  }
  for (Answer& answer : ready) answer.done(std::move(answer.response));
  for (Answer& answer : late) {
    answer.done(absl::DeadlineExceededError("the controller's map did not come"));
  }
}

std::vector<Registration> MembershipImpl::LivingNodes() {
  std::vector<Registration> nodes;
  for (const auto& [name, node] : nodes_) {
    if (name != name_) nodes.push_back(node);
  }
  // This node lives, whatever the store says of it.
  const auto own = nodes_.find(name_);
  nodes.push_back(
      {options_.descriptor, own == nodes_.end() ? seen_revision_ : own->second.revision});
  return nodes;
}

void MembershipImpl::Campaign() {
  {
    base::MutexLock lock(mu_);
    if (seen_revision_ == 0 || controller_ || publisher_.in_office()) return;
    // A node that leaves campaigns like any other: when all leave at once, somebody must write the
    // maps that they wait for.
  }
  const LeaseId lease = registrar_.lease();
  if (lease == 0 || !registrar_.up()) return;
  if (absl::StatusOr<bool> won = publisher_.Campaign(lease); !won.ok()) {
    base::LogWarning(absl::StrCat("controller: cannot campaign: ", won.status().message()));
  }
}

void MembershipImpl::Govern() {
  Campaign();
  in_office_.store(publisher_.in_office(), std::memory_order_relaxed);
  std::vector<Question> questions;
  std::vector<Registration> nodes;
  MapPtr last_known;
  bool back = false;
  {
    base::MutexLock lock(mu_);
    questions.swap(questions_);
    nodes = LivingNodes();
    last_known = map_;
    back = std::exchange(coordinator_back_, false);
  }
  if (!publisher_.in_office()) return AnswerAll(std::move(questions), NotController());
  // Nothing can be written now; each try would hold up all that this thread does.
  if (!registrar_.up()) {
    return AnswerAll(std::move(questions), absl::UnavailableError("the coordinator is away"));
  }
  absl::Status status = publisher_.Prepare(last_known);
  if (status.ok()) {
    if (back) publisher_.OnCoordinatorBack();
    publisher_.SetNodes(nodes);
    for (const Question& question : questions) publisher_.Ask(question.request);
    absl::StatusOr<std::optional<StoredMap>> stepped = publisher_.Step();
    status = stepped.status();
    if (stepped.ok() && *stepped) {
      base::MutexLock lock(mu_);
      TakeMap((*stepped)->map);
      woken_ = true;  // there may be a next step
    }
  }
  if (!status.ok()) base::LogWarning(absl::StrCat("controller: ", status.message()));
  AnswerAll(std::move(questions), status);
}

void MembershipImpl::AnswerAll(std::vector<Question> questions, const absl::Status& status) {
  if (questions.empty()) return;
  const ring::PlacementMap& map = publisher_.current();
  for (Question& question : questions) {
    if (!status.ok()) {
      question.done(status);
      continue;
    }
    AskControllerResponse response;
    response.set_map_version(map.version);
    for (const internal::v1::IsrChange& change : question.request.isr_changes()) {
      if (change.partition() >= map.partitions.size()) continue;
      *response.add_placements() =
          EntryOf(map, base::PartitionId(static_cast<uint16_t>(change.partition())));
    }
    question.done(std::move(response));
  }
}

void MembershipImpl::HandleAskController(const AskControllerRequest& request, AskDone done) {
  absl::Status refused;
  {
    base::MutexLock lock(mu_);
    if (stopping_) {
      refused = absl::UnavailableError("stopping");
    } else if (!is_controller()) {
      refused = NotController();
    } else if (questions_.size() >= kMaxWaitingRequests) {
      refused = absl::ResourceExhaustedError("too many requests wait for the controller");
    } else {
      questions_.push_back({request, std::move(done)});
      changed_.SignalAll();
      return;
    }
  }
  done(refused);
}

void MembershipImpl::AskController(AskControllerRequest request, AskDone done) {
  request.set_from_incarnation(self_.value());
  AskDone taken = [this,
                   done = std::move(done)](absl::StatusOr<AskControllerResponse> response) mutable {
    OnAnswer(std::move(response), std::move(done));
  };
  if (is_controller()) return HandleAskController(request, std::move(taken));
  std::string address;
  {
    base::MutexLock lock(mu_);
    if (controller_ && !stopping_) {
      const auto node = nodes_.find(controller_->node());
      if (node != nodes_.end() &&
          node->second.descriptor.node().incarnation() == controller_->incarnation()) {
        address = PeerAddress(node->second.descriptor);
      }
    }
  }
  if (address.empty() || peers_ == nullptr) return taken(NoController());
  peers_->AskController(address, request, options_.ask_timeout, std::move(taken));
}

void MembershipImpl::OnAnswer(absl::StatusOr<AskControllerResponse> response, AskDone done) {
  if (!response.ok()) {
    // Wherever it went wrong, to ask again later is all that can be done.
    absl::Status status = response.status();
    if (!absl::IsDeadlineExceeded(status)) status = absl::UnavailableError(status.message());
    return done(std::move(status));
  }
  {
    base::MutexLock lock(mu_);
    if (!stopping_) {
      answers_.push_back(
          {*std::move(response), std::move(done), clock_->BootTime() + options_.ask_timeout});
      woken_ = true;
      changed_.SignalAll();
      return;
    }
  }
  done(absl::UnavailableError("stopping"));
}

absl::StatusOr<NamespacePtr> MembershipImpl::Seen(absl::StatusOr<NamespaceWrite> write) {
  if (!write.ok()) return write.status();
  constexpr absl::Duration kPatience = absl::Seconds(2);
  const absl::Duration deadline = clock_->BootTime() + kPatience;
  base::MutexLock lock(mu_);
  while (seen_revision_ < write->revision && !stopping_ && clock_->BootTime() < deadline) {
    seen_.WaitFor(mu_, absl::Milliseconds(50));
  }
  return write->ns;
}

}  // namespace

std::unique_ptr<Membership> Membership::Create(const MembershipOptions& options,
                                               Coordinator* coordinator, PeerCaller* peers,
                                               const base::Clock* clock) {
  return std::make_unique<MembershipImpl>(options, coordinator, peers, clock);
}

}  // namespace atoll::cluster
