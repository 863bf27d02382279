#include <dlfcn.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "gpu/webgpu_api.h"

namespace pixellm::gpu {
namespace {

constexpr char kLibrary[] = "libwgpu_native.so";

std::vector<std::string> places() {
  namespace fs = std::filesystem;
  std::vector<std::string> paths;
  std::error_code none;
  const fs::path program = fs::read_symlink("/proc/self/exe", none);
  if (!none && program.has_parent_path()) {
    paths.push_back(program.parent_path() / kLibrary);
    paths.push_back(program.parent_path().parent_path() / "lib" / "pixellm" / kLibrary);
  }
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  if (cache != nullptr && *cache != 0)
    paths.push_back(fs::path(cache) / "pixellm" / PIXELLM_WEBGPU_FOLDER / kLibrary);
  else if (home != nullptr && *home != 0)
    paths.push_back(fs::path(home) / ".cache" / "pixellm" / PIXELLM_WEBGPU_FOLDER / kLibrary);
  return paths;
}

// The path to load. kNotFound: none of the places has the library.
Result<std::string> find_library() {
  const char* named = std::getenv("PIXELLM_WEBGPU");
  if (named != nullptr && *named != 0) {
    // A bare name would be searched for in the system's folders; a path is what the variable promises.
    const std::string path = std::strchr(named, '/') != nullptr ? named : std::string("./") + named;
    if (::access(path.c_str(), R_OK) != 0)
      return fail(ErrorCode::kNotFound,
                  fmt::format("gpu: PIXELLM_WEBGPU={}: {}; it should name a WebGPU library "
                              "(for Vulkan), or be unset",
                              named, std::strerror(errno)));
    return path;
  }
  const std::vector<std::string> paths = places();
  std::string looked_for;
  for (const std::string& path : paths) {
    if (::access(path.c_str(), R_OK) == 0) return path;
    looked_for += (looked_for.empty() ? "" : ", ") + path;
  }
  return fail(
      ErrorCode::kNotFound,
      fmt::format(
          "gpu: there is no WebGPU library, which Vulkan is reached through (looked for {}); ./run --build "
          "fetches it, or set PIXELLM_WEBGPU to the path of one",
          looked_for));
}

template <class F>
bool find(void* library, const char* name, F& function) {
  function = reinterpret_cast<F>(::dlsym(library, name));
  return function != nullptr;
}

Result<std::unique_ptr<WebGpu>> load(const std::string& path) {
  // Mesa looks for a display and complains on stderr when this is unset; any absolute path is as good.
  ::setenv("XDG_RUNTIME_DIR", "/nonexistent", /*overwrite=*/0);
  void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* reason = ::dlerror();
    return fail(ErrorCode::kNotFound,
                fmt::format("gpu: {}: cannot be loaded as a WebGPU library (for Vulkan): {}", path,
                            reason != nullptr ? reason : "no reason given"));
  }
  auto api = std::make_unique<WebGpu>();
  api->path = path;
  std::string missing;
#define PIXELLM_WEBGPU_FIND(name) \
  if (!find(library, "wgpu" #name, api->name) && missing.empty()) missing = "wgpu" #name;
  PIXELLM_WEBGPU_FUNCTIONS(PIXELLM_WEBGPU_FIND)
#undef PIXELLM_WEBGPU_FIND
#define PIXELLM_WEBGPU_FIND(name) find(library, "wgpu" #name, api->name);
  PIXELLM_WEBGPU_OPTIONAL_FUNCTIONS(PIXELLM_WEBGPU_FIND)
#undef PIXELLM_WEBGPU_FIND
  if (missing.empty() && api->DevicePoll == nullptr && api->InstanceWaitAny == nullptr)
    missing = "wgpuDevicePoll or wgpuInstanceWaitAny";
  if (!missing.empty()) {
    ::dlclose(library);
    return fail(ErrorCode::kUnsupported,
                fmt::format("gpu: {}: is not a WebGPU library (for Vulkan) of this version: it lacks {}",
                            path, missing));
  }
  return api;
}

}  // namespace

Result<const WebGpu*> load_webgpu() {
  // Never unloaded: drivers leave threads and exit handlers behind.
  static std::mutex mutex;
  static auto& loaded = *new std::map<std::string, std::unique_ptr<WebGpu>>;
  const std::string path = PIXELLM_TRY(find_library());
  const std::lock_guard lock(mutex);
  if (const auto it = loaded.find(path); it != loaded.end()) return it->second.get();
  auto api = PIXELLM_TRY(load(path));
  return (loaded[path] = std::move(api)).get();
}

std::string text_of(WGPUStringView text) {
  if (text.data == nullptr) return {};
  return {text.data, text.length == WGPU_STRLEN ? std::strlen(text.data) : text.length};
}

std::string one_line(std::string_view message) {
  std::string line;
  while (!message.empty()) {
    const size_t end = std::min(message.find('\n'), message.size());
    std::string_view part = message.substr(0, end);
    message.remove_prefix(std::min(end + 1, message.size()));
    const size_t first = part.find_first_not_of(" \t\r");
    if (first == part.npos) continue;
    part = part.substr(first, part.find_last_not_of(" \t\r") + 1 - first);
    if (!line.empty()) line += line.back() == ':' ? " " : "; ";
    line += part;
  }
  return line;
}

}  // namespace pixellm::gpu
