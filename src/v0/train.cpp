#include "v0/train.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "v0/products.h"
#include "v0/softmax.h"

namespace pixellm::v0 {
namespace {

Result<void> check(std::span<const TokenId> tokens, const TrainOptions& o) {
  if (o.steps == 0 || o.steps > kMaxSteps)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("v0: {} steps; 1 to {} are allowed", o.steps, kMaxSteps));
  if (!(o.lr > 0) || o.lr > kMaxRate)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("v0: learning rate {}; above 0 and at most {} is allowed", o.lr, kMaxRate));
  if (o.batch == 0 || o.batch > kMaxBatch)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("v0: batch {}; 1 to {} is allowed", o.batch, kMaxBatch));
  const uint32_t smallest =
      o.objective == Objective::kOriginal ? 2 : 1;  // its target stands inside the window
  if (o.window < smallest || o.window > kMaxWindow)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("v0: window {}; {} to {} is allowed", o.window, smallest, kMaxWindow));
  if (tokens.size() < uint64_t{o.window} + 2)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("v0: the corpus has {} tokens; a window of {} needs at least {}", tokens.size(),
                            o.window, o.window + 2));
  return {};
}

class Trainer {
 public:
  Trainer(std::span<const TokenId> tokens, const TrainOptions& options, Network network);

  // One step on the windows that begin at `starts`; the batch's mean loss before the update.
  double step(std::span<const int64_t> starts, ThreadPool& pool);
  Network& network() { return net_; }

 private:
  void forward(RowRange batch_rows);
  void softmax_row(size_t row);
  void hidden_gradient(RowRange dims);
  void input_gradient(RowRange dims);
  void update_matrices(RowRange dims);
  void update_biases(RowRange dims, RowRange vocab);
  void update_embedding(RowRange dims);

  std::span<const TokenId> window_of(size_t row) const {
    return tokens_.subspan(static_cast<size_t>(starts_[row]), options_.window);
  }

  std::span<const TokenId> tokens_;
  TrainOptions options_;
  Network net_;
  float rate_;
  std::span<const int64_t> starts_;
  size_t batch_, dim_, vocab_;

  // [batch, ...] unless said otherwise; *_t_ are transposed: [..., batch]
  std::vector<float> pooled_, before_, hidden_, logits_;  // logits_ becomes their gradient
  std::vector<float> d_logits_t_, d_hidden_, d_hidden_t_, d_pooled_t_;
  std::vector<float> d_embed_;  // [vocab, dim]
  std::vector<double> loss_;
};

Trainer::Trainer(std::span<const TokenId> tokens, const TrainOptions& options, Network network)
    : tokens_(tokens),
      options_(options),
      net_(std::move(network)),
      rate_(static_cast<float>(options.lr)),
      batch_(options.batch),
      dim_(net_.model_dim),
      vocab_(net_.vocab_size) {
  for (auto* v : {&pooled_, &before_, &hidden_, &d_hidden_, &d_hidden_t_, &d_pooled_t_})
    v->resize(batch_ * dim_);
  for (auto* v : {&logits_, &d_logits_t_}) v->resize(batch_ * vocab_);
  d_embed_.resize(vocab_ * dim_);
  loss_.resize(batch_);
}

double Trainer::step(std::span<const int64_t> starts, ThreadPool& pool) {
  starts_ = starts;
  pool.run([&](Worker& worker) {
    const auto share = [&](size_t n) {
      const auto [begin, end] = worker.share(n);
      return RowRange{begin, end};
    };
    const RowRange dims = share(dim_);
    forward(share(batch_));
    worker.barrier();
    hidden_gradient(dims);
    worker.barrier();
    input_gradient(dims);
    worker.barrier();  // the matrices were read for the last time
    update_matrices(dims);
    update_biases(dims, share(vocab_));
    update_embedding(dims);
  });
  double sum = 0;
  for (const double loss : loss_) sum += loss;
  return sum / static_cast<double>(batch_);
}

void Trainer::forward(RowRange rows) {
  for (size_t b = rows.begin; b < rows.end; b++) mean_embedding(net_, window_of(b), &pooled_[b * dim_]);
  multiply(rows, dim_, dim_, {pooled_.data(), dim_, 1}, net_.hidden.data(), dim_, before_.data(), dim_);
  for (size_t b = rows.begin; b < rows.end; b++) {
    for (size_t i = 0; i < dim_; i++) {
      before_[b * dim_ + i] += net_.b_hidden[i];
      hidden_[b * dim_ + i] = std::max(before_[b * dim_ + i], 0.0f);
    }
  }
  multiply(rows, vocab_, dim_, {hidden_.data(), dim_, 1}, net_.out.data(), vocab_, logits_.data(), vocab_);
  for (size_t b = rows.begin; b < rows.end; b++) softmax_row(b);
}

