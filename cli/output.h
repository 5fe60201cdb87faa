// How figures and bytes are written: for eyes (table), for programs (json), for pipes (raw).
#pragma once

#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "nlohmann/json.hpp"

namespace atoll::cli {

using Json = nlohmann::ordered_json;

enum class Format { kTable, kJson, kRaw };

// Columns of text, as wide as their widest cell; columns whose cells are numbers, nine of ten at
// least, stand to the right.
class Table {
 public:
  explicit Table(std::vector<std::string> header) : header_(std::move(header)) {}
  void Add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  // Cells between tabs, a row a line, without the header.
  void PrintRaw(std::ostream& out) const;
  void Print(std::ostream& out) const;

 private:
  std::vector<std::string> header_;
  std::vector<std::vector<std::string>> rows_;
};

// Bytes in one line that can be read back: \\, \t, \n, \r, and \xNN for other control characters
// and for what is not UTF-8.
std::string Escape(std::string_view bytes);
// The reverse, for the shell. nullopt for an escape that is none.
std::optional<std::string> Unescape(std::string_view text);

bool IsUtf8(std::string_view bytes);
// Under `name` where the bytes are UTF-8, else under `name`_base64.
void PutBytes(Json& object, const std::string& name, std::string_view bytes);

// "1.5 GiB"; whole numbers below 1 KiB.
std::string Bytes(uint64_t bytes);
// "1,234,567".
std::string Number(uint64_t number);
// "96.3%".
std::string Percent(double ratio);
// Three significant places: "87us", "1.25ms", "4m59s".
std::string Short(absl::Duration duration);
// For a time to live: to the tenth of a second, or "never".
std::string Ttl(const std::optional<absl::Duration>& ttl);
// null: never.
Json TtlJson(const std::optional<absl::Duration>& ttl);
// 16 hexadecimal digits.
std::string Hex(uint64_t number);

}  // namespace atoll::cli
