// pixellm plan: a model as a list of dispatches (spec/plan.md). Needs no GPU.
#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/runtime.h"
#include "gpu/plan.h"

namespace pixellm::cli {
namespace {

struct PlanFlags {
  std::string model;
  bool json = false;
  gpu::PlanOptions options;
  ModelFlags common;
};

void print_summary(const gpu::Plan& plan) {
  uint64_t bytes = 0, cache = 0;
  for (const gpu::PlanBuffer& b : plan.buffers)
    (b.name.starts_with("k.") || b.name.starts_with("v.") ? cache : bytes) += b.bytes;
  uint64_t texture_bytes = 0;
  for (const gpu::RowRange& t : plan.textures) texture_bytes += (t.end - t.first) * plan.row_bytes;
  fmt::print("layers           {}\n", plan.config.n_layers);
  fmt::print("context, batch   {}, {}\n", plan.context, plan.batch);
  fmt::print("textures         {}, {}\n", plan.textures.size(), human_bytes(texture_bytes));
  fmt::print("KV cache         {}\n", human_bytes(cache));
  fmt::print("other buffers    {}\n", human_bytes(bytes));
  fmt::print("dispatches       {} a token, at most {} a layer; {} a step of a prompt\n", plan.decode.size(),
             plan.dispatches_a_layer(), plan.prefill.size());
}

Result<void> run_plan(const PlanFlags& flags) {
  ThreadPool pool(flags.common.threads);
  const Model model = PIXELLM_TRY(open_model(flags.model, flags.common.level(), pool));
  const gpu::Plan plan = PIXELLM_TRY(gpu::build_plan(model, flags.options));
  if (flags.json)
    fmt::print("{}\n", gpu::plan_json(plan));
  else
    print_summary(plan);
  return {};
}

}  // namespace

int cmd_plan(int argc, char** argv) {
  CLI::App app("Prints what a GPU does for a model: shaders, constants, buffers, sizes, in order.");
  PlanFlags flags;
  flags.common.verify = "none";
  app.add_option("MODEL", flags.model, "picture of a model")->required();
  app.add_flag("--json", flags.json, "the whole plan as JSON (spec/plan.md)");
  const auto positive = CLI::Range(uint32_t{1}, UINT32_MAX);
  app.add_option("--context", flags.options.context, "positions; default: the model's, at most 4096")
      ->check(positive);
  app.add_option("--batch", flags.options.batch, "tokens of a step of a prompt")
      ->check(positive)
      ->capture_default_str();
  flags.common.add_to(app);
  app.footer("Example:\n  pixellm plan model.png --json > plan.json");
  if (auto status = parse(app, argc, argv)) return *status;
  const auto done = run_plan(flags);
  return done ? 0 : report(done.error());
}

}  // namespace pixellm::cli
