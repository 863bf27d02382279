#include "infer/evaluate.h"

#include <fmt/format.h>

#include <limits>

#include "infer/portable_math.h"
#include "infer/sampler.h"

namespace pixellm {
namespace {

Result<void> check_sizes(size_t n_ids, uint32_t context, uint32_t stride) {
  if (context < 3)
    return fail(ErrorCode::kInvalidArgument, fmt::format("eval: context is {}, allowed from 3", context));
  if (stride > context)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("eval: stride is {}, allowed 1 to the context's {}", stride, context));
  if (n_ids <= context)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("eval: the text has {} tokens, one window of {} needs at least {}", n_ids,
                            context, uint64_t{context} + 1));
  return {};
}

}  // namespace

Result<Evaluation> evaluate(Session& session, const Tokenizer& tokenizer, std::span<const TokenId> ids,
                            uint32_t context, uint32_t stride,
                            const std::function<void(uint64_t done, uint64_t total)>& progress) {
  PIXELLM_CHECK(check_sizes(ids.size(), context, stride));
  const uint32_t step = stride == 0 ? context : stride;
  const uint32_t first_scored = step == context ? context / 2 + 1 : context - step;
  const uint64_t n_windows = (ids.size() - context - 1) / step + 1;
  Evaluation result;
  double total = 0;
  for (uint64_t w = 0; w < n_windows; w++) {
    const auto window = ids.subspan(w * step, context);
    session.truncate(0);
    // The logits after token i predict token i + 1; nothing is predicted from the last one.
    if (first_scored > 1) PIXELLM_CHECK(session.feed(window.first(first_scored - 1)));
    uint32_t scored = first_scored;
    const auto score = [&](uint32_t, std::span<const float> logits) -> Result<void> {
      const TokenId id = window[scored++];
      if (id < 0 || static_cast<size_t>(id) >= logits.size())
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("eval: token {} is outside the vocabulary of {}", id, logits.size()));
      total += log_sum_exp(logits) - static_cast<double>(logits[static_cast<size_t>(id)]);
      result.bytes += tokenizer.token_bytes(id, true).size();
      result.tokens++;
      return {};
    };
    PIXELLM_CHECK(session.feed_each(window.subspan(first_scored - 1, context - first_scored), score));
    if (progress) progress(w + 1, n_windows);
  }
  result.nll = total / static_cast<double>(result.tokens);
  result.perplexity = portable_exp(result.nll);
  result.bits_per_byte = total / (kLn2High + kLn2Low) / static_cast<double>(result.bytes);
  if (result.bytes == 0) result.bits_per_byte = std::numeric_limits<double>::quiet_NaN();
  return result;
}

}  // namespace pixellm
