#include "server/admin/metrics.h"

#include <utility>
#include <vector>

#include "prometheus/client_metric.h"
#include "prometheus/metric_family.h"
#include "prometheus/metric_type.h"
#include "prometheus/text_serializer.h"

namespace atoll::admin {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

class Families {
 public:
  // A value that goes up and down.
  void Gauge(const char* name, const char* help, double value) {
    Add(name, help, MetricType::Gauge).push_back(Metric(MetricType::Gauge, value));
  }
  // A count since the start; `name` ends in _total.
  void Counter(const char* name, const char* help, uint64_t value) {
    Add(name, help, MetricType::Counter)
        .push_back(Metric(MetricType::Counter, static_cast<double>(value)));
  }
  // One family, a value for each of a label's values.
  struct Labelled {
    const char* label;
    double value;
  };
  void Group(const char* name, const char* help, MetricType type, const char* label,
             const std::vector<Labelled>& values) {
    std::vector<ClientMetric>& metrics = Add(name, help, type);
    for (const Labelled& one : values) {
      ClientMetric metric = Metric(type, one.value);
      metric.label.push_back({label, one.label});
      metrics.push_back(std::move(metric));
    }
  }
  void Info(const char* name, const char* help, std::vector<ClientMetric::Label> labels) {
    ClientMetric metric = Metric(MetricType::Gauge, 1);
    metric.label = std::move(labels);
    Add(name, help, MetricType::Gauge).push_back(std::move(metric));
  }

  const std::vector<MetricFamily>& all() const { return families_; }

 private:
  std::vector<ClientMetric>& Add(const char* name, const char* help, MetricType type) {
    MetricFamily family;
    family.name = name;
    family.help = help;
    family.type = type;
    families_.push_back(std::move(family));
    return families_.back().metric;
  }
  static ClientMetric Metric(MetricType type, double value) {
    ClientMetric metric;
    if (type == MetricType::Counter) {
      metric.counter.value = value;
    } else {
      metric.gauge.value = value;
    }
    return metric;
  }

