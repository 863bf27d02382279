// How `pixellm bench` says what it measured.
#pragma once
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cli/bench_measure.h"

namespace pixellm::cli {

struct BenchContext {
  const BenchPlan& plan;
  int threads;
  uint64_t bytes_per_token;
  std::string kernels;
  bool roofline, profile;
};

std::string bench_text(const Measured& m, const BenchContext& c);  // a line, and tables when asked for
nlohmann::ordered_json bench_json(const Measured& m, const BenchContext& c);

// Speeds by "threads N" and key, one for each repeat.
using BenchSeries = std::map<std::string, std::vector<double>>;
void add_to_series(const nlohmann::ordered_json& line, BenchSeries& series);
// What `bench --json` printed some time ago. kCorrupt names the line that is no such object.
Result<BenchSeries> read_bench_series(const std::string& path);
// Medians before and now and their ratio, of what both have.
nlohmann::ordered_json compare_series(const BenchSeries& before, const BenchSeries& now);
std::string comparison_text(const nlohmann::ordered_json& comparison);

}  // namespace pixellm::cli
