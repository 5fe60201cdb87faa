// Between the messages of administration and the public structs.
//
// Thread safety: pure functions.
#pragma once

#include "atoll/v1/admin.pb.h"
#include "atoll/v1/topology.pb.h"
#include "client/include/atoll/admin.h"

namespace atoll::client {

void FromSettings(const NamespaceSettings& settings, v1::NamespaceSettings* message);
Namespace ToNamespace(const v1::Namespace& message);
Node ToNode(const v1::Node& message);
NodeSummary ToNodeSummary(const v1::NodeSummary& message);
NodeStats ToNodeStats(const v1::GetStatsResponse& message);
Topology ToTopology(const v1::PlacementMap& message);
Explanation ToExplanation(const v1::ExplainResponse& message);
ClusterHealth ToClusterHealth(const v1::GetClusterHealthResponse& message);

}  // namespace atoll::client
