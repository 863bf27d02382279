#include "infer/speculate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "infer/generate.h"
#include "infer/test_world.h"

namespace pixellm {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr uint32_t kVocab = TestWorld::kVocab;

TinySpec world_spec(uint64_t seed) {
  TinySpec spec = TestWorld::spec(seed);
  spec.tied_output = false;
  return spec;
}

struct World : TestWorld {
  explicit World(const TinyModel& tiny, int threads = 1) : TestWorld(tiny, threads) {}
  explicit World(uint64_t seed = 1) : World(make_tiny_model(world_spec(seed))) {}
};

// What can be seen of a generation.
struct Seen {
  std::vector<TokenId> ids;
  std::string text, stop_reason, emitted, error;
  uint32_t position = 0;
  bool operator==(const Seen&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Seen& s) {
  return out << s.ids.size() << " ids, \"" << s.text << "\", " << s.stop_reason << ", position " << s.position
             << ", error \"" << s.error << "\"";
}

struct Case {
  std::string prompt = "the cat and the cat and the";
  GenerateOptions options = {};
  uint32_t context = 128, batch = 32;
  size_t interrupt_after = SIZE_MAX;  // bytes that were emitted
};

Seen run(World& world, const Case& c, Speculator* speculator, Generation* counts = nullptr) {
  const auto session = world.session(c.context, c.batch);
  Seen seen;
  std::atomic<bool> interrupted{false};
  GenerateOptions options = c.options;
  options.interrupted = &interrupted;
  options.speculator = speculator;
  const auto g =
      generate(*session, world.tokenizer, world.encode(c.prompt), options, [&](std::string_view text) {
        seen.emitted += text;
        if (seen.emitted.size() >= c.interrupt_after) interrupted = true;
        return true;
      });
  seen.position = session->position();
  if (!g) {
    seen.error = g.error().message;
    return seen;
  }
  seen.ids = g->ids, seen.text = g->text, seen.stop_reason = g->stop_reason;
  if (counts) *counts = *g;
  return seen;
}

// Drafts the answer that was given without, with every `wrong`th token replaced (0: none, 1: all).
class Oracle final : public Drafter {
 public:
  Oracle(std::vector<TokenId> text, size_t wrong) : text_(std::move(text)), wrong_(wrong) {}
  std::span<const double, kConfidences> first_guesses() const override {
    static constexpr std::array<double, kConfidences> kRates = {0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5};
    return kRates;
  }
  bool runs_model() const override { return false; }
  Result<void> prepare(std::span<const TokenId>, const std::atomic<bool>*) override { return {}; }
  Result<void> draft(std::span<const TokenId> history, size_t longest,
                     const std::function<bool(const DraftToken&)>&, std::vector<DraftToken>& out) override {
    for (size_t i = history.size(); i < history.size() + longest; i++) {
      const TokenId right = i < text_.size() ? text_[i] : 'x';
      const bool is_wrong = wrong_ > 0 && i % wrong_ == 0;
      out.push_back({is_wrong ? (right + 1) % static_cast<TokenId>(kVocab) : right, 0});
    }
    return {};
  }
  void truncate(size_t) override {}

