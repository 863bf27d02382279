#include "infer/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <optional>

#include "base/thread_choice.h"
#include "infer/backend.h"
#include "infer/computation.h"
#include "infer/sampler.h"

namespace pixellm {
namespace {

using Clock = std::chrono::steady_clock;

// Logits of a few tokens at once, so that eval reads the output matrix seldom and needs little memory.
uint32_t logits_at_once(uint32_t vocab_size, uint32_t batch) {
  constexpr uint64_t kBytes = 8 << 20;
  const uint64_t fit = kBytes / (uint64_t{vocab_size} * sizeof(float)) / kPanel * kPanel;
  return std::min(batch, static_cast<uint32_t>(std::clamp<uint64_t>(fit, kPanel, 32)));
}

bool all_finite(std::span<const float> values) {
  uint32_t bad = 0;
  for (const float v : values) bad |= (std::bit_cast<uint32_t>(v) & 0x7f800000) == 0x7f800000;
  return bad == 0;
}

}  // namespace

struct Session::Impl {
  const Engine::Impl* engine = nullptr;
  ThreadPool* pool = nullptr;
  std::unique_ptr<Computation> computation;
  uint32_t context = 0, batch = 0, n_logits = 0, position = 0;
  ActivationKind activations = ActivationKind::kInt8;
  CacheKind cache = CacheKind::kF16;
  int64_t logits_row = -1;                 // of the computation's; -1: none
  int most_threads = 1, step_threads = 1;  // of the pool; of the last step
  std::optional<ThreadChoice> threads;     // of steps of one token, which wait for each other most

  std::span<float> logits_of(uint32_t row) const { return computation->logits(row); }

  Result<void> check(std::span<const TokenId> ids) const {
    for (size_t i = 0; i < ids.size(); i++)
      if (ids[i] < 0 || static_cast<uint32_t>(ids[i]) >= engine->config.vocab_size)
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("infer: token {} of {} has id {}, the vocabulary has {}", i, ids.size(),
                                ids[i], engine->config.vocab_size));
    if (ids.size() > context - position)
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("infer: {} tokens after {} need a context of {}, this one has {}", ids.size(),
                              position, position + ids.size(), context));
    return {};
  }

  Result<void> step(std::span<const TokenId> ids, Step::Output output) {
    const Step what{.ids = ids, .position = position, .output = output};
    struct Call {
      Impl* self;
      const Step* step;
    } call{this, &what};
    const auto forward = [&call](Worker& w) { call.self->computation->forward(*call.step, w); };
    step_threads = ids.size() == 1 ? threads->next() : most_threads;
    const auto start = Clock::now();
    pool->run(forward, step_threads);
    if (ids.size() == 1) threads->took(std::chrono::duration<double>(Clock::now() - start).count());
    PIXELLM_CHECK(computation->outcome());
    position += static_cast<uint32_t>(ids.size());
    return {};
  }

  // After step() with kAll of step_tokens tokens.
  Result<void> step_logits(uint32_t step_tokens, uint32_t first, uint32_t count) {
    struct Call {
      Impl* self;
      uint32_t step_tokens, first, count;
    } call{this, step_tokens, first, count};
    pool->run(
        [&call](Worker& w) {
          call.self->computation->forward_logits(call.step_tokens, call.first, call.count, w);
        },
        step_threads);  // what a thread computed for itself lies with it
    return computation->outcome();
  }

  // After an error in the middle of several steps: nothing was appended.
  std::unexpected<Error> back_to(uint32_t before, Error error) {
    position = before;
    logits_row = -1;
    return std::unexpected(std::move(error));
  }

  std::unexpected<Error> not_finite(uint32_t before) {
    return back_to(before, {ErrorCode::kCorrupt, "infer: the model produced values that are not finite"});
  }
};

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::~Session() = default;

