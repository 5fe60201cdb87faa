// Figures as people and programs read them.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "bench/histogram.h"
#include "nlohmann/json.hpp"

namespace atoll::bench {

// count, mean and quantiles to 99.99, in microseconds.
nlohmann::json LatencyJson(const Histogram& histogram);

// One line on stdout; nothing if the histogram is empty.
void PrintLatency(const char* name, const Histogram& histogram);

// INVALID_ARGUMENT if the file cannot be written.
absl::Status WriteJson(const std::string& path, const nlohmann::json& json);

}  // namespace atoll::bench
