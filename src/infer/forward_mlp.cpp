// Architecture mlp: logits = output(relu(hidden(mean of the embeddings so far))). A position's memory is the
// sum of the embeddings up to it, so that a sequence can go back to any position. Spec: spec/arithmetic.md,
// "Architecture mlp".
#include <algorithm>
#include <cstring>

#include "infer/arena.h"
#include "infer/computation.h"

namespace pixellm {
namespace {

class MeanMlp final : public Computation {
 public:
  static MadeComputation create(const Engine::Impl& engine, const SequenceSizes& sizes) {
    const ModelConfig& c = engine.config;
    auto s = std::make_unique<MeanMlp>(engine);
    const uint64_t widest = std::max(c.embedding_length, c.feed_forward_length);
    const auto activations = [&](bool present, ActivationKind kind) -> uint64_t {
      return present ? Activations::shape(sizes.batch, widest, kind).bytes_needed() : 0;
    };
    s->activations_ = sizes.activations;
    s->width_ = round_up(c.embedding_length, kCellRows);
    s->hidden_width_ = round_up(c.feed_forward_length, kCellRows);
    s->logits_width_ = round_up(c.vocab_size, kCellRows);
    Arena& m = s->memory_;
    s->context_ = sizes.context;
    const uint64_t sums = m.add<float>(sizes.context * s->width_), x = m.add<float>(sizes.batch * s->width_);
    const uint64_t hidden = m.add<float>(sizes.batch * s->hidden_width_);
    const uint64_t logits = m.add<float>(sizes.n_logits * s->logits_width_);
    const uint64_t blocks = m.add<uint8_t>(activations(engine.has_quantized, sizes.activations));
    const uint64_t floats = m.add<uint8_t>(activations(engine.has_float, ActivationKind::kFloat));
    PIXELLM_CHECK(m.reserve("working memory"));
    s->sums_ = m.at<float>(sums);
    s->x_ = m.at<float>(x);
    s->hidden_ = m.at<float>(hidden);
    s->logits_ = m.at<float>(logits);
    s->blocks_ = m.at<void>(blocks);
    s->floats_ = m.at<void>(floats);
    return s;
  }

  explicit MeanMlp(const Engine::Impl& engine) : e_(engine) {}

  void forward(const Step& step, Worker& w) override {
    const auto n = static_cast<uint32_t>(step.ids.size());
    embed(step.ids, w);
    average(step.position, n, w);
    if (step.output == Step::Output::kNone) return;
    const uint32_t first = step.output == Step::Output::kLast ? n - 1 : 0;
    compute_hidden(first, n - first, w);
    if (step.output == Step::Output::kLast) compute_logits(first, 1, w);
  }

  void forward_logits(uint32_t, uint32_t first, uint32_t count, Worker& w) override {
    compute_logits(first, count, w);
  }

  std::span<float> logits(uint32_t row) const override {
    return {logits_ + row * logits_width_, e_.config.vocab_size};
  }
  uint64_t cache_bytes() const override { return context_ * width_ * sizeof(float); }
  void copy_from(const Computation& other, uint32_t n_positions) override {
    std::memcpy(sums_, static_cast<const MeanMlp&>(other).sums_, n_positions * width_ * sizeof(float));
  }

 private:
  // x = the tokens' embeddings.
  void embed(std::span<const TokenId> ids, Worker& w) const {
    const auto [begin, end] = w.share(ids.size());
    for (uint64_t t = begin; t < end; t++)
      dequantize_row(e_.token_embedding, static_cast<uint64_t>(ids[t]), x_ + t * width_);
    w.barrier();
  }

  // Sums in the order of the tokens, x = sum / count. Every thread has columns of its own.
  void average(uint64_t position, uint32_t n, Worker& w) const {
    const auto [first, last] = w.share(width_ / kCellRows);
    const uint64_t begin = first * kCellRows, end = last * kCellRows;
    for (uint64_t t = 0; t < n; t++) {
      float *sum = sums_ + (position + t) * width_, *x = x_ + t * width_;
      const float* before = position + t == 0 ? nullptr : sum - width_;
      const auto count = static_cast<float>(position + t + 1);
      for (uint64_t i = begin; i < end; i++) {
        sum[i] = before ? before[i] + x[i] : x[i];
        x[i] = sum[i] / count;
      }
    }
    w.barrier();
  }

  // hidden = relu(W x + b) for tokens [first, first + count) of the step.
  void compute_hidden(uint32_t first, uint32_t count, Worker& w) const {
    const Activations in = prepare(e_.hidden, x_ + first * width_, width_, count, w);
    const auto [begin, end] = w.share(e_.hidden.weight.n_groups());
    float* out = hidden_ + first * hidden_width_;
    e_.hidden.apply(*e_.kernels, begin, end, in, out, hidden_width_);
    for (uint64_t t = 0; t < count; t++)
      for (uint64_t i = begin * kCellRows; i < end * kCellRows; i++) {
        float& h = out[t * hidden_width_ + i];
        if (h < 0) h = 0;  // so that a NaN stays
      }
    w.barrier();
  }

  void compute_logits(uint32_t first, uint32_t count, Worker& w) const {
    const Activations in = prepare(e_.output, hidden_ + first * hidden_width_, hidden_width_, count, w);
    const auto [begin, end] = w.share(e_.output.weight.n_groups());
    e_.output.apply(*e_.kernels, begin, end, in, logits_, logits_width_);
  }

  // The rows as `linear` multiplies them.
  Activations prepare(const Linear& linear, const float* rows, uint64_t stride, uint32_t count,
                      Worker& w) const {
    const ActivationKind kind = linear.is_float() ? ActivationKind::kFloat : activations_;
    Activations a = Activations::shape(count, linear.weight.k, kind);
    a.data = linear.is_float() ? floats_ : blocks_;
    const auto [begin, end] = w.share(a.n_panels());
    e_.kernels->prepare(rows, stride, linear.weight.k, static_cast<uint32_t>(begin),
                        static_cast<uint32_t>(end), a);
    w.barrier();
    return a;
  }

  const Engine::Impl& e_;
  Arena memory_;
  uint64_t context_ = 0, width_ = 0, hidden_width_ = 0, logits_width_ = 0;  // floats of a row
  float* sums_ = nullptr;                                                   // [context][width]
  float* x_ = nullptr;                                                      // [batch][width]
  float* hidden_ = nullptr;                                                 // [batch][hidden_width]
  float* logits_ = nullptr;                                                 // [n_logits][logits_width]
  void *blocks_ = nullptr, *floats_ = nullptr;
  ActivationKind activations_ = ActivationKind::kInt8;
};

}  // namespace

MadeComputation make_mean_mlp(const Engine::Impl& engine, const SequenceSizes& sizes) {
  return MeanMlp::create(engine, sizes);
}

}  // namespace pixellm
