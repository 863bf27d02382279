#include <fmt/format.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/common.h"
#include "cli/gpu_commands.h"
#include "cli/info_report.h"
#include "gpu/adapter.h"

namespace pixellm::cli {
namespace {

using gpu::AdapterInfo;
using gpu::Limits;

// Names of limits in the report and in the JSON, in the order of Limits.
std::vector<std::pair<std::string, uint64_t>> rows_of(const Limits& l) {
  return {{"max_texture_size", l.max_texture_size},         {"max_texture_layers", l.max_texture_layers},
          {"max_sampled_textures", l.max_sampled_textures}, {"max_storage_buffers", l.max_storage_buffers},
          {"max_uniform_buffers", l.max_uniform_buffers},   {"max_buffer_bytes", l.max_buffer_bytes},
          {"max_binding_bytes", l.max_binding_bytes},       {"max_uniform_bytes", l.max_uniform_bytes},
          {"storage_alignment", l.storage_alignment},       {"uniform_alignment", l.uniform_alignment},
          {"max_workgroup_bytes", l.max_workgroup_bytes},   {"max_workgroup_size", l.max_workgroup_size},
          {"max_workgroup_size_x", l.max_workgroup_size_x}, {"max_workgroup_size_y", l.max_workgroup_size_y},
          {"max_workgroup_size_z", l.max_workgroup_size_z}, {"max_workgroups", l.max_workgroups}};
}

nlohmann::ordered_json json_of(const std::vector<AdapterInfo>& adapters) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const AdapterInfo& a : adapters) {
    nlohmann::ordered_json limits = nlohmann::ordered_json::object();
    for (const auto& [name, value] : rows_of(a.limits)) limits[name] = value;
    list.push_back({{"index", list.size()},
                    {"name", a.name},
                    {"vendor", a.vendor},
                    {"driver", a.driver},
                    {"backend", a.backend},
                    {"type", a.type},
                    {"features", {{"f16", a.f16}, {"subgroups", a.subgroups}, {"timestamps", a.timestamps}}},
                    {"limits", std::move(limits)}});
  }
  return {{"library", adapters.front().library}, {"adapters", std::move(list)}};
}

void print_text(const std::vector<AdapterInfo>& adapters) {
  for (size_t i = 0; i < adapters.size(); i++) {
    const AdapterInfo& a = adapters[i];
    std::string features;
    for (const auto& [has, name] :
         {std::pair{a.f16, "f16"}, {a.subgroups, "subgroups"}, {a.timestamps, "timestamps"}})
      if (has) features += (features.empty() ? "" : ", ") + std::string(name);
    std::cout << printable(fmt::format("{} {}\n  {:<22} {}\n  {:<22} {}, {}\n  {:<22} {}\n", i, a.name,
                                       "driver", a.driver.empty() ? "unknown" : a.driver, "reached through",
                                       a.backend, a.type, "features",
                                       features.empty() ? "none of f16, subgroups, timestamps" : features));
    for (const auto& [name, value] : rows_of(a.limits))
      std::cout << fmt::format("  {:<22} {}\n", name, value);
  }
  std::cout << printable(fmt::format("WebGPU library: {}\n", adapters.front().library));
}

}  // namespace

int gpu_info(int argc, char** argv) {
  CLI::App app(
      "Lists the GPU adapters, the one that is taken by default first: names, drivers, features, limits.");
  bool json = false;
  app.add_flag("--json", json,
               "print {library, adapters: [{index, name, vendor, driver, backend, type, features, limits}]}");
  app.footer("Example:\n  pixellm gpu info --json");
  if (auto status = parse(app, argc, argv)) return *status;
  const auto adapters = gpu::adapters();
  if (!adapters) return report(adapters.error());
  if (json)
    std::cout << dump_json(json_of(*adapters));
  else
    print_text(*adapters);
  return 0;
}

}  // namespace pixellm::cli
