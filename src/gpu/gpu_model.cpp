#include "gpu/gpu_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/bytes.h"
#include "gpu/shaders.h"

namespace pixellm::gpu {
namespace {

constexpr uint32_t kRowsPerLayer = 1024;

Result<std::vector<float>> read_vectors(const Model& model, const Plan& plan) {
  std::vector<float> all(plan.buffers[plan.buffer("vectors")].bytes / sizeof(float));
  for (const Plan::Vector& v : plan.vectors) {
    const auto values = PIXELLM_TRY(model.read_floats(*model.find(v.tensor)));
    std::ranges::copy(values, all.begin() + static_cast<ptrdiff_t>(v.at));
  }
  return all;
}

}  // namespace

Result<std::unique_ptr<GpuModel>> GpuModel::create(Device device, const Model& model,
                                                   const Progress& progress) {
  std::unique_ptr<GpuModel> m(new GpuModel(std::move(device), model));
  PIXELLM_CHECK(m->upload(progress));
  return m;
}

Result<Plan> GpuModel::plan(uint32_t context, uint32_t batch) const {
  return build_plan(model_, {.context = context,
                             .batch = batch,
                             .rows_per_layer = std::min(kRowsPerLayer, device_.limits().max_texture_size),
                             .max_texture_rows = max_texture_rows(
                                 device_.limits(), model_.plane().row_bytes(),
                                 std::min(kRowsPerLayer, device_.limits().max_texture_size))});
}

Result<void> GpuModel::upload(const Progress& progress) {
  smallest_plan_ = PIXELLM_TRY(plan(1, 1));
  const Plan& any = smallest_plan_;
  const auto values = PIXELLM_TRY(read_vectors(model_, any));
  vectors_ = PIXELLM_TRY(device_.buffer(values.size() * sizeof(float), BufferUse::kStorage, "vectors"));
  PIXELLM_CHECK(device_.write(vectors_, 0, bytes_of(std::span<const float>(values))));
  weights_ = PIXELLM_TRY(upload_rows(device_, model_.plane(), any.textures,
                                     {.rows_per_layer = any.rows_per_layer, .progress = progress}));
  return {};
}

Result<double> GpuModel::measure_read_gb_s() {
  using Clock = std::chrono::steady_clock;
  constexpr int kRounds = 3;
  const Buffer seen = PIXELLM_TRY(device_.buffer(16, BufferUse::kStorage, "seen"));
  Commands commands;
  std::vector<BindGroup> groups;
  const Constant width[] = {{"WIDTH", static_cast<double>(weights_.textures.at(0).width())}};
  const Pipeline pipeline =
      PIXELLM_TRY(device_.pipeline("read_texture.wgsl", shader_text("read_texture.wgsl"), width));
  uint64_t bytes = 0;
  for (const Texture& t : weights_.textures) {
    const Binding bindings[] = {{2, t}, {3, seen}};
    groups.push_back(PIXELLM_TRY(device_.bind(pipeline, bindings)));
    bytes += uint64_t{16} * t.width() * t.height() * t.layers();
  }
  for (size_t i = 0; i < groups.size(); i++)
    commands.dispatch(pipeline, groups[i], weights_.textures[i].height(), weights_.textures[i].layers());
  double best = 0;
  for (int round = 0; round <= kRounds; round++) {
    const auto start = Clock::now();
    PIXELLM_TRY(device_.submit(commands));
    PIXELLM_CHECK(device_.wait());
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    if (round > 0) best = std::max(best, static_cast<double>(bytes) / seconds * 1e-9);  // the first warms up
  }
  return best;
}

Result<const Pipeline*> GpuModel::pipeline(const Dispatch& dispatch) {
  std::string key = dispatch.shader;
  std::vector<Constant> constants;
  for (const auto& [name, value] : dispatch.constants) {
    key += fmt::format(" {}={}", name, value);
    constants.push_back({name, value});
  }
  if (const auto known = pipelines_.find(key); known != pipelines_.end()) return &known->second;
  const std::string_view text = shader_text(dispatch.shader);
  if (text.empty()) return fail(ErrorCode::kInternal, fmt::format("gpu: no shader {}", dispatch.shader));
  Pipeline made = PIXELLM_TRY(device_.pipeline(dispatch.shader, text, constants));
  return &pipelines_.emplace(std::move(key), std::move(made)).first->second;
}

}  // namespace pixellm::gpu
