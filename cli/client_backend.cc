#include <utility>

#include "absl/time/clock.h"
#include "cli/backend.h"

namespace atoll::cli {
namespace {

// Connects the data client and the admin client apart, each when it is first needed.
class ClientBackend final : public Backend {
 public:
  explicit ClientBackend(ClientOptions options) : options_(std::move(options)) {}

  absl::StatusOr<GetResult> Get(std::string_view key, const GetOptions& options) override {
    return OnClient([&](Client& client) { return client.Get(key, options); });
  }
  absl::StatusOr<GetResult> GetAndTouch(std::string_view key,
                                        const TouchOptions& options) override {
    return OnClient([&](Client& client) { return client.GetAndTouch(key, options); });
  }
  absl::StatusOr<WriteResult> Set(std::string_view key, std::string_view value,
                                  const SetOptions& options) override {
    return OnClient([&](Client& client) { return client.Set(key, value, options); });
  }
  absl::StatusOr<WriteResult> Add(std::string_view key, std::string_view value,
                                  const SetOptions& options) override {
    return OnClient([&](Client& client) { return client.Add(key, value, options); });
  }
  absl::StatusOr<WriteResult> Replace(std::string_view key, std::string_view value,
                                      const SetOptions& options) override {
    return OnClient([&](Client& client) { return client.Replace(key, value, options); });
  }
  absl::StatusOr<WriteResult> CompareAndSwap(std::string_view key, std::string_view value,
                                             uint64_t expected_version,
                                             const SetOptions& options) override {
    return OnClient([&](Client& client) {
      return client.CompareAndSwap(key, value, expected_version, options);
    });
  }
  absl::StatusOr<WriteResult> Touch(std::string_view key, const TouchOptions& options) override {
    return OnClient([&](Client& client) { return client.Touch(key, options); });
  }
  absl::StatusOr<WriteResult> Append(std::string_view key, std::string_view suffix,
                                     const CallOptions& options) override {
    return OnClient([&](Client& client) { return client.Append(key, suffix, options); });
  }
  absl::StatusOr<WriteResult> Prepend(std::string_view key, std::string_view prefix,
                                      const CallOptions& options) override {
    return OnClient([&](Client& client) { return client.Prepend(key, prefix, options); });
  }
  absl::StatusOr<CounterResult> Increment(std::string_view key, int64_t delta,
                                          const CounterOptions& options) override {
    return OnClient([&](Client& client) { return client.Increment(key, delta, options); });
  }
  absl::StatusOr<CounterResult> Decrement(std::string_view key, int64_t delta,
                                          const CounterOptions& options) override {
    return OnClient([&](Client& client) { return client.Decrement(key, delta, options); });
  }
  Client::Results<GetResult> MultiGet(absl::Span<const std::string_view> keys,
                                      const MultiGetOptions& options) override {
    const absl::StatusOr<Client*> client = GetClient();
    if (!client.ok()) return Client::Results<GetResult>(keys.size(), client.status());
    return (*client)->MultiGet(keys, options);
  }
  Client::Results<WriteResult> MultiSet(absl::Span<const SetEntry> entries,
                                        const CallOptions& options) override {
    const absl::StatusOr<Client*> client = GetClient();
    if (!client.ok()) return Client::Results<WriteResult>(entries.size(), client.status());
    return (*client)->MultiSet(entries, options);
  }
  Client::Results<WriteResult> MultiDelete(absl::Span<const std::string_view> keys,
                                           const CallOptions& options) override {
    const absl::StatusOr<Client*> client = GetClient();
    if (!client.ok()) return Client::Results<WriteResult>(keys.size(), client.status());
    return (*client)->MultiDelete(keys, options);
  }
  absl::StatusOr<ScanPage> Scan(const ScanOptions& options) override {
    return OnClient([&](Client& client) { return client.Scan(options); });
  }
  absl::Status Flush(const CallOptions& options) override {
    const absl::StatusOr<Client*> client = GetClient();
    return client.ok() ? (*client)->Flush(options) : client.status();
  }

  absl::StatusOr<Namespace> CreateNamespace(std::string_view name,
                                            const NamespaceSettings& settings) override {
    return OnAdmin([&](AdminClient& admin) { return admin.CreateNamespace(name, settings); });
  }
  absl::StatusOr<Namespace> UpdateNamespace(std::string_view name,
                                            const NamespaceSettings& settings) override {
    return OnAdmin([&](AdminClient& admin) { return admin.UpdateNamespace(name, settings); });
  }
  absl::StatusOr<std::vector<Namespace>> ListNamespaces() override {
    return OnAdmin([](AdminClient& admin) { return admin.ListNamespaces(); });
  }
  absl::Status DropNamespace(std::string_view name) override {
    const absl::StatusOr<AdminClient*> admin = GetAdmin();
    return admin.ok() ? (*admin)->DropNamespace(name) : admin.status();
  }
  absl::StatusOr<NodeList> ListNodes() override {
    return OnAdmin([](AdminClient& admin) { return admin.ListNodes(); });
  }
  absl::Status DrainNode(std::string_view name, bool undo) override {
    const absl::StatusOr<AdminClient*> admin = GetAdmin();
    return admin.ok() ? (*admin)->DrainNode(name, undo) : admin.status();
  }
  absl::StatusOr<std::vector<NodeAnswer>> Stats() override {
    return OnAdmin([](AdminClient& admin) { return admin.Stats(); });
  }
  absl::StatusOr<Topology> GetTopology() override {
    return OnAdmin([](AdminClient& admin) { return admin.GetTopology(); });
  }
  absl::StatusOr<Explanation> Explain(std::string_view key, std::string_view ns) override {
    return OnAdmin([&](AdminClient& admin) { return admin.Explain(key, ns); });
  }
  absl::StatusOr<ClusterHealth> Health() override {
    return OnAdmin([](AdminClient& admin) { return admin.Health(); });
  }
  absl::StatusOr<absl::Duration> Ping(std::string_view address) override {
    return OnAdmin([&](AdminClient& admin) { return admin.Ping(address); });
  }

  void Sleep(absl::Duration duration) override { absl::SleepFor(duration); }

 private:
  absl::StatusOr<Client*> GetClient() {
    if (client_ == nullptr) {
      absl::StatusOr<std::unique_ptr<Client>> client = Client::Create(options_);
      if (!client.ok()) return client.status();
      client_ = *std::move(client);
    }
    return client_.get();
  }
  absl::StatusOr<AdminClient*> GetAdmin() {
    if (admin_ == nullptr) {
      absl::StatusOr<std::unique_ptr<AdminClient>> admin = AdminClient::Create(options_);
      if (!admin.ok()) return admin.status();
      admin_ = *std::move(admin);
    }
    return admin_.get();
  }
  template <typename Call>
  auto OnClient(Call call) -> decltype(call(std::declval<Client&>())) {
    const absl::StatusOr<Client*> client = GetClient();
    if (!client.ok()) return client.status();
    return call(**client);
  }
  template <typename Call>
  auto OnAdmin(Call call) -> decltype(call(std::declval<AdminClient&>())) {
    const absl::StatusOr<AdminClient*> admin = GetAdmin();
    if (!admin.ok()) return admin.status();
    return call(**admin);
  }

  const ClientOptions options_;
  std::unique_ptr<Client> client_;
  std::unique_ptr<AdminClient> admin_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Backend>> MakeClientBackend(const ClientOptions& options) {
  if (absl::Status valid = options.Validate(); !valid.ok()) return valid;
  return std::make_unique<ClientBackend>(options);
}

}  // namespace atoll::cli
