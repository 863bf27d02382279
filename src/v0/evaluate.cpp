#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "v0/train.h"

namespace pixellm::v0 {
namespace {

constexpr uint64_t kWindows = 4096;

double entropy(const std::vector<uint32_t>& counts, double total) {
  double sum = 0;
  for (const uint32_t n : counts)
    if (n > 0) sum -= n / total * std::log(n / total);
  return sum;
}

double loss_of(const std::vector<float>& logits, size_t target) {
  const double largest = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float l : logits) sum += std::exp(l - largest);
  return std::log(sum) - (logits[target] - largest);
}

}  // namespace

Result<Evaluation> evaluate(const Network& network, std::span<const TokenId> tokens, Objective objective,
                            uint32_t window, ThreadPool& pool) {
  if (window == 0 || tokens.size() < uint64_t{window} + 2)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("v0: the text has {} tokens; a window of {} needs at least {}", tokens.size(),
                            window, uint64_t{window} + 2));
  const uint64_t places = tokens.size() - window, count = std::min(kWindows, places);
  const auto start = [&](uint64_t i) { return i * places / count; };
  const auto target = [&](uint64_t i) { return tokens[target_index(start(i), objective, window)]; };
  std::vector<double> losses(count);
  pool.run([&](Worker& worker) {
    const auto [begin, end] = worker.share(count);
    for (uint64_t i = begin; i < end; i++)
      losses[i] = loss_of(forward(network, tokens.subspan(start(i), window)).logits, target(i));
  });
  Evaluation result;
  result.windows = static_cast<uint32_t>(count);
  std::vector<uint32_t> counts(network.vocab_size);
  for (uint64_t i = 0; i < count; i++) {
    result.loss += losses[i] / static_cast<double>(count);
    counts[target(i)]++;
  }
  result.constant = entropy(counts, static_cast<double>(count));
  return result;
}

}  // namespace pixellm::v0
