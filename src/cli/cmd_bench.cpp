// pixellm bench: tokens per second, beside what this machine can do at the same moment.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/bench_gpu.h"
#include "cli/bench_report.h"
#include "cli/commands.h"
#include "infer/signature.h"

namespace pixellm::cli {
namespace {

struct BenchFlags {
  std::string model, compare;
  uint32_t repeats = 5;
  BenchPlan plan;
  std::vector<int> threads;
  bool json = false, signature = false, roofline = false, profile = false;
  ModelFlags common;
};

Result<void> run_bench(BenchFlags& flags) {
  BenchSeries before, now;
  if (!flags.compare.empty()) before = PIXELLM_TRY(read_bench_series(flags.compare));
  if (flags.threads.empty()) flags.threads = {default_thread_count()};
  flags.plan.with_profile = flags.roofline || flags.profile;
  const Runtime runtime = PIXELLM_TRY(Runtime::open(flags.model, flags.common, false));
  if (runtime.backend) return bench_gpu(runtime, flags.plan, flags.repeats, flags.json, flags.profile);
  for (const int threads : flags.threads) {
    const auto bench = PIXELLM_TRY(Bench::create(runtime, threads, flags.common.pin, flags.plan));
    const BenchContext context{.plan = flags.plan,
                               .threads = threads,
                               .bytes_per_token = runtime.engine->bytes_per_token(),
                               .kernels = std::string(runtime.engine->kernels().name),
                               .roofline = flags.roofline,
                               .profile = flags.profile};
    for (uint32_t i = 0; i < flags.repeats; i++) {
      const Measured m = PIXELLM_TRY(bench->measure());
      const auto line = bench_json(m, context);
      add_to_series(line, now);
      fmt::print("{}", flags.json ? line.dump() + "\n" : bench_text(m, context));
      std::fflush(stdout);
    }
  }
  if (!flags.compare.empty()) {
    const auto comparison = compare_series(before, now);
    fmt::print("{}", flags.json ? comparison.dump() + "\n" : comparison_text(comparison));
  }
  return {};
}

int print_signature() {
  const auto signature = model_signature();
  if (!signature) return report(signature.error());
  fmt::print("{}\n", *signature);
  return 0;
}

}  // namespace

int cmd_bench(int argc, char** argv) {
  CLI::App app("Measures prompt and generation speed, and the machine's own limits beside them.");
  BenchFlags flags;
  app.add_option("MODEL", flags.model, "picture of a model");
  const auto positive = CLI::Range(uint32_t{1}, UINT32_MAX);
  app.add_option("-p", flags.plan.prompt, "prompt tokens; 0: no prompt test")
      ->check(CLI::Range(uint32_t{0}, UINT32_MAX))
      ->capture_default_str();
  app.add_option("-n", flags.plan.generate, "tokens fed one by one; 0: no generation test")
      ->check(CLI::Range(uint32_t{0}, UINT32_MAX))
      ->capture_default_str();
  app.add_option("-t,--threads", flags.threads, "thread counts, with commas between them; default: all CPUs")
      ->delimiter(',')
      ->check(CLI::Range(1, ThreadPool::kMaxThreads));
  app.add_option("-r", flags.repeats, "repeats")->check(positive)->capture_default_str();
  app.add_option("--batch", flags.plan.session.batch, "prompt tokens per step")
      ->check(positive)
      ->capture_default_str();
  add_session_options(app, flags.plan.session);
  flags.common.add_pin_to(app);
  flags.common.add_device_to(app);
  app.add_option("--verify", flags.common.verify, "check the picture before use: none, crc or sha256")
      ->check(CLI::IsMember({"none", "crc", "sha256"}))
      ->capture_default_str();
  app.add_flag("--json", flags.json, "print a JSON object a line");
  app.add_option(
         "--sequences", flags.plan.sequences,
         "also generate in this many texts at once, with one pass over the weights; with commas between them")
      ->delimiter(',')
      ->check(CLI::Range(uint32_t{1}, uint32_t{256}));
  app.add_flag("--roofline", flags.roofline,
               "for every weight type: bytes, operations, and their share of what the machine can do");
  app.add_flag("--profile", flags.profile, "time of every operation, barriers among them");
  app.add_option("--compare", flags.compare, "an earlier run's --json output: medians before and now");
  app.add_flag("--signature", flags.signature,
               "print the hash of a tiny model's tokens and logits on scalar kernels");
  app.footer(
      "A line for each repeat: prompt (pp) and generation (tg) speed in tokens a second; bandwidth\n"
      "of reading the model's pixels with the same threads; int8 operations a second of the same\n"
      "kernels' instructions; time of handing a cache line from one CPU to another.\n"
      "bytes_per_token: weight bytes that generating a token reads.\n"
      "--json: {threads, pp512, tg128, read_gb_s, int8_gops, bytes_per_token, ping_ns, kernels};\n"
      "the keys carry -p and -n, and of --sequences 4 tg128x4: tokens a second of all four. With\n"
      "--roofline and --profile: roofline and profile {prompt, generate}, measured in a pass of their\n"
      "own, in milliseconds of a thread. With --compare a last line {comparison [{what, before, now,\n"
      "ratio}]}.\n"
      "--device gpu: {device, pp512, tg128, read_share, read_gb_s (of a shader that only reads the weights'\n"
      "textures), bytes_per_token, dispatches_per_token, dispatches_per_layer}; --profile adds kernels "
      "[{shader,\n"
      "dispatches, ms}] of one token.\n\n"
      "Example:\n  pixellm bench model.png -t 1,2 -r 3");
  if (auto status = parse(app, argc, argv)) return *status;
  if (flags.signature) return print_signature();
  if (flags.model.empty()) return report_usage("bench: MODEL is required");
  if (flags.common.device != "cpu" &&
      (flags.roofline || !flags.compare.empty() || !flags.plan.sequences.empty() || !flags.threads.empty()))
    return report_usage(
        "bench: --threads, --sequences, --roofline and --compare are the CPU's; --device gpu has --profile");
  const auto done = run_bench(flags);
  return done ? 0 : report(done.error());
}

}  // namespace pixellm::cli
