// pixellm bench: tokens per second, beside what this machine can do at the same moment.
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/runtime.h"
#include "infer/probe.h"
#include "infer/signature.h"

namespace pixellm::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct BenchFlags {
  std::string model;
  uint32_t prompt = 512, generate = 128, repeats = 5;
  SessionOptions session;
  std::vector<int> threads;
  bool json = false, signature = false;
  ModelFlags common;
};

struct Measured {
  double prompt_per_s = 0, generate_per_s = 0, read_gb_s = 0, int8_gops = 0, ping_ns = 0;
};

// The same tokens as in tools that compare with other programs.
std::vector<TokenId> pattern(uint32_t n, uint32_t vocab_size) {
  std::vector<TokenId> ids(n);
  for (uint64_t i = 0; i < n; i++) ids[i] = static_cast<TokenId>((7 * i + 11) % vocab_size);
  return ids;
}

// Tokens per second of feeding `ids` in steps of `step` into an empty session.
Result<double> speed(Session& session, std::span<const TokenId> ids, size_t step) {
  session.truncate(0);
  const auto start = Clock::now();
  for (size_t i = 0; i < ids.size(); i += step)
    PIXELLM_CHECK(session.feed(ids.subspan(i, std::min(step, ids.size() - i))));
  return static_cast<double>(ids.size()) / std::chrono::duration<double>(Clock::now() - start).count();
}

Result<Measured> measure(const Runtime& runtime, Session& session, ThreadPool& pool,
                         const BenchFlags& flags) {
  const Kernels& kernels = runtime.engine->kernels();
  const uint32_t vocab_size = runtime.engine->config().vocab_size;
  Measured m;
  if (flags.prompt > 0)
    m.prompt_per_s = PIXELLM_TRY(speed(session, pattern(flags.prompt, vocab_size), flags.prompt));
  if (flags.generate > 0)
    m.generate_per_s = PIXELLM_TRY(speed(session, pattern(flags.generate, vocab_size), 1));
  m.read_gb_s =
      measure_read_gb_s(runtime.model->plane(), runtime.model->header().first_weight_row, kernels.isa, pool);
  m.int8_gops = measure_int8_gops(kernels, pool);
  m.ping_ns = measure_ping_ns();
  return m;
}

void print_line(const Measured& m, const Runtime& runtime, int threads, const BenchFlags& flags) {
  const uint64_t bytes = runtime.engine->bytes_per_token();
  const auto rounded = [](double x) { return std::round(x * 100) / 100; };
  if (flags.json) {
    nlohmann::ordered_json out = {{"threads", threads}};
    if (flags.prompt > 0) out[fmt::format("pp{}", flags.prompt)] = rounded(m.prompt_per_s);
    if (flags.generate > 0) out[fmt::format("tg{}", flags.generate)] = rounded(m.generate_per_s);
    out["read_gb_s"] = rounded(m.read_gb_s);
    out["int8_gops"] = rounded(m.int8_gops);
    out["bytes_per_token"] = bytes;
    out["ping_ns"] = rounded(m.ping_ns);
    out["kernels"] = runtime.engine->kernels().name;
    fmt::print("{}\n", out.dump());
  } else {
    std::string line = fmt::format("{} threads, {}:", threads, runtime.engine->kernels().name);
    if (flags.prompt > 0) line += fmt::format("  pp{} {:.1f} tok/s", flags.prompt, m.prompt_per_s);
    if (flags.generate > 0) {
      const double gb_s = m.generate_per_s * static_cast<double>(bytes) * 1e-9;
      line += fmt::format("  tg{} {:.1f} tok/s = {:.1f} GB/s, {:.0f} % of reading", flags.generate,
                          m.generate_per_s, gb_s, m.read_gb_s > 0 ? gb_s / m.read_gb_s * 100 : 0);
    }
    fmt::print("{}  |  read {:.1f} GB/s  int8 {:.0f} GOP/s  ping {:.0f} ns\n", line, m.read_gb_s, m.int8_gops,
               m.ping_ns);
  }
  std::fflush(stdout);
}

Result<void> run_bench(BenchFlags& flags) {
  if (flags.threads.empty()) flags.threads = {default_thread_count()};
  const Runtime runtime = PIXELLM_TRY(Runtime::open(flags.model, flags.common, false));
  flags.session.context = std::max({flags.prompt, flags.generate, 1u});
  for (const int threads : flags.threads) {
    ThreadPool pool(threads);
    const auto session = PIXELLM_TRY(Session::create(*runtime.engine, pool, flags.session));
    PIXELLM_CHECK(speed(*session, pattern(1, runtime.engine->config().vocab_size), 1));  // warm-up
    for (uint32_t i = 0; i < flags.repeats; i++)
      print_line(PIXELLM_TRY(measure(runtime, *session, pool, flags)), runtime, threads, flags);
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
  app.add_option("-p", flags.prompt, "prompt tokens; 0: no prompt test")
      ->check(CLI::Range(uint32_t{0}, UINT32_MAX))
      ->capture_default_str();
  app.add_option("-n", flags.generate, "tokens fed one by one; 0: no generation test")
      ->check(CLI::Range(uint32_t{0}, UINT32_MAX))
      ->capture_default_str();
  app.add_option("-t,--threads", flags.threads, "thread counts, with commas between them; default: all CPUs")
      ->delimiter(',')
      ->check(CLI::Range(1, ThreadPool::kMaxThreads));
  app.add_option("-r", flags.repeats, "repeats")->check(positive)->capture_default_str();
  app.add_option("--batch", flags.session.batch, "prompt tokens per step")
      ->check(positive)
      ->capture_default_str();
  add_session_options(app, flags.session);
  app.add_option("--verify", flags.common.verify, "check the picture before use: none, crc or sha256")
      ->check(CLI::IsMember({"none", "crc", "sha256"}))
      ->capture_default_str();
  app.add_flag("--json", flags.json, "print a JSON object a line");
  app.add_flag("--signature", flags.signature,
               "print the hash of a tiny model's tokens and logits on scalar kernels");
  app.footer(
      "A line for each repeat: prompt (pp) and generation (tg) speed in tokens a second; bandwidth\n"
      "of reading the model's pixels with the same threads; int8 operations a second of the same\n"
      "kernels' instructions; time of handing a cache line from one CPU to another.\n"
      "bytes_per_token: weight bytes that generating a token reads.\n"
      "--json: {threads, pp512, tg128, read_gb_s, int8_gops, bytes_per_token, ping_ns, kernels};\n"
      "the keys carry -p and -n.\n\n"
      "Example:\n  pixellm bench model.png -t 1,2 -r 3");
  if (auto status = parse(app, argc, argv)) return *status;
  if (flags.signature) return print_signature();
  if (flags.model.empty()) return report_usage("bench: MODEL is required");
  const auto done = run_bench(flags);
  return done ? 0 : report(done.error());
}

}  // namespace pixellm::cli
