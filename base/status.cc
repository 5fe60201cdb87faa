#include "base/status.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/strings.h"

namespace atoll::base {
namespace {

// Protobuf's wire format, as far as ErrorInfo needs it: length-delimited fields 1 to 3.
void AppendVarint(std::string& out, uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

void AppendField(std::string& out, int number, std::string_view bytes) {
  out.push_back(static_cast<char>(number << 3 | 2));
  AppendVarint(out, bytes.size());
  out.append(bytes);
}

std::optional<uint64_t> TakeVarint(std::string_view& in) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64 && !in.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(in.front());
    in.remove_prefix(1);
    value |= uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) {
      return value;
    }
  }
  return std::nullopt;
}

// Calls `field(number, bytes)` for each; false if the message is malformed or has a field of
// another wire type.
template <typename F>
bool ForEachField(std::string_view in, F field) {
  while (!in.empty()) {
    const std::optional<uint64_t> tag = TakeVarint(in);
    if (!tag || (*tag & 7) != 2) {
      return false;
    }
    const std::optional<uint64_t> size = TakeVarint(in);
    if (!size || *size > in.size()) {
      return false;
    }
    field(*tag >> 3, in.substr(0, *size));
    in.remove_prefix(*size);
  }
  return true;
}

struct ErrorInfo {
  std::string reason;
  std::string domain;
  Metadata metadata;
};

std::string Encode(const ErrorInfo& info) {
  std::string out;
  AppendField(out, 1, info.reason);
  AppendField(out, 2, info.domain);
  for (const auto& [key, value] : info.metadata) {
    std::string entry;
    AppendField(entry, 1, key);
    AppendField(entry, 2, value);
    AppendField(out, 3, entry);
  }
  return out;
}

// Nothing if there is none, or not ours.
std::optional<ErrorInfo> Decode(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(AsAbsl(kErrorInfoUrl));
  if (!payload) {
    return std::nullopt;
  }
  ErrorInfo info;
  const std::string bytes(*payload);
  bool entries_whole = true;
  const bool whole = ForEachField(bytes, [&](uint64_t number, std::string_view field) {
    if (number == 1) {
      info.reason = field;
    } else if (number == 2) {
      info.domain = field;
    } else if (number == 3) {
      std::string key;
      std::string value;
      entries_whole &= ForEachField(
          field, [&](uint64_t part, std::string_view text) { (part == 1 ? key : value) = text; });
      info.metadata[key] = value;
    }
  });
  if (!whole || !entries_whole || info.domain != kErrorDomain) {
    return std::nullopt;
  }
  return info;
}

}  // namespace

absl::Status WithReason(absl::Status status, std::string_view reason, const Metadata& metadata) {
  ErrorInfo info{std::string(reason), std::string(kErrorDomain), metadata};
  status.SetPayload(AsAbsl(kErrorInfoUrl), absl::Cord(Encode(info)));
  return status;
}

std::string Reason(const absl::Status& status) {
  std::optional<ErrorInfo> info = Decode(status);
  return info ? std::move(info->reason) : std::string();
}

bool HasReason(const absl::Status& status, std::string_view reason) {
  return Reason(status) == reason;
}

Metadata ReasonMetadata(const absl::Status& status) {
  std::optional<ErrorInfo> info = Decode(status);
  return info ? std::move(info->metadata) : Metadata();
}

absl::Status Overloaded(std::string_view message, absl::Duration retry_after) {
  const int64_t ms = std::max<int64_t>(1, absl::ToInt64Milliseconds(retry_after));
  return WithReason(absl::ResourceExhaustedError(AsAbsl(message)), reason::kOverload,
                    {{kRetryAfterMs, absl::StrCat(ms)}});
}

absl::Status InvalidArgument(std::string_view field, std::string_view what,
                             std::string_view limit) {
  return WithReason(absl::InvalidArgumentError(
                        absl::StrCat(AsAbsl(field), ": ", AsAbsl(what), ", limit ", AsAbsl(limit))),
                    reason::kBadArgument, {{"field", std::string(field)}});
}

absl::Status InvalidArgument(std::string_view field, std::string_view what, uint64_t limit) {
  return InvalidArgument(field, what, std::to_string(limit));
}

absl::Status InvalidArgument(std::string_view field, std::string_view what) {
  return WithReason(absl::InvalidArgumentError(absl::StrCat(AsAbsl(field), ": ", AsAbsl(what))),
                    reason::kBadArgument, {{"field", std::string(field)}});
}

}  // namespace atoll::base