  std::vector<MetricFamily> families_;
};

double AsDouble(uint64_t value) { return static_cast<double>(value); }

void AddMemory(const NodeFigures& figures, Families& out) {
  const store::StoreStats& store = figures.store;
  out.Gauge("atoll_items", "Entries held, as primary and as replica", AsDouble(store.items));
  out.Gauge("atoll_tombstones", "Deletions that are still remembered", AsDouble(store.tombstones));
  out.Gauge("atoll_memory_limit_bytes", "--memory: arena, index and ghosts",
            AsDouble(store.memory_limit_bytes));
  out.Gauge("atoll_memory_used_bytes", "How much of it is in use",
            AsDouble(store.memory_used_bytes));
  out.Group("atoll_memory_bytes", "Parts of the memory in use", MetricType::Gauge, "part",
            {{"live", AsDouble(store.live_bytes)},
             {"dead", AsDouble(store.dead_bytes)},
             {"pinned", AsDouble(store.pinned_bytes)},
             {"index", AsDouble(store.index_bytes)},
             {"ghost", AsDouble(store.ghost_bytes)}});
  out.Counter("atoll_evictions_total", "Entries evicted for room", store.evictions);
  out.Counter("atoll_expirations_total", "Entries removed because their time was up",
              store.expirations);
  out.Counter("atoll_large_value_copies_total", "Copies of values above 8 KiB made by the engine",
              store.large_value_copies);
  out.Group("atoll_budget_bytes", "What the process may take besides --memory", MetricType::Gauge,
            "of",
            {{"rpc", AsDouble(figures.rpc_budget_bytes)},
             {"rocksdb", AsDouble(figures.rocksdb_budget_bytes)},
             {"rest", AsDouble(figures.rest_budget_bytes)}});
  out.Gauge("atoll_process_anonymous_bytes", "Anonymous resident memory of the process",
            AsDouble(figures.rss_anonymous_bytes));
}

void AddOperations(const NodeFigures& figures, Families& out) {
  out.Group("atoll_operations_total", "Operations, each key counted", MetricType::Counter, "kind",
            {{"read", AsDouble(figures.reads)}, {"write", AsDouble(figures.writes)}});
  out.Counter("atoll_hits_total", "Reads that found an entry", figures.store.hits);
  out.Counter("atoll_misses_total", "Reads that found none", figures.store.misses);
  out.Counter("atoll_forwarded_total", "Operations sent on to their owner", figures.forwarded);
  out.Counter("atoll_collapsed_total", "Reads that shared another's flight", figures.collapsed);
  out.Counter("atoll_refused_total", "Operations refused for overload", figures.refused);
  out.Counter("atoll_failed_total", "Operations that ended with another error", figures.failed);
  out.Gauge("atoll_operations_per_second", "Over the last 10 s", figures.ops_per_second);
  out.Group(
      "atoll_operation_latency_seconds", "Over the last 10 s", MetricType::Gauge, "quantile",
      {{"0.5", absl::ToDoubleSeconds(figures.p50)}, {"0.99", absl::ToDoubleSeconds(figures.p99)}});
}

void AddCluster(const NodeFigures& figures, Families& out) {
  out.Group("atoll_partitions", "Partitions by this node's role in them", MetricType::Gauge, "role",
            {{"primary", AsDouble(figures.primaries)},
             {"replica", AsDouble(figures.replicas)},
             {"learner", AsDouble(figures.learners)}});
  out.Gauge("atoll_partitions_under_replicated", "Own partitions with too few copies in sync",
            AsDouble(figures.under_replicated));
  out.Gauge("atoll_replication_lag_records", "Records not acknowledged by every in-sync replica",
            AsDouble(figures.replication_lag_records));
  out.Gauge("atoll_replication_lag_seconds", "Age of the oldest of them",
            absl::ToDoubleSeconds(figures.replication_lag));
  out.Counter("atoll_warm_hints_sent_total", "Entries that replicas were told to be warm",
              figures.warm_hints_sent);
  out.Counter("atoll_warm_hints_dropped_total",
              "Warm entries that replicas were not told of: more than links or memory take",
              figures.warm_hints_dropped);
  out.Counter("atoll_warm_hints_applied_total",
              "Entries kept because their primary told that they are warm",
              figures.warm_hints_applied);
  out.Gauge("atoll_map_version", "Of the placement map in use", AsDouble(figures.map_version));
  out.Gauge("atoll_coordinator_up", "1 if the coordinator answers", figures.coordinator_up ? 1 : 0);
  out.Gauge("atoll_controller", "1 if this node writes the placement map",
            figures.controller ? 1 : 0);
}

void AddDisk(const NodeFigures& figures, Families& out) {
  out.Gauge("atoll_disk_entries", "Entries in the warm tier", AsDouble(figures.disk_entries));
  out.Gauge("atoll_disk_bytes", "Size of the warm tier", AsDouble(figures.disk_bytes));
  out.Gauge("atoll_disk_limit_bytes", "--disk", AsDouble(figures.disk_limit_bytes));
  out.Gauge("atoll_disk_queue_bytes", "Entries waiting to be written behind",
            AsDouble(figures.disk_queue_bytes));
  out.Counter("atoll_disk_written_total", "Entries written behind", figures.disk_written);
  out.Counter("atoll_disk_given_up_total", "Warm entries that were not persisted",
              figures.disk_given_up);
  out.Gauge("atoll_disk_failing", "1 if the disk refused the last write",
            figures.disk_failing ? 1 : 0);
}

}  // namespace

std::string MetricsText(const NodeFigures& figures, std::string_view node,
                        std::string_view version) {
  Families families;
  families.Info("atoll_build_info", "Which node and program this is",
                {{"node", std::string(node)}, {"version", std::string(version)}});
  families.Gauge("atoll_uptime_seconds", "Since the start of the process",
                 absl::ToDoubleSeconds(figures.uptime));
  AddOperations(figures, families);
  AddMemory(figures, families);
  AddCluster(figures, families);
  AddDisk(figures, families);
  return prometheus::TextSerializer().Serialize(families.all());
}

}  // namespace atoll::admin