Result<std::unique_ptr<Session>> Session::create(const Engine& engine, ThreadPool& pool,
                                                 const SessionOptions& options) {
  const ModelConfig& config = engine.config();
  auto s = std::make_unique<Impl>();
  s->engine = &engine.impl();
  s->pool = &pool;
  s->most_threads = options.backend ? 1 : pool.size();  // a backend's work is elsewhere
  s->threads.emplace(s->most_threads);
  s->context = options.context > 0 ? options.context : std::min(config.context_length, kDefaultContext);
  if (s->context > config.context_length)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("infer: a context of {} was asked for, the model's is {}", s->context,
                            config.context_length));
  if (options.backend && (options.activations != ActivationKind::kInt8 || options.cache != CacheKind::kF16))
    return fail(ErrorCode::kUnsupported, fmt::format("infer: {} has activations of 8 bits and a cache of 16; "
                                                     "others (--activations, --kv-cache) are the CPU's",
                                                     options.backend->name()));
  if (options.batch == 0)
    return fail(ErrorCode::kInvalidArgument, "infer: a batch of 0 tokens, must be at least 1");
  s->batch = std::min(options.batch, s->context);
  s->n_logits = logits_at_once(config.vocab_size, s->batch);
  const SequenceSizes sizes{.context = s->context,
                            .batch = s->batch,
                            .n_logits = s->n_logits,
                            .n_threads = pool.size(),
                            .activations = options.activations,
                            .cache = options.cache,
                            .profile = options.profile};
  s->computation = PIXELLM_TRY(options.backend ? options.backend->make_computation(sizes)
                                               : make_computation(*s->engine, sizes));
  s->activations = options.activations;
  s->cache = options.cache;
  return std::unique_ptr<Session>(new Session(std::move(s)));
}

// Runs `ids` through in batches; gives the position before.
Result<uint32_t> Session::feed_steps(std::span<const TokenId> ids, bool only_best) {
  Impl& s = *impl_;
  PIXELLM_CHECK(s.check(ids));
  const uint32_t before = s.position;
  while (!ids.empty()) {
    const size_t n = std::min<size_t>(ids.size(), s.batch);
    const Step::Output last = only_best ? Step::Output::kBest : Step::Output::kLast;
    if (auto done = s.step(ids.first(n), n == ids.size() ? last : Step::Output::kNone); !done)
      return s.back_to(before, std::move(done).error());
    ids = ids.subspan(n);
  }
  return before;
}

Result<void> Session::feed(std::span<const TokenId> ids) {
  Impl& s = *impl_;
  const uint32_t before = PIXELLM_TRY(feed_steps(ids, false));
  if (ids.empty()) return {};
  s.logits_row = 0;
  if (!all_finite(logits())) return s.not_finite(before);
  return {};
}

Result<TokenId> Session::feed_best(std::span<const TokenId> ids) {
  Impl& s = *impl_;
  if (ids.empty() || !s.computation->chooses()) {
    PIXELLM_CHECK(feed(ids));
    return argmax(logits());
  }
  const uint32_t before = PIXELLM_TRY(feed_steps(ids, true));
  s.logits_row = -1;
  const auto best = s.computation->best();
  if (!best) return s.not_finite(before);
  return *best;
}

Result<void> Session::feed_each(
    std::span<const TokenId> ids,
    const std::function<Result<void>(uint32_t position, std::span<const float>)>& each) {
  Impl& s = *impl_;
  PIXELLM_CHECK(s.check(ids));
  const uint32_t before = s.position;
  while (!ids.empty()) {
    const auto n = static_cast<uint32_t>(std::min<size_t>(ids.size(), s.batch));
    const uint32_t start = s.position;
    if (auto done = s.step(ids.first(n), Step::Output::kAll); !done)
      return s.back_to(before, std::move(done).error());
    for (uint32_t first = 0; first < n; first += s.n_logits) {
      const uint32_t count = std::min(s.n_logits, n - first);
      if (auto done = s.step_logits(n, first, count); !done)
        return s.back_to(before, std::move(done).error());
      s.logits_row = count - 1;
      for (uint32_t i = 0; i < count; i++) {
        if (!all_finite(s.logits_of(i))) return s.not_finite(before);
        PIXELLM_CHECK(each(start + first + i, s.logits_of(i)));
      }
    }
    ids = ids.subspan(n);
  }
  return {};
}

