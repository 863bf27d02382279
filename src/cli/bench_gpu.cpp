#include "cli/bench_gpu.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>

namespace pixellm::cli {
namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::ordered_json;

// Tokens a second of a prompt, or of greedy tokens one by one, in an empty session.
Result<double> speed(Session& session, std::span<const TokenId> ids, bool one_by_one) {
  session.truncate(0);
  const auto start = Clock::now();
  if (!one_by_one)
    PIXELLM_CHECK(session.feed(ids));
  else
    for (const TokenId& id : ids) PIXELLM_TRY(session.feed_best({&id, 1}));
  return static_cast<double>(ids.size()) / std::chrono::duration<double>(Clock::now() - start).count();
}

Result<Json> kernel_times(gpu::GpuBackend& backend, uint32_t context, uint32_t position) {
  std::map<std::string, std::pair<uint64_t, uint64_t>> by_shader;  // count, nanoseconds
  for (const auto& t : PIXELLM_TRY(backend.time_decode(context, position))) {
    auto& [count, ns] = by_shader[t.shader];
    count++, ns += t.nanoseconds;
  }
  Json rows = Json::array();
  for (const auto& [shader, sum] : by_shader)
    rows.push_back(
        {{"shader", shader}, {"dispatches", sum.first}, {"ms", static_cast<double>(sum.second) * 1e-6}});
  return rows;
}

std::string text_of(const Json& line) {
  std::string text;
  for (const auto& [key, value] : line.items()) {
    if (value.is_array())
      for (const auto& row : value)
        text += fmt::format("\n  {:24} {:4} dispatches {:9.3f} ms", row["shader"].get<std::string>(),
                            row["dispatches"].get<int>(), row["ms"].get<double>());
    else if (value.is_number_float())
      text += fmt::format("{}{} {:.2f}", text.empty() ? "" : "  ", key, value.get<double>());
    else
      text += fmt::format("{}{} {}", text.empty() ? "" : "  ", key,
                          value.is_string() ? value.get<std::string>() : value.dump());
  }
  return text;
}

}  // namespace

Result<void> bench_gpu(const Runtime& runtime, const BenchPlan& plan, uint32_t repeats, bool json,
                       bool profile) {
  gpu::GpuBackend& backend = *runtime.backend;
  SessionOptions options = plan.session;
  options.context = std::max({plan.prompt, plan.generate, 1u});
  const auto session = PIXELLM_TRY(runtime.new_session(options));
  std::vector<TokenId> ids;
  const uint32_t vocab_size = runtime.engine->config().vocab_size;
  for (uint64_t i = 0; i < options.context; i++)
    ids.push_back(static_cast<TokenId>((7 * i + 11) % vocab_size));
  PIXELLM_TRY(speed(*session, std::span(ids).first(1), true));  // warms up
  for (uint32_t i = 0; i < repeats; i++) {
    Json line = {{"device", backend.name()}};
    if (plan.prompt > 0)
      line[fmt::format("pp{}", plan.prompt)] =
          PIXELLM_TRY(speed(*session, std::span(ids).first(plan.prompt), false));
    const double read_gb_s = PIXELLM_TRY(backend.measure_read_gb_s());
    const auto bytes = static_cast<double>(runtime.engine->bytes_per_token());
    if (plan.generate > 0) {
      const double per_s = PIXELLM_TRY(speed(*session, std::span(ids).first(plan.generate), true));
      line[fmt::format("tg{}", plan.generate)] = per_s;
      line["read_share"] = per_s * bytes * 1e-9 / read_gb_s;
    }
    line["read_gb_s"] = read_gb_s;
    line["bytes_per_token"] = runtime.engine->bytes_per_token();
    line["dispatches_per_token"] = backend.dispatches_a_token();
    line["dispatches_per_layer"] = backend.dispatches_a_layer();
    if (profile)
      line["kernels"] =
          PIXELLM_TRY(kernel_times(backend, options.context, std::min(plan.generate, options.context) / 2));
    fmt::print("{}\n", json ? line.dump() : text_of(line));
    std::fflush(stdout);
  }
  return {};
}

}  // namespace pixellm::cli