 private:
  std::vector<TokenId> text_;
  size_t wrong_;
};

// Answers with drafts that are right, wrong, partly right, of the text and of a model, of many lengths.
// Returns how many drafted tokens were accepted.
uint32_t expect_same(World& world, World& other, const Case& c, const std::string& what) {
  const Seen without = run(world, c, nullptr);
  std::vector<TokenId> text = world.encode(c.prompt);
  text.insert(text.end(), without.ids.begin(), without.ids.end());
  uint32_t accepted = 0;
  const auto check = [&](Speculator speculator, const std::string& which) {
    Generation g;
    EXPECT_EQ(run(world, c, &speculator, &g), without) << what << ", " << which;
    EXPECT_THAT(speculator.failure(), IsEmpty()) << what << ", " << which;
    EXPECT_LE(g.accepted, g.drafted);
    const size_t sampled = g.ids.size() + (without.stop_reason == "eos" ? 1 : 0);
    EXPECT_EQ(sampled, sampled > 0 ? 1 + g.steps + g.accepted : 0) << what << ", " << which;
    accepted += g.accepted;
  };
  for (const uint32_t longest : {1u, 3u, 8u, 40u}) {
    const SpeculatorOptions options{.longest = longest, .adaptive = false};
    const std::string length = " of " + std::to_string(longest);
    for (const size_t wrong : {0u, 1u, 2u, 5u})
      check({std::make_unique<Oracle>(text, wrong), "oracle", options},
            "wrong every " + std::to_string(wrong) + length);
    check(Speculator::ngram(options), "ngram" + length);
    check(Speculator::draft_model(world.session(c.context), options), "the model itself" + length);
    check(Speculator::draft_model(other.session(c.context), options), "another model" + length);
  }
  check(Speculator::ngram(), "adaptive ngram");
  check(Speculator::draft_model(other.session(c.context)), "adaptive model");
  check(Speculator::draft_model(world.session(60)), "draft model with a short context");
  return accepted;
}

std::vector<std::pair<std::string, SamplerOptions>> samplers() {
  const std::vector<std::pair<TokenId, float>> bias = {{'a', 2.0f}, {'b', 1.5f}, {kVocab - 1, -5.0f}};
  return {
      {"greedy", {}},
      {"greedy with penalties",
       {.repeat_penalty = 1.3f, .presence_penalty = 0.2f, .frequency_penalty = 0.1f, .penalty_window = 7}},
      {"seeded", {.temperature = 0.3f, .seed = 5}},
      {"seeded with all",
       {.temperature = 1.1f,
        .top_k = 40,
        .top_p = 0.9f,
        .min_p = 0.01f,
        .repeat_penalty = 1.2f,
        .frequency_penalty = 0.3f,
        .penalty_window = 0,
        .bias = bias,
        .seed = 77}}};
}

TEST(Speculate, TheAnswerIsTheSame) {
  World world, other(9);
  for (const auto& [name, sampler] : samplers()) {
    Case c{.options = {.max_tokens = 48, .sampler = sampler}};
    EXPECT_GT(expect_same(world, other, c, name), 100u);
  }
}

// Kernels of blocks of 256, several threads, attention over more than a block of the cache.
TEST(Speculate, OtherKernels) {
  TinySpec spec = world_spec(4);
  spec.types = {TensorType::kQ4_K, TensorType::kQ6_K, TensorType::kF16};
  spec.embedding_length = spec.feed_forward_length = 256;
  spec.n_heads = 8;
  spec.n_kv_heads = 2;
  spec.n_layers = 2;
  World world(make_tiny_model(spec), 2);
  const Case c{.prompt = std::string(40, 'x') + "the cat and the", .options = {.max_tokens = 24}};
  const Seen without = run(world, c, nullptr);
  for (const uint32_t longest : {1u, 2u, 5u, 17u}) {
    Speculator itself = Speculator::draft_model(world.session(), {.longest = longest, .adaptive = false});
    Speculator ngram = Speculator::ngram({.longest = longest, .adaptive = false});
    EXPECT_EQ(run(world, c, &itself), without);
    EXPECT_EQ(run(world, c, &ngram), without);
  }
}

// In steps of fewer tokens than a draft has, too.
TEST(Speculate, SmallBatches) {
  World world, other(9);
  for (const uint32_t batch : {1u, 3u}) {
    const Case c{.options = {.max_tokens = 20}, .batch = batch};
    expect_same(world, other, c, "batch " + std::to_string(batch));
  }
}

TEST(Speculate, LimitsInsideADraft) {
  World world, other(9);
  for (const uint32_t n : {0u, 1u, 2u, 5u, 9u}) {
    const Case length{.options = {.max_tokens = n}};
    expect_same(world, other, length, "length " + std::to_string(n));
    const Case context{.context = 28 + n};  // the prompt has 27
    EXPECT_EQ(run(world, context, nullptr).stop_reason, "context");
    expect_same(world, other, context, "context " + std::to_string(context.context));
  }
}

TEST(Speculate, StopTextsEndTokensAndInterruptionInsideADraft) {
  World world, other(9);
  Case c{.options = {.max_tokens = 30, .sampler = {.bias = {{kVocab - 1, -100.0f}}}}};
  c.options.sampler.temperature = 0.8f;
  c.options.sampler.seed = 3;
  for (TokenId id = 0; id < static_cast<TokenId>(kVocab); id++)  // letters only
    if (id < 'a' || id > 'z')
      c.options.sampler.bias.emplace_back(id, -std::numeric_limits<float>::infinity());
  const Seen whole = run(world, c, nullptr);
  ASSERT_EQ(whole.text.size(), 30u);
  for (const size_t at : {1u, 4u, 7u, 12u}) {
    Case ends = c;
    ends.options.stop = {"never in there", whole.text.substr(at, 3)};
    EXPECT_EQ(run(world, ends, nullptr).stop_reason, "stop");
    expect_same(world, other, ends, "stop text at " + std::to_string(at));
    ends = c;
    ends.options.end_tokens = {whole.ids[at]};
    EXPECT_EQ(run(world, ends, nullptr).stop_reason, "eos");
    expect_same(world, other, ends, "end token at " + std::to_string(at));
    ends = c;
    ends.interrupt_after = at;
    EXPECT_EQ(run(world, ends, nullptr).stop_reason, "interrupted");
    expect_same(world, other, ends, "interrupted at " + std::to_string(at));
  }
}

TEST(Speculate, RightDraftsSaveSteps) {
  World world;
  const Case c{.options = {.max_tokens = 41}};
  std::vector<TokenId> text = world.encode(c.prompt);
  const Seen without = run(world, c, nullptr);
  ASSERT_EQ(without.ids.size(), 41u);
  text.insert(text.end(), without.ids.begin(), without.ids.end());
  Generation g;
  Speculator right(std::make_unique<Oracle>(text, 0), "oracle", {.longest = 7, .adaptive = false});
  run(world, c, &right, &g);
  EXPECT_EQ(g.steps, 5u);  // 1 token of the prompt's logits, then 8 a step
  EXPECT_EQ(g.accepted, 35u);
  EXPECT_EQ(g.drafted, 35u);
  Speculator wrong(std::make_unique<Oracle>(text, 1), "oracle", {.longest = 7, .adaptive = false});
  run(world, c, &wrong, &g);
  EXPECT_EQ(g.steps, 40u);
  EXPECT_EQ(g.accepted, 0u);
  run(world, c, nullptr, &g);
  EXPECT_EQ(g.steps, 40u);
  EXPECT_EQ(g.drafted, 0u);
  Speculator itself = Speculator::draft_model(world.session(), {.longest = 7, .adaptive = false});
  run(world, c, &itself, &g);
  EXPECT_EQ(g.steps, 5u);
}

// A model that gives NaN after one token, which is never sampled but drafted.
TEST(Speculate, WhatAWrongDraftBreaksIsNotSeen) {
  TinyModel tiny = make_tiny_model(world_spec(1));
  TinyTensor* embedding = tiny.find("token_embd.weight");
  ASSERT_EQ(embedding->type, TensorType::kF32);
  const size_t row = embedding->bytes.size() / kVocab;
  store_le<float>(embedding->bytes.data() + row * '!', std::numeric_limits<float>::quiet_NaN());
  World world(tiny);
  Case c{.options = {.max_tokens = 20, .sampler = {.bias = {{'!', -1000.0f}}}}};
  const Seen without = run(world, c, nullptr);
  ASSERT_EQ(without.error, "");
  std::vector<TokenId> text = world.encode(c.prompt);
  text.insert(text.end(), without.ids.begin(), without.ids.end());
  std::vector<TokenId> broken = text;
  for (size_t i = 30; i < 40; i += 3) broken[i] = '!';
  Generation g;
  Speculator speculator(std::make_unique<Oracle>(broken, 0), "oracle", {.longest = 6, .adaptive = false});
  EXPECT_EQ(run(world, c, &speculator, &g), without);
  EXPECT_GT(g.accepted, 0u);

  // Where it is sampled, the error and the position are the same.
  c.options.sampler.bias = {{'!', 0.0f}};
  c.options.sampler.bias[0].second = 1000.0f;
  const Seen failed = run(world, c, nullptr);
  EXPECT_THAT(failed.error, HasSubstr("not finite"));
  Speculator sure(std::make_unique<Oracle>(std::vector<TokenId>(64, '!'), 0), "oracle",
                  {.longest = 6, .adaptive = false});
  EXPECT_EQ(run(world, c, &sure), failed);
}

// From turn to turn, with a session that goes back in between, as a conversation does.
TEST(Speculate, TurnsOfOneSession) {
  World world, other(9);
  const auto turns = [&](Speculator* speculator) {
    const auto session = world.session();
    std::string all;
    for (const auto& [keep, text] : {std::pair{0u, "say the word the word"},
                                     {18u, "d the word"},
                                     {5u, "then"},
                                     {0u, "say the word the word"},
                                     {60u, " and"}}) {
      session->truncate(keep);
      GenerateOptions options{.max_tokens = 12, .speculator = speculator};
      const auto g = generate(*session, world.tokenizer, world.encode(text), options, {});
      all += g ? g->text + "|" + std::to_string(session->position()) + "\n" : g.error().message;
    }
    return all;
  };
  const std::string without = turns(nullptr);
  const SpeculatorOptions fixed{.longest = 5, .adaptive = false};
  Speculator ngram = Speculator::ngram(fixed), itself = Speculator::draft_model(world.session(), fixed),
             another = Speculator::draft_model(other.session(), fixed);
  for (Speculator* s : {&ngram, &itself, &another}) EXPECT_EQ(turns(s), without) << s->mode();
}

// What cutting a draft relies on.
TEST(Speculate, FeedEachEndsAtAnError) {
  World world;
  const auto session = world.session(128, 4), whole = world.session();
  const auto ids = world.encode("the cat and the dog");
  uint32_t calls = 0;
  const auto fed = session->feed_each(ids, [&](uint32_t, std::span<const float>) -> Result<void> {
    if (++calls == 6) return fail(ErrorCode::kInternal, "enough");
    return {};
  });
  ASSERT_FALSE(fed);
  EXPECT_EQ(fed.error().message, "enough");
  EXPECT_EQ(calls, 6u);
  ASSERT_GE(session->position(), 6u);
  session->truncate(6);
  ASSERT_TRUE(session->feed(std::span(ids).subspan(6)));
  ASSERT_TRUE(whole->feed(ids));
  EXPECT_TRUE(std::ranges::equal(session->logits(), whole->logits()));
}

TEST(Speculate, NotWithBeams) {
  Speculator speculator = Speculator::ngram();
  GenerateOptions options{.beams = 2, .speculator = &speculator};
  const auto checked = validate(options);
  ASSERT_FALSE(checked);
  EXPECT_THAT(checked.error().message, HasSubstr("no speculative decoding"));
}

// A draft model that fails ends the drafts and not the answer.
TEST(Speculate, AFailingDraftModel) {
  TinyModel tiny = make_tiny_model(world_spec(2));
  store_le<float>(tiny.find("output_norm.weight")->bytes.data(), std::numeric_limits<float>::infinity());
  World world, broken(tiny);
  const Case c{.options = {.max_tokens = 20}};
  Speculator speculator = Speculator::draft_model(broken.session(), {.longest = 4, .adaptive = false});
  EXPECT_EQ(run(world, c, &speculator), run(world, c, nullptr));
  EXPECT_THAT(speculator.failure(), HasSubstr("draft model: "));
  EXPECT_THAT(speculator.failure(), HasSubstr("not finite"));
}

// A draft model that is always wrong is asked seldom, and one that is always right soon and often.
TEST(Speculate, PausesWhileNothingIsGained) {
  World world;
  const Case c{.options = {.max_tokens = 90}};
  const std::vector<TokenId> answer = run(world, c, nullptr).ids;
  class Counting final : public Drafter {
   public:
    Counting(TokenId id, int& calls) : id_(id), calls_(calls) {}
    std::span<const double, kConfidences> first_guesses() const override {
      static constexpr std::array<double, kConfidences> kRates = {0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5};
      return kRates;
    }
    bool runs_model() const override { return true; }
    Result<void> prepare(std::span<const TokenId>, const std::atomic<bool>*) override { return {}; }
    Result<void> draft(std::span<const TokenId>, size_t longest,
                       const std::function<bool(const DraftToken&)>&, std::vector<DraftToken>& out) override {
      calls_++;
      for (size_t i = 0; i < longest; i++) out.push_back({id_, 0});
      return {};
    }
    void truncate(size_t) override {}

   private:
    TokenId id_;
    int& calls_;
  };
  int calls = 0;
  Speculator wrong(std::make_unique<Counting>(kVocab - 3, calls), "draft", {});
  ASSERT_EQ(std::ranges::count(answer, kVocab - 3), 0);
  EXPECT_EQ(run(world, c, &wrong).ids, answer);
  EXPECT_GE(calls, 2);
  EXPECT_LE(calls, 50);  // however little a step of two tokens costs
}

}  // namespace
}  // namespace pixellm
