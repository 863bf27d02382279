// The verbs of `pixellm gpu`.
#pragma once

namespace pixellm::cli {

int gpu_info(int argc, char** argv);
int gpu_op(int argc, char** argv);

}  // namespace pixellm::cli
