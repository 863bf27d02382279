#include "gpu/backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/bytes.h"
#include "gpu/executor.h"
#include "infer/computation.h"
#include "infer/engine.h"
#include "infer/rope_rows.h"

namespace pixellm::gpu {
namespace {

using List = Executor::List;

// A sequence on the device. The first of the pool's threads does all the talking to it.
class GpuComputation final : public Computation {
 public:
  GpuComputation(const Engine::Impl& engine, GpuModel& model, std::unique_ptr<Executor> executor)
      : e_(engine),
        model_(model),
        executor_(std::move(executor)),
        stride_(round_up(engine.config.vocab_size, 32)),
        logits_(kMaxLogitRows * stride_),
        rope_(executor_->plan().batch * uint64_t{engine.config.n_rot}) {}

  void forward(const Step& step, Worker& worker) override {
    if (worker.index() == 0) outcome_ = run(step);
  }
  void forward_logits(uint32_t, uint32_t first, uint32_t count, Worker& worker) override {
    if (worker.index() == 0) outcome_ = run_logits(first, count);
  }
  Result<void> outcome() override { return outcome_; }
  bool chooses() const override { return true; }
  std::optional<TokenId> best() const override { return best_; }
  std::span<float> logits(uint32_t row) const override {
    return {logits_.data() + row * stride_, e_.config.vocab_size};
  }
  uint64_t cache_bytes() const override {
    uint64_t bytes = 0;
    for_each_cache([&](uint32_t i) { bytes += executor_->plan().buffers[i].bytes; });
    return bytes;
  }
  void copy_from(const Computation& other, uint32_t) override {
    const auto& from = static_cast<const GpuComputation&>(other);
    Commands copies;
    for_each_cache([&](uint32_t i) {
      const PlanBuffer& b = executor_->plan().buffers[i];
      copies.copy(from.executor_->buffer(b.name), 0, executor_->buffer(b.name), 0, b.bytes);
    });
    const auto done = model_.device().submit(copies);
    if (!done) outcome_ = std::unexpected(done.error());
    std::ranges::copy(from.logits_, logits_.begin());
  }

 private:
  template <class F>
  void for_each_cache(F f) const {
    const auto& buffers = executor_->plan().buffers;
    for (uint32_t i = 0; i < buffers.size(); i++)
      if (buffers[i].name.starts_with("k.") || buffers[i].name.starts_with("v.")) f(i);
  }

  Result<void> prepare(const StepWords& words, std::span<const TokenId> ids) {
    const std::array<uint32_t, 4> step = {words.position, words.n_tokens, words.logit_token, words.n_logits};
    PIXELLM_CHECK(executor_->write("step", bytes_of(std::span<const uint32_t>(step))));
    PIXELLM_CHECK(executor_->write("tokens", bytes_of(ids)));
    if (e_.config.n_rot == 0) return {};
    for (const bool local : {false, true}) {
      if (local && !e_.has_local_rope) break;
      const uint64_t n = ids.size() * e_.config.n_rot;
      for (uint32_t t = 0; t < ids.size(); t++)
        rope_pairs(e_.config, e_.rope_factors, local, words.position + t,
                   rope_.data() + uint64_t{t} * e_.config.n_rot);
      PIXELLM_CHECK(
          executor_->write(local ? "rope_local" : "rope", bytes_of(std::span<const float>(rope_).first(n))));
    }
    return {};
  }

  Result<void> run(const Step& step) {
    const auto n = static_cast<uint32_t>(step.ids.size());
    last_ = {.position = step.position, .n_tokens = n, .logit_token = n - 1, .n_logits = 1};
    PIXELLM_CHECK(prepare(last_, step.ids));
    const bool choose = step.output == Step::Output::kBest,
               wants = choose || step.output == Step::Output::kLast;
    Commands commands;
    executor_->record(n == 1 ? List::kDecode : List::kPrefill, last_, !wants, commands);
    if (choose) {
      executor_->record(List::kArgmax, last_, false, commands);
      std::array<uint32_t, 2> best{};
      PIXELLM_CHECK(model_.device().submit_read(commands, executor_->buffer("best"), 0,
                                                mutable_bytes_of(std::span<uint32_t>(best))));
      best_.reset();
      if (best[1] == 0) best_ = static_cast<TokenId>(best[0]);
      return {};
    }
    if (wants) return read_logits(commands, 1);
    PIXELLM_TRY(model_.device().submit(commands));
    return {};
  }

