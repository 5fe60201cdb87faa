#include "tests/support/ledger.h"

#include <algorithm>
#include <iostream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"

namespace atoll::test {

std::string Ledger::ValueOf(int key, uint64_t number) const {
  return absl::StrCat(number, "/", KeyOf(key), "/") +
         std::string(padding_, static_cast<char>('a' + number % 26));
}

void Ledger::NoteFailure(int key, const absl::Status& status) {
  // The first few tell what went wrong; a fault test may have many.
  if (failures_.fetch_add(1) < 5) {
    std::cerr << "write of " << KeyOf(key) << ": " << status << " at " << absl::Now() << "\n";
  }
}

bool Ledger::Set(Client& client, int key, const SetOptions& options) {
  Record& record = keys_[key];
  const uint64_t number = ++record.attempted;
  const auto set = client.Set(KeyOf(key), ValueOf(key, number), options);
  if (!set.ok()) {
    NoteFailure(key, set.status());
    return false;
  }
  record.acknowledged = number;
  ++record.acknowledgements;
  return true;
}

bool Ledger::Delete(Client& client, int key) {
  Record& record = keys_[key];
  const uint64_t number = ++record.attempted;
  record.deletions.push_back(number);
  const auto deleted = client.Delete(KeyOf(key));
  if (!deleted.ok()) {
    NoteFailure(key, deleted.status());
    return false;
  }
  record.acknowledged = number;
  ++record.acknowledgements;
  return true;
}

std::string Ledger::Judge(int key, const GetResult& got, bool miss_is_legal) const {
  const Record& record = keys_[key];
  if (!got.found()) {
    // Right if the last acknowledged write, or one after it, was a deletion; or if nothing was
    // acknowledged.
    const bool deleted = record.acknowledged == 0 ||
                         std::any_of(record.deletions.begin(), record.deletions.end(),
                                     [&](uint64_t d) { return d >= record.acknowledged; });
    return deleted || miss_is_legal ? ""
                                    : absl::StrCat(KeyOf(key), ": lost, write ",
                                                   record.acknowledged, " was acknowledged");
  }
  const std::string value = got.value.ToString();
  uint64_t number = 0;
  if (!absl::SimpleAtoi(absl::string_view(value).substr(0, value.find('/')), &number) ||
      number > record.attempted || value != ValueOf(key, number)) {
    return absl::StrCat(KeyOf(key), ": a value that was never written: ", value.substr(0, 50));
  }
  if (number < record.acknowledged) {
    return absl::StrCat(KeyOf(key), ": write ", number, " is back, though ", record.acknowledged,
                        " was acknowledged");
  }
  return "";
}

std::string Ledger::Check(Client& client, int key, absl::Duration patience,
                          bool miss_is_legal) const {
  const absl::Time until = absl::Now() + patience;
  while (true) {
    const absl::StatusOr<GetResult> got = client.Get(KeyOf(key));
    if (got.ok()) {
      return Judge(key, *got, miss_is_legal);
    }
    if (absl::Now() > until) {
      return absl::StrCat(KeyOf(key), ": ", got.status().ToString());
    }
    absl::SleepFor(absl::Milliseconds(50));
  }
}

std::string Ledger::CheckAll(Client& client, absl::Duration patience, bool miss_is_legal) const {
  std::string first;
  int wrong = 0;
  for (int key = 0; key < size(); ++key) {
    std::string verdict = Check(client, key, patience, miss_is_legal);
    if (!verdict.empty()) {
      ++wrong;
      first = first.empty() ? verdict : first;
    }
  }
  return wrong == 0 ? "" : absl::StrCat(wrong, " of ", size(), " keys are wrong; ", first);
}

uint64_t Ledger::acknowledged() const {
  uint64_t sum = 0;
  for (const Record& record : keys_) {
    sum += record.acknowledgements;
  }
  return sum;
}

uint64_t Ledger::attempted() const {
  uint64_t sum = 0;
  for (const Record& record : keys_) {
    sum += record.attempted;
  }
  return sum;
}

}  // namespace atoll::test
