// How long one choice of a token takes over a large vocabulary: the median of many calls for each kind of
// sampling and each kind of logits. One line for people and one JSON line for each.
//
//   sampler_bench --vocab 150000 --kind model,flat
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "infer/sampler.h"

namespace pixellm {
namespace {

struct Options {
  std::vector<std::string> kinds = {"model", "wide", "flat", "equal"};
  uint32_t vocab = 150'000;
  uint32_t runs = 400;
};

struct Way {
  std::string name;
  SamplerOptions options;
};

// model: what a trained network gives, a normal distribution and a few likely tokens above it; wide: without
// those, so that thousands share the probability; flat: nearly, and equal: exactly, the same for all.
std::vector<float> make_logits(const std::string& kind, uint32_t n) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, kind == "flat" ? 0.01f : kind == "equal" ? 0.0f : 3.0f);
  std::vector<float> logits(n);
  for (float& x : logits) x = normal(random);
  if (kind == "model")
    for (uint32_t i = 0; i < 8; i++) logits[random() % n] = 20.0f - static_cast<float>(i);
  return logits;
}

std::vector<Way> ways() {
  return {{"greedy", {}},
          {"greedy, penalty", {.repeat_penalty = 1.1f}},
          {"temperature", {.temperature = 0.8f}},
          {"top-k 40", {.temperature = 0.8f, .top_k = 40}},
          {"top-k 1000", {.temperature = 0.8f, .top_k = 1000}},
          {"top-p 0.95", {.temperature = 0.8f, .top_p = 0.95f}},
          {"min-p 0.05", {.temperature = 0.8f, .min_p = 0.05f}},
          {"top-p and min-p", {.temperature = 0.8f, .top_p = 0.95f, .min_p = 0.05f}},
          {"all three", {.temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f}},
          {"all and penalty",
           {.temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f, .repeat_penalty = 1.1f}}};
}

void measure(const Options& o, const std::string& kind, const Way& way) {
  using Clock = std::chrono::steady_clock;
  const auto logits = make_logits(kind, o.vocab);
  auto sampler = Sampler::create(way.options, o.vocab);
  PIXELLM_ASSERT(sampler);
  for (TokenId id = 0; id < 64; id++) sampler->accept(id);
  std::vector<double> times;
  uint64_t chosen = 0;
  for (uint32_t i = 0; i < o.runs; i++) {
    const auto start = Clock::now();
    chosen += static_cast<uint64_t>(sampler->sample(logits));
    times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
  }
  std::ranges::sort(times);
  const double median = times[times.size() / 2];
  fmt::print("{:6} {:16} {:7.3f} ms, fastest {:7.3f}\n", kind, way.name, median, times.front());
  const nlohmann::json line = {{"bench", "sampler"},     {"logits", kind},      {"way", way.name},
                               {"vocab", o.vocab},       {"runs", o.runs},      {"median_ms", median},
                               {"fastest_ms", times[0]}, {"sum_of_ids", chosen}};
  fmt::print("{}\n", line.dump());
  std::fflush(stdout);
}

}  // namespace
}  // namespace pixellm

int main(int argc, char** argv) {
  pixellm::Options options;
  CLI::App app("Time to choose one token, by kind of sampling and of logits");
  app.add_option("--kind", options.kinds, "model, wide, flat, equal (default: all)")
      ->delimiter(',')
      ->check(CLI::IsMember({"model", "wide", "flat", "equal"}));
  app.add_option("--vocab", options.vocab, "tokens in the vocabulary")->check(CLI::Range(1, 1 << 24));
  app.add_option("--runs", options.runs, "calls for each figure")->check(CLI::Range(1, 1'000'000));
  CLI11_PARSE(app, argc, argv);
  for (const std::string& kind : options.kinds)
    for (const auto& way : pixellm::ways()) pixellm::measure(options, kind, way);
}
