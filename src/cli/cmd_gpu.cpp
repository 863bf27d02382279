#include "cli/commands.h"
#include "cli/gpu_commands.h"

namespace pixellm::cli {
namespace {

constexpr Command kVerbs[] = {
    {"info", "list the adapters, what they can do and their limits", gpu_info},
    {"op", "compute a product, softmax, attention ... of NumPy files", gpu_op},
};

}  // namespace

int cmd_gpu(int argc, char** argv) {
  return run_group({.program = "pixellm gpu",
                    .about = "The GPU, reached through WebGPU and Vulkan.",
                    .example = "pixellm gpu info",
                    .commands = kVerbs,
                    .footer = "PIXELLM_WEBGPU=PATH names another WebGPU library.\n"},
                   argc, argv);
}

}  // namespace pixellm::cli
