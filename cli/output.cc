#include "cli/output.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/strings.h"

namespace atoll::cli {
namespace {

// Characters, not bytes; what is wider than one column is not foreseen.
size_t Width(std::string_view text) {
  size_t width = 0;
  for (const char c : text) width += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
  return width;
}

bool LooksNumeric(std::string_view cell) {
  if (cell.empty() || cell == "-") return true;
  // An address is none.
  return cell[0] >= '0' && cell[0] <= '9' && cell.find(':') == std::string_view::npos;
}

// The length of the UTF-8 character at the front of `bytes`; 0 if there is none.
size_t Utf8Length(std::string_view bytes) {
  const auto byte = [bytes](size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xF0 && first <= 0xF4   ? 4
                        : first >= 0xE0 && first <= 0xEF ? 3
                        : first >= 0xC2 && first <= 0xDF ? 2
                                                         : 0;
  if (length == 0 || bytes.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  // Overlong forms, surrogates, and what lies beyond Unicode.
  if (first == 0xE0 && byte(1) < 0xA0) return 0;
  if (first == 0xED && byte(1) > 0x9F) return 0;
  if (first == 0xF0 && byte(1) < 0x90) return 0;
  if (first == 0xF4 && byte(1) > 0x8F) return 0;
  return length;
}

}  // namespace

void Table::PrintRaw(std::ostream& out) const {
  for (const std::vector<std::string>& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) out << (i == 0 ? "" : "\t") << row[i];
    out << "\n";
  }
}

void Table::Print(std::ostream& out) const {
  std::vector<size_t> widths;
  std::vector<bool> right;
  for (size_t i = 0; i < header_.size(); ++i) {
    size_t width = Width(header_[i]);
    size_t numeric = 0;
    for (const std::vector<std::string>& row : rows_) {
      width = std::max(width, Width(row[i]));
      numeric += LooksNumeric(row[i]) ? 1 : 0;
    }
    widths.push_back(width);
    right.push_back(i > 0 && numeric * 10 >= rows_.size() * 9);
  }
  const auto print = [&](const std::vector<std::string>& row) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string space(widths[i] - Width(row[i]), ' ');
      if (i > 0) line += "  ";
      line += right[i] ? space + row[i] : row[i] + space;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out << line << "\n";
  };
  print(header_);
  for (const std::vector<std::string>& row : rows_) print(row);
}

bool IsUtf8(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t length = Utf8Length(bytes);
    if (length == 0) return false;
    bytes.remove_prefix(length);
  }
  return true;
}

std::string Escape(std::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    const char c = bytes[0];
    const size_t length = Utf8Length(bytes);
    if (c == '\\') {
      text += "\\\\";
    } else if (c == '\t') {
      text += "\\t";
    } else if (c == '\n') {
      text += "\\n";
    } else if (c == '\r') {
      text += "\\r";
    } else if (length == 0 || (length == 1 && (c < 0x20 || c == 0x7F))) {
      text += absl::StrFormat("\\x%02x", static_cast<unsigned char>(c));
    } else {
      text.append(bytes.substr(0, length));
    }
    bytes.remove_prefix(std::max<size_t>(length, 1));
  }
  return text;
}

std::optional<std::string> Unescape(std::string_view text) {
  std::string bytes;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      bytes += text[i];
      continue;
    }
    if (++i == text.size()) return std::nullopt;
    switch (text[i]) {
      case 't':
        bytes += '\t';
        break;
      case 'n':
        bytes += '\n';
        break;
      case 'r':
        bytes += '\r';
        break;
      case '\\':
      case '"':
      case '\'':
      case ' ':
        bytes += text[i];
        break;
      case 'x': {
        const auto digit = [](char c) {
          return c >= '0' && c <= '9'   ? c - '0'
                 : c >= 'a' && c <= 'f' ? c - 'a' + 10
                 : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                        : -1;
        };
        if (i + 2 >= text.size()) return std::nullopt;
        const int high = digit(text[i + 1]);
        const int low = digit(text[i + 2]);
        if (high < 0 || low < 0) return std::nullopt;
        bytes += static_cast<char>(high * 16 + low);
        i += 2;
        break;
      }
      default:
        return std::nullopt;
    }
  }
  return bytes;
}

void PutBytes(Json& object, const std::string& name, std::string_view bytes) {
  if (IsUtf8(bytes)) {
    object[name] = std::string(bytes);
  } else {
    object[name + "_base64"] = absl::Base64Escape(base::AsAbsl(bytes));
  }
}

std::string Bytes(uint64_t bytes) {
  static constexpr std::array<const char*, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  double amount = static_cast<double>(bytes);
  size_t unit = 0;
  while (amount >= 1024 && unit + 1 < kUnits.size()) {
    amount /= 1024;
    ++unit;
  }
  if (unit == 0) return absl::StrCat(bytes, " B");
  return absl::StrFormat("%.*f %s", amount < 10 ? 2 : amount < 100 ? 1 : 0, amount, kUnits[unit]);
}

std::string Number(uint64_t number) {
  std::string digits = absl::StrCat(number);
  for (size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, ",");
  return digits;
}

std::string Percent(double ratio) { return absl::StrFormat("%.1f%%", ratio * 100); }

std::string Short(absl::Duration duration) {
  if (duration >= absl::Minutes(1)) {
    return absl::FormatDuration(absl::Trunc(duration, absl::Seconds(1)));
  }
  const double us = absl::ToDoubleMicroseconds(duration);
  const auto three = [](double value, const char* unit) {
    return absl::StrFormat("%.*f%s", value < 10 ? 2 : value < 100 ? 1 : 0, value, unit);
  };
  if (us == 0) return "0us";
  if (us < 1000) return three(us, "us");
  if (us < 1'000'000) return three(us / 1000, "ms");
  return three(us / 1'000'000, "s");
}

std::string Ttl(const std::optional<absl::Duration>& ttl) {
  if (!ttl.has_value()) return "never";
  return absl::FormatDuration(absl::Trunc(*ttl, absl::Milliseconds(100)));
}

Json TtlJson(const std::optional<absl::Duration>& ttl) {
  if (!ttl.has_value()) return nullptr;
  return absl::ToInt64Milliseconds(*ttl);
}

std::string Hex(uint64_t number) { return absl::StrFormat("%016x", number); }

}  // namespace atoll::cli
