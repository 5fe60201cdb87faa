#include "server/settings.h"

#include <yaml-cpp/yaml.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "base/strings.h"
#include "base/version.h"

namespace atoll::server {
namespace {

constexpr char kDefaultConfig[] = "/etc/atoll/atolld.yaml";
constexpr std::string_view kEnvironmentPrefix = "ATOLLD_";

// A size is a number with an optional KiB, MiB, GiB, TiB (or K, M, G, T: the same).
struct Size {
  uint64_t NodeOptions::*field;
};
// Each value of a list is one flag; the environment separates them by white space.
using Field = std::variant<std::string NodeOptions::*, std::vector<std::string> NodeOptions::*,
                           uint32_t NodeOptions::*, int NodeOptions::*, bool NodeOptions::*,
                           absl::Duration NodeOptions::*, Size>;

struct Setting {
  const char* name;  // as in YAML
  Field field;
  const char* help;  // empty: for tests, and not shown
};

const std::vector<Setting>& Settings() {
  using O = NodeOptions;
  static const auto& settings = *new std::vector<Setting>{
      {"node_name", &O::node_name, "Name of the node; default: the host's name"},
      {"cluster", &O::cluster, "Name of the cluster"},
      {"zone", &O::zone, "Failure zone: copies of a partition are kept in different ones"},
      {"weight", &O::weight, "Share of the data relative to other nodes, 1-100"},
      {"listen", &O::listen,
       "name=address[,advertise=address], repeatable; client, peer and admin replace the defaults "
       "127.0.0.1:7850, :7851, :7855; other names are further listeners for clients"},
      {"ports_file", &O::ports_file, "Written when ready: NAME=host:port lines and PID=n"},
      {"allow_unauthenticated", &O::allow_unauthenticated,
       "Lets listeners on other addresses than loopback be open to everybody"},
      {"tls_cert", &O::tls_cert, "PEM file: certificate of the node; turns TLS on"},
      {"tls_key", &O::tls_key, "PEM file: its private key"},
      {"tls_ca", &O::tls_ca, "PEM file: clients and nodes must show a certificate that it signed"},
      {"etcd", &O::etcd, "host:port, repeatable; none: a standalone node"},
      {"etcd_user", &O::etcd_user, "User in etcd"},
      {"etcd_password_file", &O::etcd_password_file, "File with the password of that user"},
      {"etcd_ca", &O::etcd_ca, "PEM file: whom to trust as etcd; turns TLS on"},
      {"etcd_cert", &O::etcd_cert, "PEM file: certificate shown to etcd"},
      {"etcd_key", &O::etcd_key, "PEM file: its private key"},
      {"replication_factor", &O::replication_factor, "Copies of each partition, 1-3"},
      {"min_isr", &O::min_isr, "Writes are refused with fewer in-sync copies"},
      {"initial_nodes", &O::initial_nodes, "The first placement waits for so many nodes"},
      {"node_lease", &O::node_lease, "Lease of the node in etcd"},
      {"heartbeat", &O::heartbeat, "Interval of heartbeats between nodes"},
      {"silence", &O::silence, "A replica silent for so long leaves the in-sync copies"},
      {"lease", &O::lease, "How long acknowledged heartbeats let a primary serve"},
      {"grace", &O::grace, "How long a new primary waits for the old one; above --lease"},
      {"memory", Size{&O::memory_bytes},
       "Memory of the cache itself; default: 1GiB or half cgroup"},
      {"rpc_memory", Size{&O::rpc_memory_bytes}, "Memory for requests and answers under way"},
      {"rocksdb_memory", Size{&O::rocksdb_memory_bytes}, "Memory for the warm tier"},
      {"max_operations", &O::max_operations, "Operations under way; more are refused"},
      {"test_burn_us", &O::test_burn_us, ""},
      {"data_dir", &O::data_dir, "Folder of the warm tier; none: nothing is persisted"},
      {"disk", Size{&O::disk_bytes}, "Disk space that the warm tier may take"},
      {"io_threads", &O::io_threads, "Threads that serve calls, at the most; default: one a core"},
      {"stop_timeout", &O::stop_timeout, "How long a stop may take"},
      {"log_level", &O::log_level, "debug, info, warning, error or off"},
  };
  return settings;
}

std::string FlagOf(std::string name) {
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

bool ParseSize(std::string_view text, uint64_t& out) {
  static constexpr std::pair<std::string_view, int> kUnits[] = {
      {"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}, {"K", 10},
      {"M", 20},   {"G", 30},   {"T", 40},   {"B", 0}};
  int shift = 0;
  for (const auto& [unit, bits] : kUnits) {
    if (text.ends_with(unit)) {
      text.remove_suffix(unit.size());
      shift = bits;
      break;
    }
  }
  uint64_t number = 0;
  if (!absl::SimpleAtoi(base::AsAbsl(text), &number)) return false;
  if (shift != 0 && number >> (63 - shift) != 0) return false;
  out = number << shift;
  return true;
}

std::string SizeText(uint64_t bytes) {
  for (const auto& [unit, bits] :
       {std::pair("GiB", 30), std::pair("MiB", 20), std::pair("KiB", 10)}) {
    if (bytes != 0 && bytes % (uint64_t{1} << bits) == 0) return absl::StrCat(bytes >> bits, unit);
  }
  return absl::StrCat(bytes);
}

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

// Puts texts into the field. Empty answer: it could be read; else what was expected.
std::string Assign(NodeOptions& options, const Setting& setting,
                   const std::vector<std::string>& texts) {
  const std::string& text = texts.back();
  return std::visit(
      Overloaded{
          [&](std::string NodeOptions::*field) {
            options.*field = text;
            return "";
          },
          [&](std::vector<std::string> NodeOptions::*field) {
            options.*field = texts;
            return "";
          },
          [&](uint32_t NodeOptions::*field) {
            return absl::SimpleAtoi(text, &(options.*field)) ? "" : "a number";
          },
          [&](int NodeOptions::*field) {
            return absl::SimpleAtoi(text, &(options.*field)) ? "" : "a number";
          },
          [&](bool NodeOptions::*field) {
            return absl::SimpleAtob(text, &(options.*field)) ? "" : "true or false";
          },
          [&](absl::Duration NodeOptions::*field) {
            return absl::ParseDuration(text, &(options.*field)) ? "" : "a time as 500ms or 30s";
          },
          [&](Size size) {
            return ParseSize(text, options.*(size.field)) ? "" : "a size as 256MiB";
          },
      },
      setting.field);
}

absl::Status AssignFrom(std::string_view source, NodeOptions& options, const Setting& setting,
                        const std::vector<std::string>& texts) {
  if (texts.empty()) return absl::OkStatus();
  const std::string expected = Assign(options, setting, texts);
  if (expected.empty()) return absl::OkStatus();
  return base::InvalidArgument(source, texts.back(), expected);
}

absl::Status ReadYaml(const std::string& path, NodeOptions& options) {
  // yaml-cpp reports by exceptions; they end here.
  try {
    const YAML::Node root = YAML::LoadFile(path);
    if (root.IsNull()) return absl::OkStatus();
    if (!root.IsMap()) return base::InvalidArgument(path, "not a map of settings");
    for (const auto& pair : root) {
      const auto key = pair.first.as<std::string>();
      const auto& all = Settings();
      const auto it =
          std::find_if(all.begin(), all.end(), [&key](const Setting& s) { return s.name == key; });
      if (it == all.end()) {
        return base::InvalidArgument(absl::StrCat(path, ": ", key), "no such setting");
      }
      std::vector<std::string> texts;
      if (pair.second.IsSequence()) {
        if (!std::holds_alternative<std::vector<std::string> NodeOptions::*>(it->field)) {
          return base::InvalidArgument(absl::StrCat(path, ": ", key), "a list", "one value");
        }
        for (const auto& item : pair.second) texts.push_back(item.as<std::string>());
      } else {
        texts.push_back(pair.second.as<std::string>());
      }
      if (absl::Status s = AssignFrom(absl::StrCat(path, ": ", key), options, *it, texts);
          !s.ok()) {
        return s;
      }
    }
    return absl::OkStatus();
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", error.what()));
  }
}

absl::Status ReadEnvironment(const char* const* environment, NodeOptions& options) {
  for (; environment != nullptr && *environment != nullptr; ++environment) {
    const std::string_view line = *environment;
    const size_t equals = line.find('=');
    if (!line.starts_with(kEnvironmentPrefix) || equals == std::string_view::npos) continue;
    const std::string variable(line.substr(0, equals));
    if (variable == "ATOLLD_CONFIG") continue;
    const std::string name = absl::AsciiStrToLower(variable.substr(kEnvironmentPrefix.size()));
    const auto& all = Settings();
    const auto it =
        std::find_if(all.begin(), all.end(), [&name](const Setting& s) { return s.name == name; });
    if (it == all.end()) return base::InvalidArgument(variable, "no such setting");
    const std::string value(line.substr(equals + 1));
    std::vector<std::string> texts = {value};
    if (std::holds_alternative<std::vector<std::string> NodeOptions::*>(it->field)) {
      texts = absl::StrSplit(value, absl::ByAnyChar(" \t\n;"), absl::SkipEmpty());
    }
    if (absl::Status s = AssignFrom(variable, options, *it, texts); !s.ok()) return s;
  }
  return absl::OkStatus();
}

std::string EnvironmentValue(const char* const* environment, std::string_view name) {
  for (; environment != nullptr && *environment != nullptr; ++environment) {
    const std::string_view line = *environment;
    if (line.starts_with(name) && line.substr(name.size()).starts_with("=")) {
      return std::string(line.substr(name.size() + 1));
    }
  }
  return {};
}

}  // namespace

std::string PrintConfig(const NodeOptions& options) {
  YAML::Emitter out;
  out << YAML::BeginMap;
  for (const Setting& setting : Settings()) {
    if (*setting.help == '\0') continue;
    out << YAML::Key << setting.name << YAML::Value;
    std::visit(
        Overloaded{
            [&](std::string NodeOptions::*field) { out << YAML::DoubleQuoted << options.*field; },
            [&](absl::Duration NodeOptions::*field) {
              out << absl::FormatDuration(options.*field);
            },
            [&](Size size) { out << SizeText(options.*(size.field)); },
            [&](auto NodeOptions::*field) { out << options.*field; },
        },
        setting.field);
  }
  out << YAML::EndMap;
  return absl::StrCat(out.c_str(), "\n");
}

absl::StatusOr<Invocation> ReadSettings(int argc, const char* const* argv,
                                        const char* const* environment) {
  CLI::App app("atolld: a node of an Atoll cache cluster", "atolld");
  app.footer(
      "Every setting is a variable too (--io-threads: ATOLLD_IO_THREADS) and a key of the file\n"
      "(io_threads), in that order. Documentation: docs/operations.md");
  std::string config;
  bool print_config = false;
  app.add_option("--config", config, absl::StrCat("YAML file; default: ", kDefaultConfig));
  app.add_flag("--print-config", print_config, "Prints what is in force, as YAML, and exits");
  app.set_version_flag("--version", base::VersionLine("atolld"));
  std::map<std::string, std::vector<std::string>> given;
  for (const Setting& setting : Settings()) {
    std::vector<std::string>& texts = given[setting.name];
    const std::string flag = absl::StrCat("--", FlagOf(setting.name));
    if (std::holds_alternative<bool NodeOptions::*>(setting.field)) {
      app.add_flag_callback(
          flag, [&texts] { texts = {"true"}; }, setting.help);
    } else if (std::holds_alternative<std::vector<std::string> NodeOptions::*>(setting.field)) {
      app.add_option(flag, texts, setting.help)->expected(1)->take_all();
    } else {
      CLI::Option* const option = app.add_option(flag, texts, setting.help);
      option->expected(1)->take_last();
      // Of no group: left out of the help.
      if (*setting.help == '\0') option->group("");
    }
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForVersion& version) {  // A Success too, so it comes first.
    return Invocation{{}, absl::StrCat(version.what(), "\n")};
  } catch (const CLI::Success&) {
    return Invocation{{}, app.help()};
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return Invocation{{}, absl::StrCat(error.what(), "\n")};
    return absl::InvalidArgumentError(error.what());
  }

  Invocation invocation;
  if (config.empty()) config = EnvironmentValue(environment, "ATOLLD_CONFIG");
  std::error_code ignored;
  if (config.empty() && std::filesystem::exists(kDefaultConfig, ignored)) config = kDefaultConfig;
  if (!config.empty()) {
    if (absl::Status s = ReadYaml(config, invocation.options); !s.ok()) return s;
  }
  if (absl::Status s = ReadEnvironment(environment, invocation.options); !s.ok()) return s;
  for (const Setting& setting : Settings()) {
    if (absl::Status s = AssignFrom(absl::StrCat("--", FlagOf(setting.name)), invocation.options,
                                    setting, given[setting.name]);
        !s.ok()) {
      return s;
    }
  }
  invocation.options.FillDefaults();
  if (absl::Status s = invocation.options.Validate(); !s.ok()) return s;
  if (print_config) invocation.print = PrintConfig(invocation.options);
  return invocation;
}

}  // namespace atoll::server
