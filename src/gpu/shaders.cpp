#include "gpu/shaders.h"

#include <algorithm>

namespace pixellm::gpu {

std::string_view shader_text(std::string_view file_name) {
  const auto all = shaders();
  const auto it = std::ranges::find(all, file_name, &Shader::file_name);
  return it != all.end() ? it->text : std::string_view();
}

}  // namespace pixellm::gpu