  // The step's last activations are still there.
  Result<void> run_logits(uint32_t first, uint32_t count) {
    last_.logit_token = first, last_.n_logits = count;
    const std::array<uint32_t, 4> step = {last_.position, last_.n_tokens, first, count};
    PIXELLM_CHECK(executor_->write("step", bytes_of(std::span<const uint32_t>(step))));
    Commands commands;
    executor_->record(List::kLogits, last_, false, commands);
    return read_logits(commands, count);
  }

  Result<void> read_logits(const Commands& commands, uint32_t rows) {
    const auto to = std::span(logits_).first(rows * stride_);
    PIXELLM_CHECK(
        model_.device().submit_read(commands, executor_->buffer("logits"), 0, mutable_bytes_of(to)));
    if (const float cap = e_.config.final_softcap; cap != 0)
      for (float& v : to) v = cap * std::tanh(v / cap);
    return {};
  }

  const Engine::Impl& e_;
  GpuModel& model_;
  std::unique_ptr<Executor> executor_;
  const uint64_t stride_;              // floats of a row of logits
  mutable std::vector<float> logits_;  // [kMaxLogitRows][stride_]
  std::vector<float> rope_;
  StepWords last_;
  std::optional<TokenId> best_;
  Result<void> outcome_;
};

class Implementation final : public GpuBackend {
 public:
  Implementation(const Engine& engine, std::unique_ptr<GpuModel> model)
      : e_(engine.impl()), model_(std::move(model)) {}

  std::string name() const override {
    const AdapterInfo& a = adapter();
    return fmt::format("gpu: {}, {}", a.name, a.backend);
  }
  const AdapterInfo& adapter() const override { return model_->device().adapter(); }
  uint64_t weight_bytes() const override { return model_->weight_bytes(); }
  Device& device() override { return model_->device(); }

  uint32_t dispatches_a_token() const override {
    const Plan& plan = model_->smallest_plan();
    return static_cast<uint32_t>(plan.decode.size() + plan.argmax.size());
  }
  uint32_t dispatches_a_layer() const override { return model_->smallest_plan().dispatches_a_layer(); }
  Result<double> measure_read_gb_s() override { return model_->measure_read_gb_s(); }

  Result<std::unique_ptr<Computation>> make_computation(const SequenceSizes& sizes) override {
    auto executor = PIXELLM_TRY(make_executor(sizes.context, sizes.batch));
    return std::make_unique<GpuComputation>(e_, *model_, std::move(executor));
  }

  Result<std::vector<Timing>> time_decode(uint32_t context, uint32_t position) override {
    auto executor = PIXELLM_TRY(make_executor(context, 1));
    const StepWords words{.position = position, .n_tokens = 1, .n_logits = 1};
    const std::array<uint32_t, 4> step = {position, 1, 0, 1};
    PIXELLM_CHECK(executor->write("step", bytes_of(std::span<const uint32_t>(step))));
    Commands commands;
    executor->record(List::kDecode, words, false, commands);
    PIXELLM_TRY(model_->device().submit_timed(commands));  // warms up
    const auto times = PIXELLM_TRY(model_->device().submit_timed(commands));
    std::vector<Timing> timings;
    const auto& list = executor->dispatches(List::kDecode);
    for (size_t i = 0; i < list.size(); i++)
      timings.push_back({list[i].shader, list[i].label, list[i].layer, times[i]});
    return timings;
  }

 private:
  Result<std::unique_ptr<Executor>> make_executor(uint32_t context, uint32_t batch) {
    return Executor::create(*model_, PIXELLM_TRY(model_->plan(context, batch)));
  }

  const Engine::Impl& e_;
  std::unique_ptr<GpuModel> model_;
};

}  // namespace

Result<std::unique_ptr<GpuBackend>> make_backend(Device device, const Engine& engine,
                                                 const Progress& progress) {
  auto model = PIXELLM_TRY(GpuModel::create(std::move(device), *engine.impl().model, progress));
  return std::make_unique<Implementation>(engine, std::move(model));
}

}  // namespace pixellm::gpu
