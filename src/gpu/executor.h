// Inside src/gpu: a plan made ready to run: buffers, parameters, pipelines and bind groups, all made once.
// One sequence.
#pragma once
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "gpu/gpu_model.h"

namespace pixellm::gpu {

// The uniform `step` of spec/plan.md.
struct StepWords {
  uint32_t position = 0, n_tokens = 0, logit_token = 0, n_logits = 0;
};

class Executor {
 public:
  // `model` must outlive it.
  static Result<std::unique_ptr<Executor>> create(GpuModel& model, Plan plan);

  const Plan& plan() const { return plan_; }
  Buffer& buffer(std::string_view name) { return buffers_[plan_.buffer(name)]; }
  Result<void> write(std::string_view buffer_name, Bytes data);

  // The lists of a plan that are made ready; top_k is for hosts that sample on the device.
  enum class List : uint8_t { kDecode, kPrefill, kLogits, kArgmax };
  // Appends the list for a step of these sizes; without its last dispatch (the logits) when told so.
  void record(List list, const StepWords& step, bool without_last, Commands& commands) const;
  const std::vector<Dispatch>& dispatches(List list) const;

 private:
  Executor(GpuModel& model, Plan plan) : model_(model), plan_(std::move(plan)) {}
  Result<void> make_buffers();
  Result<void> make_dispatches();

  struct Ready {
    const Pipeline* pipeline;
    BindGroup group;
  };

  GpuModel& model_;
  const Plan plan_;
  std::vector<Buffer> buffers_;  // as plan_.buffers; `vectors` is the model's
  Buffer params_;
  std::array<std::vector<Ready>, 4> ready_;
};

}  // namespace pixellm::gpu
