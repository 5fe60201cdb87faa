#include "ring/shares.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <string_view>

#include "base/hash.h"

namespace atoll::ring {
namespace {

// Shares are fractions with denominators of at most the sum of weights (30,000), so what is nearer
// to a whole number than this is that number and an error of rounding.
constexpr double kSnap = 1e-6;

double Snap(double value) {
  const double whole = std::round(value);
  return std::abs(value - whole) < kSnap ? whole : value;
}

// The smallest `theta` in [0, high] for which `total(theta)`, which never falls, reaches `wanted`.
double Solve(const std::function<double(double)>& total, double wanted, double high) {
  double low = 0;
  for (int i = 0; i < 100; ++i) {
    const double middle = (low + high) / 2;
    (total(middle) < wanted ? low : high) = middle;
  }
  return high;
}

// Something with a share to be rounded: a node or a zone.
struct Rounded {
  std::string_view name;
  double share = 0;
  uint64_t current = 0;
};

// Floors, and ceilings for as many as it takes to reach `total`.
std::vector<uint64_t> RoundTo(const std::vector<Rounded>& items, uint64_t total) {
  std::vector<uint64_t> rounded(items.size());
  std::vector<size_t> raisable;
  uint64_t sum = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    rounded[i] = static_cast<uint64_t>(std::floor(items[i].share));
    sum += rounded[i];
    if (static_cast<double>(rounded[i]) < items[i].share) raisable.push_back(i);
  }
  struct Key {
    bool has_ceiling;
    uint64_t hash;
  };
  std::vector<Key> keys(items.size());
  for (const size_t i : raisable) {
    keys[i] = {items[i].current > rounded[i], base::HashKey("ceiling", items[i].name)};
  }
  std::sort(raisable.begin(), raisable.end(), [&](size_t a, size_t b) {
    if (keys[a].has_ceiling != keys[b].has_ceiling) return keys[a].has_ceiling;
    if (keys[a].hash != keys[b].hash) return keys[a].hash < keys[b].hash;
    return items[a].name < items[b].name;
  });
  for (const size_t i : raisable) {
    if (sum >= total) break;
    ++rounded[i];
    ++sum;
  }
  return rounded;
}

}  // namespace

uint32_t CopiesPerZone(uint32_t zones, uint32_t copies) {
  if (zones == 0) return copies;
  return (copies + zones - 1) / zones;
}

std::vector<double> FairShares(const std::vector<ShareNode>& nodes, uint32_t zones, uint32_t copies,
                               uint32_t partitions) {
  std::vector<double> shares(nodes.size());
  if (nodes.empty()) return shares;
  std::vector<std::vector<size_t>> by_zone(zones);
  for (size_t i = 0; i < nodes.size(); ++i) by_zone[nodes[i].zone].push_back(i);
  const uint32_t per_zone = CopiesPerZone(zones, copies);
  const double full = partitions;
  const auto node_share = [&](size_t i, double theta) {
    return std::min(full, theta * nodes[i].weight);
  };
  const auto zone_sum = [&](size_t zone, double theta) {
    double sum = 0;
    for (const size_t i : by_zone[zone]) sum += node_share(i, theta);
    return sum;
  };
  const auto zone_limit = [&](size_t zone) {
    return full * std::min<double>(per_zone, static_cast<double>(by_zone[zone].size()));
  };
  // Weights are at least 1: at theta == full every node is full.
  const double theta = Solve(
      [&](double at) {
        double sum = 0;
        for (size_t zone = 0; zone < zones; ++zone) {
          sum += std::min(zone_limit(zone), zone_sum(zone, at));
        }
        return sum;
      },
      full * copies, full);
  for (size_t zone = 0; zone < zones; ++zone) {
    double own = theta;
    if (zone_sum(zone, theta) > zone_limit(zone)) {
      own = Solve([&](double at) { return zone_sum(zone, at); }, zone_limit(zone), full);
    }
    for (const size_t i : by_zone[zone]) shares[i] = Snap(node_share(i, own));
  }
  return shares;
}

std::vector<uint32_t> RoundShares(const std::vector<ShareNode>& nodes,
                                  const std::vector<std::string>& zones,
                                  const std::vector<double>& shares,
                                  const std::vector<uint32_t>& current) {
  std::vector<Rounded> zone_items(zones.size());
  double total = 0;
  for (size_t zone = 0; zone < zones.size(); ++zone) zone_items[zone].name = zones[zone];
  for (size_t i = 0; i < nodes.size(); ++i) {
    zone_items[nodes[i].zone].share += shares[i];
    zone_items[nodes[i].zone].current += current[i];
    total += shares[i];
  }
  for (Rounded& zone : zone_items) zone.share = Snap(zone.share);
  const std::vector<uint64_t> zone_totals =
      RoundTo(zone_items, static_cast<uint64_t>(std::llround(total)));

  std::vector<uint32_t> rounded(nodes.size());
  for (size_t zone = 0; zone < zones.size(); ++zone) {
    std::vector<Rounded> items;
    std::vector<size_t> places;
    for (size_t i = 0; i < nodes.size(); ++i) {
      if (nodes[i].zone != zone) continue;
      items.push_back({nodes[i].name, shares[i], current[i]});
      places.push_back(i);
    }
    const std::vector<uint64_t> counts = RoundTo(items, zone_totals[zone]);
    for (size_t k = 0; k < places.size(); ++k) {
      rounded[places[k]] = static_cast<uint32_t>(counts[k]);
    }
  }
  return rounded;
}

}  // namespace atoll::ring
