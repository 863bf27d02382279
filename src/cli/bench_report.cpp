#include "cli/bench_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/file.h"

namespace pixellm::cli {
namespace {

constexpr uint64_t kMaxSeriesBytes = uint64_t{16} << 20;

double rounded(double x) { return std::round(x * 100) / 100; }
double share(double part, double whole) { return whole > 0 ? part / whole : 0; }
double giga_per_s(uint64_t n, double seconds) {
  return seconds > 0 ? static_cast<double>(n) / seconds * 1e-9 : 0;
}

nlohmann::ordered_json roofline_json(const BenchPhase& phase, const Measured& m) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const auto& f : phase.formats) {
    const double gb_s = giga_per_s(f.bytes, f.seconds), gops = giga_per_s(f.operations, f.seconds);
    rows.push_back({{"type", traits(f.type).name},
                    {"ms", rounded(f.seconds * 1e3)},
                    {"bytes", f.bytes},
                    {"operations", f.operations},
                    {"gb_s", rounded(gb_s)},
                    {"read_share", rounded(share(gb_s, m.read_gb_s))},
                    {"gop_s", rounded(gops)},
                    {"int8_share", rounded(share(gops, m.int8_gops))}});
  }
  return rows;
}

nlohmann::ordered_json profile_json(const BenchPhase& phase) {
  nlohmann::ordered_json out = {{"tokens", phase.tokens}, {"ms", rounded(phase.seconds * 1e3)}};
  for (const auto& [operation, seconds] : phase.operations)
    out[std::string(kOperationNames[static_cast<size_t>(operation)])] = rounded(seconds * 1e3);
  return out;
}

std::string roofline_text(std::string_view name, const BenchPhase& phase, const Measured& m) {
  std::string text;
  for (const auto& f : phase.formats) {
    const double gb_s = giga_per_s(f.bytes, f.seconds), gops = giga_per_s(f.operations, f.seconds);
    text += fmt::format(
        "  {:9} {:5} {:8.2f} ms {:9} {:7.1f} GB/s {:4.0f} % of reading {:8.0f} GOP/s {:4.0f} % of int8 "
        "peak\n",
        name, traits(f.type).name, f.seconds * 1e3, human_bytes(f.bytes), gb_s,
        100 * share(gb_s, m.read_gb_s), gops, 100 * share(gops, m.int8_gops));
  }
  for (const auto& [operation, seconds] : phase.operations)
    if (operation == Operation::kBarrier)
      text += fmt::format("  {:9} waiting at barriers {:.2f} ms, {:.1f} % of {:.2f} ms\n", name,
                          seconds * 1e3, 100 * share(seconds, phase.seconds), phase.seconds * 1e3);
  return text;
}

std::string profile_text(std::string_view name, const BenchPhase& phase) {
  std::string text;
  double rest = phase.seconds;
  const auto line = [&](std::string_view what, double seconds) {
    text += fmt::format("  {:9} {:14} {:9.2f} ms {:5.1f} %\n", name, what, seconds * 1e3,
                        100 * share(seconds, phase.seconds));
  };
  for (const auto& [operation, seconds] : phase.operations) {
    line(kOperationNames[static_cast<size_t>(operation)], seconds);
    rest -= seconds;
  }
  line("outside", rest);
  return text;
}

double median(std::vector<double> v) {
  std::ranges::sort(v);
  const size_t n = v.size();
  return n % 2 == 1 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

}  // namespace

std::string bench_text(const Measured& m, const BenchContext& c) {
  std::string text = fmt::format("{} threads, {}:", c.threads, c.kernels);
  if (c.plan.prompt > 0) text += fmt::format("  pp{} {:.1f} tok/s", c.plan.prompt, m.prompt_per_s);
  if (c.plan.generate > 0) {
    const double gb_s = m.generate_per_s * static_cast<double>(c.bytes_per_token) * 1e-9;
    text += fmt::format("  tg{} {:.1f} tok/s = {:.1f} GB/s, {:.0f} % of reading", c.plan.generate,
                        m.generate_per_s, gb_s, 100 * share(gb_s, m.read_gb_s));
  }
  for (size_t i = 0; i < m.together_per_s.size(); i++)
    text += fmt::format("  x{} {:.1f} tok/s", c.plan.sequences[i], m.together_per_s[i]);
  text += fmt::format("  |  read {:.1f} GB/s  int8 {:.0f} GOP/s  ping {:.0f} ns\n", m.read_gb_s, m.int8_gops,
                      m.ping_ns);
  for (const auto& [name, phase] : {std::pair("prompt", &m.prompt_phase), {"generate", &m.generate_phase}}) {
    if (phase->tokens == 0) continue;
    if (c.roofline) text += roofline_text(name, *phase, m);
    if (c.profile) text += profile_text(name, *phase);
  }
  return text;
}

