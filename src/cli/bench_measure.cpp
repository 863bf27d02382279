#include "cli/bench_measure.h"

#include <algorithm>
#include <chrono>

#include "infer/probe.h"

namespace pixellm::cli {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

BenchPhase phase_of(const Profile& profile, int threads, uint32_t tokens, double seconds) {
  BenchPhase phase{.seconds = seconds, .tokens = tokens, .operations = {}, .formats = {}};
  for (const TypeTraits& t : kTypes) phase.formats.push_back({t.type, 0, 0, 0});
  for (size_t i = 0; i < kOperationNames.size(); i++) {
    const auto operation = static_cast<Operation>(i);
    double sum = profile.total(operation, {}).seconds;
    for (auto& format : phase.formats) {
      const Profile::Entry e = profile.total(operation, format.type);
      sum += e.seconds;
      format.seconds += e.seconds / threads, format.bytes += e.bytes, format.operations += e.operations;
    }
    phase.operations.emplace_back(operation, sum / threads);
  }
  std::erase_if(phase.formats, [](const BenchPhase::Format& f) { return f.operations == 0; });
  return phase;
}

}  // namespace

Bench::Bench(const Runtime& runtime, int threads, bool pin, const BenchPlan& plan)
    : runtime_(runtime), plan_(plan), pool_(threads, pin), profile_(pool_.size()) {
  profile_.on = false;
  plan_.session.context = std::max({plan.prompt, plan.generate, 1u});
  plan_.session.profile = &profile_;
  // The same tokens as in tools that compare with other programs.
  const uint32_t vocab_size = runtime.engine->config().vocab_size;
  for (uint64_t i = 0; i < plan_.session.context; i++)
    tokens_.push_back(static_cast<TokenId>((7 * i + 11) % vocab_size));
}

Result<std::unique_ptr<Bench>> Bench::create(const Runtime& runtime, int threads, bool pin,
                                             const BenchPlan& plan) {
  std::unique_ptr<Bench> bench(new Bench(runtime, threads, pin, plan));
  const uint32_t most = plan.sequences.empty() ? 1 : *std::ranges::max_element(plan.sequences);
  for (uint32_t i = 0; i < most; i++)
    bench->sessions_.push_back(
        PIXELLM_TRY(Session::create(*runtime.engine, bench->pool_, bench->plan_.session)));
  PIXELLM_CHECK(bench->speed(1, 1));  // warm-up
  return bench;
}

// Tokens a second of feeding in steps of `step` into an empty session.
Result<double> Bench::speed(uint32_t tokens, size_t step) {
  Session& session = *sessions_[0];
  session.truncate(0);
  const auto ids = std::span<const TokenId>(tokens_).first(tokens);
  const auto start = Clock::now();
  for (size_t i = 0; i < ids.size(); i += step)
    PIXELLM_CHECK(session.feed(ids.subspan(i, std::min(step, ids.size() - i))));
  return tokens / seconds_since(start);
}

Result<BenchPhase> Bench::profiled(uint32_t tokens, size_t step) {
  profile_.clear();
  profile_.on = true;
  const auto per_s = speed(tokens, step);
  profile_.on = false;
  if (!per_s) return std::unexpected(per_s.error());
  return phase_of(profile_, pool_.size(), tokens, tokens / *per_s);
}

Result<double> Bench::together(uint32_t count) {
  std::vector<Session*> some;
  for (uint32_t i = 0; i < count; i++) some.push_back(sessions_[i].get());
  for (Session* s : some) s->truncate(0);
  std::vector<TokenId> ids(count);
  const auto start = Clock::now();
  for (uint32_t t = 0; t < plan_.generate; t++) {
    for (uint32_t i = 0; i < count; i++) ids[i] = tokens_[(t + i) % tokens_.size()];
    PIXELLM_CHECK(Session::feed_together(some, ids));
  }
  return static_cast<double>(count) * plan_.generate / seconds_since(start);
}

Result<Measured> Bench::measure() {
  Measured m;
  if (plan_.prompt > 0) m.prompt_per_s = PIXELLM_TRY(speed(plan_.prompt, plan_.prompt));
  if (plan_.generate > 0) {
    m.generate_per_s = PIXELLM_TRY(speed(plan_.generate, 1));
    for (const uint32_t count : plan_.sequences) {
      const double per_s = PIXELLM_TRY(together(count));
      m.together_per_s.push_back(per_s);
    }
  }
  const Kernels& kernels = runtime_.engine->kernels();
  m.read_gb_s = measure_read_gb_s(runtime_.model->plane(), runtime_.model->header().first_weight_row,
                                  kernels.isa, pool_);
  m.int8_gops = measure_int8_gops(kernels, pool_);
  m.ping_ns = measure_ping_ns();
  if (plan_.with_profile) {
    if (plan_.prompt > 0) m.prompt_phase = PIXELLM_TRY(profiled(plan_.prompt, plan_.prompt));
    if (plan_.generate > 0) m.generate_phase = PIXELLM_TRY(profiled(plan_.generate, 1));
  }
  return m;
}

}  // namespace pixellm::cli
