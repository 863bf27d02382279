#include "gpu/certify.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "infer/sampler.h"

namespace pixellm::gpu {

Result<Agreement> compare_sessions(Session& first, Session& second, std::span<const TokenId> ids) {
  constexpr size_t kAtOnce = 16;  // logits of a vocabulary are large
  Session* const sessions[] = {&first, &second};
  Agreement a;
  double difference = 0, squares = 0, nll[2] = {0, 0};
  uint64_t same = 0;
  for (Session* s : sessions) s->truncate(0);
  for (size_t at = 0; at < ids.size(); at += kAtOnce) {
    const auto some = ids.subspan(at, std::min(kAtOnce, ids.size() - at));
    std::vector<std::vector<float>> rows[2];
    for (size_t i = 0; i < 2; i++)
      PIXELLM_CHECK(
          sessions[i]->feed_each(some, [&](uint32_t, std::span<const float> logits) -> Result<void> {
            rows[i].emplace_back(logits.begin(), logits.end());
            return {};
          }));
    for (size_t t = 0; t < some.size(); t++) {
      const auto &x = rows[0][t], &y = rows[1][t];
      for (size_t i = 0; i < x.size(); i++) {
        const double d = double{y[i]} - x[i];
        difference += d * d;
        squares += double{x[i]} * x[i];
        a.largest = std::max(a.largest, std::abs(d));
      }
      same += argmax(x) == argmax(y);
      if (at + t + 1 < ids.size())
        for (size_t i = 0; i < 2; i++)
          nll[i] += log_sum_exp(rows[i][t]) - rows[i][t][static_cast<size_t>(ids[at + t + 1])];
    }
  }
  a.tokens = ids.size();
  a.rms = squares > 0 ? std::sqrt(difference / squares) : 0;
  a.top1 = static_cast<double>(same) / static_cast<double>(ids.size());
  for (size_t i = 0; i < 2; i++)
    a.perplexity[i] = std::exp(nll[i] / static_cast<double>(std::max<size_t>(ids.size(), 2) - 1));
  return a;
}

Result<std::vector<TokenId>> sample_text(Session& session, TokenId start, uint32_t count) {
  std::vector<TokenId> ids = {start};
  std::optional<Sampler> sampler;
  session.truncate(0);
  while (ids.size() < count) {
    PIXELLM_CHECK(session.feed({&ids.back(), 1}));
    if (!sampler)
      sampler = PIXELLM_TRY(Sampler::create({.temperature = 1, .top_p = 0.95f, .seed = 1},
                                            static_cast<uint32_t>(session.logits().size())));
    ids.push_back(sampler->sample(session.logits()));
  }
  return ids;
}

}  // namespace pixellm::gpu
