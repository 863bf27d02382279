// Where a session computes when it is not on the CPU. A Backend holds what the sessions of one engine share
// (a device, the weights there) and makes each one's computation.
//
//   auto gpu = PIXELLM_TRY(gpu::make_backend(engine, options));      // gpu/backend.h
//   auto session = PIXELLM_TRY(Session::create(engine, pool, {.context = 2048, .backend = gpu.get()}));
// Outlives its sessions. One thread at a time, all sessions of it together.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "base/error.h"
#include "infer/session.h"

namespace pixellm {

class Computation;
struct SequenceSizes;

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string name() const = 0;  // "gpu: llvmpipe (LLVM 15.0.6, 256 bits), vulkan"
  virtual Result<std::unique_ptr<Computation>> make_computation(const SequenceSizes& sizes) = 0;
};

}  // namespace pixellm