nlohmann::ordered_json bench_json(const Measured& m, const BenchContext& c) {
  nlohmann::ordered_json out = {{"threads", c.threads}};
  if (c.plan.prompt > 0) out[fmt::format("pp{}", c.plan.prompt)] = rounded(m.prompt_per_s);
  if (c.plan.generate > 0) out[fmt::format("tg{}", c.plan.generate)] = rounded(m.generate_per_s);
  for (size_t i = 0; i < m.together_per_s.size(); i++)
    out[fmt::format("tg{}x{}", c.plan.generate, c.plan.sequences[i])] = rounded(m.together_per_s[i]);
  out["read_gb_s"] = rounded(m.read_gb_s);
  out["int8_gops"] = rounded(m.int8_gops);
  out["bytes_per_token"] = c.bytes_per_token;
  out["ping_ns"] = rounded(m.ping_ns);
  out["kernels"] = c.kernels;
  for (const auto& [name, phase] : {std::pair("prompt", &m.prompt_phase), {"generate", &m.generate_phase}}) {
    if (phase->tokens == 0) continue;
    if (c.roofline) out["roofline"][name] = roofline_json(*phase, m);
    if (c.profile || c.roofline) out["profile"][name] = profile_json(*phase);
  }
  return out;
}

void add_to_series(const nlohmann::ordered_json& line, BenchSeries& series) {
  for (const auto& [key, value] : line.items())
    if ((key.starts_with("pp") || key.starts_with("tg")) && value.is_number())
      series[fmt::format("{} threads {}", line.at("threads").get<int64_t>(), key)].push_back(
          value.get<double>());
}

Result<BenchSeries> read_bench_series(const std::string& path) {
  const auto bytes = PIXELLM_TRY(read_file(path, kMaxSeriesBytes));
  std::istringstream lines(std::string(bytes.begin(), bytes.end()));
  BenchSeries series;
  std::string text;
  for (int number = 1; std::getline(lines, text); number++) {
    if (text.empty()) continue;
    const auto line = nlohmann::ordered_json::parse(text, nullptr, false);
    if (line.is_discarded() || !line.is_object())
      return fail(ErrorCode::kCorrupt, fmt::format("{}: line {} is no JSON object", path, number));
    if (line.contains("comparison")) continue;
    if (!line.contains("threads") || !line["threads"].is_number_integer())
      return fail(ErrorCode::kCorrupt,
                  fmt::format("{}: line {} is not one of bench --json: no threads", path, number));
    add_to_series(line, series);
  }
  if (series.empty())
    return fail(ErrorCode::kCorrupt, fmt::format("{}: holds no line of bench --json", path));
  return series;
}

nlohmann::ordered_json compare_series(const BenchSeries& before, const BenchSeries& now) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const auto& [name, values] : now) {
    const auto old = before.find(name);
    if (old == before.end()) continue;
    const double a = median(old->second), b = median(values);
    rows.push_back(
        {{"what", name}, {"before", rounded(a)}, {"now", rounded(b)}, {"ratio", rounded(share(b, a))}});
  }
  return {{"comparison", rows}};
}

std::string comparison_text(const nlohmann::ordered_json& comparison) {
  std::string text;
  for (const auto& row : comparison.at("comparison"))
    text += fmt::format("{}: {:.1f} tok/s before, {:.1f} now, {:.2f} x\n", row.at("what").get<std::string>(),
                        row.at("before").get<double>(), row.at("now").get<double>(),
                        row.at("ratio").get<double>());
  return text.empty() ? "nothing of the same threads and sizes to compare with\n" : text;
}

}  // namespace pixellm::cli