Result<void> Session::feed_together(std::span<Session* const> sessions, std::span<const TokenId> ids) {
  PIXELLM_ASSERT(sessions.size() == ids.size());
  if (sessions.empty()) return {};
  Impl& lead = *sessions[0]->impl_;
  for (size_t i = 0; i < sessions.size(); i++) {
    const Impl& s = *sessions[i]->impl_;
    PIXELLM_ASSERT(s.engine == lead.engine && s.pool == lead.pool && s.activations == lead.activations &&
                   s.cache == lead.cache && std::ranges::count(sessions, sessions[i]) == 1);
    PIXELLM_CHECK(s.check(ids.subspan(i, 1)));
  }
  const size_t at_once = lead.computation->serves_others() ? std::min(lead.batch, lead.n_logits) : 1;
  for (size_t begin = 0; begin < sessions.size(); begin += at_once) {
    const auto some = sessions.subspan(begin, std::min(at_once, sessions.size() - begin));
    if (auto fed = feed_some(some, ids.subspan(begin, some.size())); !fed) {
      for (size_t i = 0; i < begin; i++) sessions[i]->truncate(sessions[i]->position() - 1);
      return fed;
    }
  }
  return {};
}

Result<void> Session::feed_some(std::span<Session* const> sessions, std::span<const TokenId> ids) {
  if (sessions.size() == 1) return sessions[0]->feed(ids);
  Impl& lead = *sessions[0]->impl_;
  std::vector<Place> places;
  for (Session* s : sessions) places.push_back({s->impl_->computation.get(), s->impl_->position});
  const auto n = static_cast<uint32_t>(ids.size());
  const Step step{.ids = ids, .places = places, .output = Step::Output::kAll};
  lead.step_threads = lead.most_threads;
  lead.pool->run([&](Worker& w) { lead.computation->forward(step, w); }, lead.step_threads);
  PIXELLM_CHECK(lead.step_logits(n, 0, n));
  for (uint32_t i = 0; i < n; i++)
    if (!all_finite(lead.logits_of(i)))
      return fail(ErrorCode::kCorrupt, "infer: the model produced values that are not finite");
  for (uint32_t i = n; i-- > 0;) {  // the lead's own come last: they lie where it computed
    Impl& s = *sessions[i]->impl_;
    if (i > 0) std::ranges::copy(lead.logits_of(i), s.logits_of(0).begin());
    s.position++;
    s.logits_row = 0;
  }
  return {};
}

std::span<const float> Session::logits() const {
  return impl_->logits_row < 0 ? std::span<const float>()
                               : impl_->logits_of(static_cast<uint32_t>(impl_->logits_row));
}

uint32_t Session::position() const { return impl_->position; }
uint32_t Session::context() const { return impl_->context; }
uint64_t Session::cache_bytes() const { return impl_->computation->cache_bytes(); }

void Session::truncate(uint32_t position) {
  impl_->position = std::min(position, impl_->position);
  impl_->logits_row = -1;
}

void Session::copy_from(const Session& other) {
  Impl& s = *impl_;
  const Impl& from = *other.impl_;
  PIXELLM_ASSERT(s.engine == from.engine && s.context == from.context);
  if (&s == &from) return;
  s.computation->copy_from(*from.computation, from.position);
  s.position = from.position;
  s.logits_row = from.logits_row < 0 ? -1 : 0;
  if (s.logits_row == 0) std::ranges::copy(other.logits(), s.logits_of(0).begin());
}

}  // namespace pixellm
