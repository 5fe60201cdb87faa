// What every command gets: streams, flags that hold for all of them, the cluster, and the way to
// end.
//
// Thread safety: none; one thread.
#pragma once

#include <functional>
#include <istream>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cli/backend.h"
#include "cli/exit_code.h"
#include "cli/output.h"

namespace atoll::cli {

// Streams, and whether a person is at the other end.
struct Io {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  bool in_terminal = false;
  bool out_terminal = false;
};

using BackendFactory =
    std::function<absl::StatusOr<std::unique_ptr<Backend>>(const ClientOptions& options)>;

class Context {
 public:
  Context(Io& io, BackendFactory factory) : io_(io), factory_(std::move(factory)) {}

  // -- Flags of all commands ---------------------------------------------------------------------

  // As given; empty or zero where they were not.
  struct Flags {
    std::string endpoints;
    std::string ns;
    absl::Duration timeout = absl::ZeroDuration();
    std::string output;
    bool tls = false;
    std::string ca_file;
    std::string certificate_file;
    std::string key_file;
    std::string server_name;
  };
  // Declares --endpoints, --namespace, --timeout, --output, --tls ...
  void AddFlags(CLI::App& app);
  // The shell keeps them from line to line.
  const Flags& flags() const { return flags_; }
  void set_flags(Flags flags) { flags_ = std::move(flags); }

  Format format() const;
  // For calls; empty: the client's default.
  const std::string& ns() const { return flags_.ns; }
  // The same, but never empty.
  std::string NamespaceName() const;
  // For calls; zero: the client's.
  absl::Duration timeout() const { return flags_.timeout; }
  absl::StatusOr<ClientOptions> MakeClientOptions() const;

  // -- Running -----------------------------------------------------------------------------------

  std::istream& in() { return io_.in; }
  std::ostream& out() { return io_.out; }
  std::ostream& err() { return io_.err; }
  Io& io() { return io_; }

  // Names the command in diagnostics.
  void Begin(std::string_view verb);
  // The cluster; nullptr after a failure, which has been reported.
  Backend* backend();

  // `atoll: VERB: message` (behind `subject: ` where there is one), and the exit code for it.
  void Fail(const absl::Status& status, std::string_view subject = {});
  void Fail(ExitCode code, std::string_view message);
  // Only the exit code: the worst of all counts.
  void Exit(ExitCode code);
  ExitCode exit_code() const { return exit_code_; }
  void ResetExitCode() { exit_code_ = kExitOk; }

  // `given`, or all of stdin for "-"; nullopt after a failure, which has been reported.
  std::optional<std::string> ReadValue(const std::string& given);
  // Asks, unless `yes`. False: do nothing; the refusal has been reported.
  bool Confirm(const std::string& question, bool yes);

  // For a shell, where stdin is the shell's own.
  bool in_shell() const { return in_shell_; }
  void set_in_shell(bool in_shell) { in_shell_ = in_shell; }

  void PrintJson(const Json& json);
  // As table or raw lines.
  void Print(const Table& table);

 private:
  Io& io_;
  BackendFactory factory_;
  Flags flags_;

  std::string verb_;
  std::unique_ptr<Backend> backend_;
  ExitCode exit_code_ = kExitOk;
  bool in_shell_ = false;
};

// An option that takes a duration such as 90s, 1h30m or 250ms; with `never`, "never" and "0" too,
// which are zero.
CLI::Option* AddDuration(CLI::App& app, const std::string& name, std::optional<absl::Duration>* out,
                         const std::string& help, bool never = false);

}  // namespace atoll::cli
