#include "gpu/executor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/bytes.h"

namespace pixellm::gpu {
namespace {

constexpr std::array kLists = {Executor::List::kDecode, Executor::List::kPrefill, Executor::List::kLogits,
                               Executor::List::kArgmax};

uint32_t count(const Extent& e, const StepWords& s) {
  const auto times = [&](uint64_t v) {
    return static_cast<uint32_t>(e.times * ceil_div(v, uint64_t{e.each}));
  };
  switch (e.of) {
    case Extent::Of::kTokens:
      return times(s.n_tokens);
    case Extent::Of::kPositions:
      return times(uint64_t{s.position} + s.n_tokens);
    case Extent::Of::kLogits:
      return times(s.n_logits);
    case Extent::Of::kNumber:
      break;
  }
  return e.times;
}

}  // namespace

Result<std::unique_ptr<Executor>> Executor::create(GpuModel& model, Plan plan) {
  std::unique_ptr<Executor> e(new Executor(model, std::move(plan)));
  PIXELLM_CHECK(e->make_buffers());
  PIXELLM_CHECK(e->make_dispatches());
  return e;
}

Result<void> Executor::make_buffers() {
  for (const PlanBuffer& b : plan_.buffers) {
    if (b.name == "vectors")
      buffers_.emplace_back();
    else
      buffers_.push_back(PIXELLM_TRY(
          model_.device().buffer(b.bytes, b.uniform ? BufferUse::kUniform : BufferUse::kStorage, b.name)));
  }
  return {};
}

Result<void> Executor::make_dispatches() {
  Device& device = model_.device();
  uint64_t slot = 16, n = 0;
  for (const List list : kLists)
    for (const Dispatch& d : dispatches(list)) slot = std::max<uint64_t>(slot, 4 * d.params.size()), n++;
  slot = round_up(slot, std::max<uint64_t>(device.limits().uniform_alignment, 16));
  std::vector<uint8_t> params(n * slot);
  uint64_t at = 0;
  params_ = PIXELLM_TRY(device.buffer(params.size(), BufferUse::kUniform, "params"));
  for (const List list : kLists) {
    for (const Dispatch& d : dispatches(list)) {
      std::memcpy(params.data() + at, d.params.data(), 4 * d.params.size());
      std::vector<Binding> bindings;
      for (const PlanBinding& b : d.bindings) {
        if (b.kind == PlanBinding::Kind::kParams)
          bindings.emplace_back(b.binding, params_, at, round_up(4 * d.params.size(), 16));
        else if (b.kind == PlanBinding::Kind::kTexture)
          bindings.emplace_back(b.binding, model_.texture(b.index));
        else if (plan_.buffers[b.index].name == "vectors")
          bindings.emplace_back(b.binding, model_.vectors());
        else
          bindings.emplace_back(b.binding, buffers_[b.index]);
      }
      const Pipeline* pipeline = PIXELLM_TRY(model_.pipeline(d));
      auto group = device.bind(*pipeline, bindings);
      if (!group)
        return std::unexpected(Error{
            group.error().code, fmt::format("{} ({}, layer {})", group.error().message, d.label, d.layer)});
      ready_[static_cast<size_t>(list)].push_back({pipeline, std::move(*group)});
      at += slot;
    }
  }
  return device.write(params_, 0, params);
}

const std::vector<Dispatch>& Executor::dispatches(List list) const {
  switch (list) {
    case List::kDecode:
      return plan_.decode;
    case List::kPrefill:
      return plan_.prefill;
    case List::kLogits:
      return plan_.logits;
    case List::kArgmax:
      break;
  }
  return plan_.argmax;
}

Result<void> Executor::write(std::string_view buffer_name, Bytes data) {
  return model_.device().write(buffer(buffer_name), 0, data);
}

void Executor::record(List list, const StepWords& step, bool without_last, Commands& commands) const {
  const std::vector<Dispatch>& all = dispatches(list);
  const auto& ready = ready_[static_cast<size_t>(list)];
  for (size_t i = 0; i + (without_last ? 1 : 0) < all.size(); i++) {
    const auto& size = all[i].workgroups;
    commands.dispatch(*ready[i].pipeline, ready[i].group, count(size[0], step), count(size[1], step),
                      count(size[2], step));
  }
}

}  // namespace pixellm::gpu
