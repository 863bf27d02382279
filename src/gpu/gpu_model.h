// Inside src/gpu: a model on a device: its weights in textures, its vectors, and the pipelines of its plans.
// Shared by the sequences that run on it.
#pragma once
#include <map>
#include <memory>
#include <string>

#include "base/progress.h"
#include "gpu/device.h"
#include "gpu/plan.h"
#include "gpu/weight_textures.h"
#include "model/model.h"

namespace pixellm::gpu {

class GpuModel {
 public:
  // Uploads the weights. `model` must outlive it.
  static Result<std::unique_ptr<GpuModel>> create(Device device, const Model& model,
                                                  const Progress& progress);

  // A plan for sequences of this model, in its textures.
  Result<Plan> plan(uint32_t context, uint32_t batch) const;

  // Compiled once for each shader and set of constants.
  Result<const Pipeline*> pipeline(const Dispatch& dispatch);

  Device& device() { return device_; }
  const Plan& smallest_plan() const { return smallest_plan_; }  // of one position
  Result<double> measure_read_gb_s();
  const Texture& texture(uint32_t index) const { return weights_.textures[index]; }
  const Buffer& vectors() const { return vectors_; }
  uint64_t weight_bytes() const { return weights_.bytes; }

 private:
  GpuModel(Device device, const Model& model) : device_(std::move(device)), model_(model) {}
  Result<void> upload(const Progress& progress);

  Device device_;
  const Model& model_;
  Plan smallest_plan_;  // textures and vectors are the same in every plan
  WeightTextures weights_;
  Buffer vectors_;
  std::map<std::string, Pipeline> pipelines_;
};

}  // namespace pixellm::gpu
