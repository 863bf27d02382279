// The files of src/gpu/shaders, part of the program. The browser is served the same files unchanged.
#pragma once
#include <span>
#include <string_view>

namespace pixellm::gpu {

struct Shader {
  std::string_view file_name;  // "matvec_q.wgsl"
  std::string_view text;
};

std::span<const Shader> shaders();                         // by ascending file name
std::string_view shader_text(std::string_view file_name);  // "" when there is none of this name

}  // namespace pixellm::gpu
