// The transformers' memory (KV cache, scratch) and pass, as a Session sees them.
#include "infer/computation.h"
#include "infer/forward.h"

namespace pixellm {
namespace {

class Transformer final : public Computation {
 public:
  Transformer(const Engine::Impl& engine, KvCache cache, Scratch scratch)
      : engine_(engine), cache_(std::move(cache)), scratch_(std::move(scratch)) {}

  void forward(const Step& step, Worker& worker) override {
    pixellm::forward(engine_, scratch_, cache_, step, worker);
  }
  bool serves_others() const override { return true; }
  const KvCache& cache() const { return cache_; }
  void forward_logits(uint32_t step_tokens, uint32_t first, uint32_t count, Worker& worker) override {
    pixellm::forward_logits(engine_, scratch_, step_tokens, first, count, worker);
  }
  std::span<float> logits(uint32_t row) const override {
    return {scratch_.logits + row * scratch_.logits_stride, engine_.config.vocab_size};
  }
  uint64_t cache_bytes() const override { return cache_.bytes(); }
  void copy_from(const Computation& other, uint32_t n_positions) override {
    cache_.copy_from(static_cast<const Transformer&>(other).cache_, n_positions);
  }

 private:
  const Engine::Impl& engine_;
  KvCache cache_;
  Scratch scratch_;
};

}  // namespace

const KvCache& cache_of(const Computation& transformer) {
  return static_cast<const Transformer&>(transformer).cache();
}

MadeComputation make_transformer(const Engine::Impl& engine, const SequenceSizes& sizes) {
  KvCache cache = PIXELLM_TRY(KvCache::create(engine, sizes.context, sizes.cache));
  Scratch scratch = PIXELLM_TRY(Scratch::create(engine, sizes));
  return std::make_unique<Transformer>(engine, std::move(cache), std::move(scratch));
}

}  // namespace pixellm