// Turns the row's logits into the gradient (p - onehot) / batch.
void Trainer::softmax_row(size_t b) {
  float* logits = &logits_[b * vocab_];
  for (size_t v = 0; v < vocab_; v++) logits[v] += net_.b_out[v];
  const size_t target =
      tokens_[target_index(static_cast<uint64_t>(starts_[b]), options_.objective, options_.window)];
  const float largest = *std::max_element(logits, logits + vocab_), wanted = logits[target] - largest;
  for (size_t v = 0; v < vocab_; v++) logits[v] = exp_nonpositive(logits[v] - largest);
  const float sum = pairwise_sum({logits, vocab_});
  const auto batch = static_cast<float>(batch_);
  for (size_t v = 0; v < vocab_; v++) logits[v] = (logits[v] / sum - (v == target ? 1.0f : 0.0f)) / batch;
  for (size_t v = 0; v < vocab_; v++) d_logits_t_[v * batch_ + b] = logits[v];
  loss_[b] = std::log(static_cast<double>(sum)) - static_cast<double>(wanted);
}

void Trainer::hidden_gradient(RowRange dims) {
  multiply(dims, batch_, vocab_, {net_.out.data(), vocab_, 1}, d_logits_t_.data(), batch_, d_hidden_t_.data(),
           batch_);
  for (size_t i = dims.begin; i < dims.end; i++) {
    for (size_t b = 0; b < batch_; b++) {
      float& g = d_hidden_t_[i * batch_ + b];
      if (before_[b * dim_ + i] <= 0) g = 0;
      d_hidden_[b * dim_ + i] = g;
    }
  }
}

void Trainer::input_gradient(RowRange dims) {
  multiply(dims, batch_, dim_, {net_.hidden.data(), dim_, 1}, d_hidden_t_.data(), batch_, d_pooled_t_.data(),
           batch_);
}

void Trainer::update_matrices(RowRange dims) {
  multiply_subtract(dims, vocab_, batch_, {hidden_.data(), 1, dim_}, logits_.data(), vocab_, net_.out.data(),
                    vocab_, rate_);
  multiply_subtract(dims, dim_, batch_, {pooled_.data(), 1, dim_}, d_hidden_.data(), dim_, net_.hidden.data(),
                    dim_, rate_);
}

void Trainer::update_biases(RowRange dims, RowRange vocab) {
  const auto update = [&](RowRange part, size_t n, const float* gradients, float* bias) {
    for (size_t i = part.begin; i < part.end; i++) {
      float sum = 0;
      for (size_t b = 0; b < batch_; b++) sum += gradients[b * n + i];
      bias[i] -= rate_ * sum;
    }
  };
  update(dims, dim_, d_hidden_.data(), net_.b_hidden.data());
  update(vocab, vocab_, logits_.data(), net_.b_out.data());
}

// Columns `dims` of every row: a token that occurs several times gets its shares in the order of the batch.
void Trainer::update_embedding(RowRange dims) {
  const size_t n = dims.end - dims.begin;
  if (n == 0) return;
  std::vector<float> shares(n);
  for (size_t v = 0; v < vocab_; v++) std::fill_n(&d_embed_[v * dim_ + dims.begin], n, 0.0f);
  for (size_t b = 0; b < batch_; b++) {
    for (size_t i = 0; i < n; i++)
      shares[i] = d_pooled_t_[(dims.begin + i) * batch_ + b] / static_cast<float>(options_.window);
    for (const TokenId id : window_of(b)) {
      float* row = &d_embed_[id * dim_ + dims.begin];
      for (size_t i = 0; i < n; i++) row[i] += shares[i];
    }
  }
  for (size_t v = 0; v < vocab_; v++) {
    const size_t at = v * dim_ + dims.begin;
    for (size_t i = 0; i < n; i++) net_.embed[at + i] -= rate_ * d_embed_[at + i];
  }
}

}  // namespace

TrainOptions default_options(Objective objective) {
  TrainOptions options;
  options.objective = objective;
  options.steps = objective == Objective::kOriginal ? 2000 : 10000;
  options.lr = objective == Objective::kOriginal ? 0.001 : 1.0;
  return options;
}

Result<Network> train(std::span<const TokenId> tokens, const TrainOptions& options, ThreadPool& pool,
                      const OnStep& on_step) {
  PIXELLM_CHECK(check(tokens, options));
  InitialNetwork initial = initial_network(options.seed);
  Trainer trainer(tokens, options, std::move(initial.network));
  std::vector<int64_t> starts(options.batch);
  const auto end = static_cast<int64_t>(tokens.size() - options.window - 1);
  for (uint32_t i = 1; i <= options.steps; i++) {
    initial.rng.integers(0, end, starts);
    const double loss = trainer.step(starts, pool);
    if (!std::isfinite(loss))
      return fail(
          ErrorCode::kInvalidArgument,
          fmt::format("v0: step {}: the loss is no finite number; a smaller learning rate than {} may help",
                      i, options.lr));
    if (on_step) PIXELLM_CHECK(on_step(i, loss));
  }
  return std::move(trainer.network());
}

}  // namespace pixellm::v0
