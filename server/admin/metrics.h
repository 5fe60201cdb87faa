// A node's figures in Prometheus' text format.
//
// Names begin with atoll_ and end in their unit: _seconds, _bytes, _total for counts since the
// start.
#pragma once

#include <string>
#include <string_view>

#include "server/admin/figures.h"

namespace atoll::admin {

// `node` and `version` become labels of atoll_build_info alone: Prometheus knows the instance.
std::string MetricsText(const NodeFigures& figures, std::string_view node,
                        std::string_view version);

}  // namespace atoll::admin
