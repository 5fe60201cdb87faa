#include "cli/context.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/strings.h"

namespace atoll::cli {
namespace {

constexpr absl::Duration kDefaultTimeout = absl::Seconds(5);
// The largest value that any cluster takes; a node with little memory takes less, and says so.
constexpr size_t kMaxValueBytes = size_t{64} << 20;

}  // namespace

CLI::Option* AddDuration(CLI::App& app, const std::string& name, std::optional<absl::Duration>* out,
                         const std::string& help, bool never) {
  return app
      .add_option_function<std::string>(
          name,
          [out, name, never](const std::string& text) {
            absl::Duration duration;
            if (never && (text == "never" || text == "0")) {
              *out = absl::ZeroDuration();
            } else if (absl::ParseDuration(text, &duration) && duration != absl::ZeroDuration()) {
              *out = duration;
            } else {
              throw CLI::ValidationError(
                  name, absl::StrCat(text, " is no duration such as 90s, 1h30m or 250ms"));
            }
          },
          help)
      ->type_name("DURATION");
}

void Context::AddFlags(CLI::App& app) {
  app.add_option("-e,--endpoints", flags_.endpoints,
                 "Nodes to begin with: host:port[,host:port...] (default 127.0.0.1:7850)")
      ->envname("ATOLL_ENDPOINTS");
  app.add_option("-n,--namespace", flags_.ns, "Namespace of the keys (default \"default\")")
      ->envname("ATOLL_NAMESPACE");
  app.add_option_function<std::string>(
         "--timeout",
         [this](const std::string& text) {
           if (!absl::ParseDuration(text, &flags_.timeout) ||
               flags_.timeout <= absl::ZeroDuration()) {
             throw CLI::ValidationError("--timeout", text + " is no duration such as 500ms or 2s");
           }
         },
         "How long a call may take (default 5s)")
      ->type_name("DURATION")
      ->envname("ATOLL_TIMEOUT");
  app.add_option("-o,--output", flags_.output,
                 "table, json or raw (default: table on a terminal, else raw)")
      ->check(CLI::IsMember({"table", "json", "raw"}))
      ->type_name("FORMAT")
      ->envname("ATOLL_OUTPUT");
  app.add_flag("--tls", flags_.tls, "Connect by TLS (ATOLL_TLS=1)");
  app.add_option("--ca-file", flags_.ca_file, "PEM file of the authorities that sign the nodes")
      ->envname("ATOLL_CA_FILE");
  app.add_option("--certificate-file", flags_.certificate_file,
                 "PEM file of this client's certificate")
      ->envname("ATOLL_CERTIFICATE_FILE");
  app.add_option("--key-file", flags_.key_file, "PEM file of its key")->envname("ATOLL_KEY_FILE");
  app.add_option("--server-name", flags_.server_name,
                 "Name that the nodes' certificates must carry")
      ->envname("ATOLL_SERVER_NAME");
  // The shell has read the environment for all its lines: there, what it was given goes before.
  if (!in_shell_) return;
  for (CLI::Option* const option : app.get_options()) option->envname("");
}

Format Context::format() const {
  if (flags_.output == "json") return Format::kJson;
  if (flags_.output == "table") return Format::kTable;
  if (flags_.output == "raw") return Format::kRaw;
  return io_.out_terminal ? Format::kTable : Format::kRaw;
}

std::string Context::NamespaceName() const { return flags_.ns.empty() ? "default" : flags_.ns; }

absl::StatusOr<ClientOptions> Context::MakeClientOptions() const {
  absl::StatusOr<ClientOptions> options = ClientOptions::FromEnvironment();
  if (!options.ok()) return options.status();
  if (!flags_.endpoints.empty())
    options->endpoints = absl::StrSplit(flags_.endpoints, ',', absl::SkipEmpty());
  if (!flags_.ns.empty()) options->default_namespace = flags_.ns;
  options->timeout = flags_.timeout > absl::ZeroDuration() ? flags_.timeout : kDefaultTimeout;
  options->stream_timeout = std::max(options->stream_timeout, options->timeout);
  Credentials& credentials = options->credentials;
  if (flags_.tls) credentials.tls = true;
  if (!flags_.ca_file.empty()) credentials.ca_file = flags_.ca_file;
  if (!flags_.certificate_file.empty()) credentials.certificate_file = flags_.certificate_file;
  if (!flags_.key_file.empty()) credentials.key_file = flags_.key_file;
  if (!flags_.server_name.empty()) credentials.server_name = flags_.server_name;
  return options;
}

void Context::Begin(std::string_view verb) { verb_ = verb; }

Backend* Context::backend() {
  if (backend_ == nullptr) {
    const absl::StatusOr<ClientOptions> options = MakeClientOptions();
    if (!options.ok()) {
      Fail(options.status());
      return nullptr;
    }
    absl::StatusOr<std::unique_ptr<Backend>> backend = factory_(*options);
    if (!backend.ok()) {
      Fail(backend.status());
      return nullptr;
    }
    backend_ = *std::move(backend);
  }
  return backend_.get();
}

void Context::Fail(const absl::Status& status, std::string_view subject) {
  const std::string_view message = base::AsStd(status.message());
  const std::string text =
      message.empty() ? absl::StatusCodeToString(status.code()) : std::string(message);
  Fail(ExitCodeOf(status), subject.empty() ? text : std::string(subject) + ": " + text);
}

void Context::Fail(ExitCode code, std::string_view message) {
  io_.err << "atoll: ";
  if (!verb_.empty()) io_.err << verb_ << ": ";
  io_.err << message << "\n";
  Exit(code);
}

void Context::Exit(ExitCode code) { exit_code_ = std::max(exit_code_, code); }

std::optional<std::string> Context::ReadValue(const std::string& given) {
  if (given != "-") return given;
  if (in_shell_) {
    Fail(kExitRefused, "value: - reads from stdin, which the shell itself reads");
    return std::nullopt;
  }
  std::string value;
  std::string block(64 << 10, '\0');
  while (io_.in.read(block.data(), static_cast<std::streamsize>(block.size())),
         io_.in.gcount() > 0) {
    value.append(block, 0, static_cast<size_t>(io_.in.gcount()));
    if (value.size() > kMaxValueBytes) {
      Fail(kExitRefused,
           absl::StrCat("value: more than ", kMaxValueBytes, " bytes, limit ", kMaxValueBytes));
      return std::nullopt;
    }
  }
  if (io_.in.bad()) {
    Fail(kExitOther, "value: stdin cannot be read");
    return std::nullopt;
  }
  return value;
}

bool Context::Confirm(const std::string& question, bool yes) {
  if (yes) return true;
  if (!io_.in_terminal) {
    Fail(kExitRefused, "not confirmed: add --yes");
    return false;
  }
  io_.err << question << " [y/N] " << std::flush;
  std::string answer;
  std::getline(io_.in, answer);
  if (answer == "y" || answer == "Y" || answer == "yes") return true;
  Fail(kExitRefused, "not confirmed");
  return false;
}

void Context::PrintJson(const Json& json) {
  io_.out << json.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
}

void Context::Print(const Table& table) {
  format() == Format::kRaw ? table.PrintRaw(io_.out) : table.Print(io_.out);
}

}  // namespace atoll::cli
