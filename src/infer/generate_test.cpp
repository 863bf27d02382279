#include "infer/generate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "infer/test_world.h"

namespace pixellm {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr float kForbidden = -std::numeric_limits<float>::infinity();
constexpr uint32_t kVocab = TestWorld::kVocab;
constexpr TokenId kEnd = kVocab - 1;

struct World : TestWorld {
  explicit World(uint64_t seed = 1, int threads = 1) : TestWorld(make_tiny_model(spec(seed)), threads) {}

  std::unique_ptr<Session> session(uint32_t context = kContext) { return TestWorld::session(context, 16); }

  // Runs a prompt in a session of its own.
  Generation generate(std::string_view prompt, GenerateOptions options, uint32_t context = 128) {
    options.new_session = [this, context] {
      return Session::create(engine, pool, {.context = context, .batch = 16});
    };
    const auto own = session(context);
    emitted.clear();
    return value_of(
        pixellm::generate(*own, tokenizer, encode(prompt), options, [this](std::string_view text) {
          emitted.emplace_back(text);
          return true;
        }));
  }
  std::string all_emitted() const {
    std::string all;
    for (const std::string& piece : emitted) all += piece;
    return all;
  }

  std::vector<std::string> emitted;
};

// Only these tokens can be drawn.
SamplerOptions only(const std::vector<TokenId>& allowed) {
  SamplerOptions o;
  for (TokenId id = 0; id < static_cast<TokenId>(kVocab); id++)
    if (std::ranges::find(allowed, id) == allowed.end()) o.bias.emplace_back(id, kForbidden);
  return o;
}

std::vector<TokenId> letters(std::string_view text) { return {text.begin(), text.end()}; }

TEST(Generate, GreedyIsTheLikeliestTokenEachTime) {
  World world;
  auto session = world.session();
  auto ids = world.encode("Hello");
  std::vector<TokenId> want;
  for (int i = 0; i < 20; i++) {
    ASSERT_TRUE(session->feed(ids));
    ids = {argmax(session->logits())};
    want.push_back(ids[0]);
  }
  GenerateOptions options{.max_tokens = 20};
  options.sampler.bias = {{kEnd, -1000.0f}};
  const auto g = world.generate("Hello", options);
  EXPECT_EQ(g.ids, want);
  EXPECT_EQ(g.stop_reason, "length");
  EXPECT_EQ(g.text, world.tokenizer.decode(want));
  EXPECT_EQ(world.all_emitted(), g.text);
  EXPECT_GT(g.prompt_ms, 0);
  EXPECT_GT(g.generate_ms, 0);
}

TEST(Generate, SameTextForEveryThreadCountAndBatch) {
  GenerateOptions options{.max_tokens = 40};
  options.sampler = {.temperature = 1.2f, .top_p = 0.95f, .repeat_penalty = 1.1f, .seed = 5};
  const auto want = World(1, 1).generate("Some prompt", options);
  ASSERT_FALSE(want.ids.empty());
  for (const uint32_t batch : {1, 3, 100}) {
    options.batch = batch;
    EXPECT_EQ(World(1, 2).generate("Some prompt", options).ids, want.ids);
  }
  options.sampler.seed = 6;
  EXPECT_NE(World(1, 2).generate("Some prompt", options).ids, want.ids);
}

TEST(Generate, EndTokens) {
  World world;
  GenerateOptions options;
  options.sampler.bias = {{kEnd, 1000.0f}};
  auto g = world.generate("abc", options);
  EXPECT_EQ(g.stop_reason, "eos");
  EXPECT_THAT(g.ids, IsEmpty());
  EXPECT_EQ(g.text, "");
  EXPECT_THAT(world.emitted, IsEmpty());

  options.sampler.bias = {{'x', 1000.0f}};
  options.end_tokens = {'x'};
  g = world.generate("abc", options);
  EXPECT_EQ(g.stop_reason, "eos");
  EXPECT_THAT(g.ids, IsEmpty());
}

TEST(Generate, Limits) {
  World world;
  GenerateOptions options{.max_tokens = 5};
  options.sampler = only(letters("abcdef"));
  EXPECT_EQ(world.generate("0123456789", options).ids.size(), 5u);
  options.max_tokens = 0;
  EXPECT_EQ(world.generate("0123456789", options).stop_reason, "length");
  EXPECT_THAT(world.generate("0123456789", options).ids, IsEmpty());
  options.max_tokens = 100;
  auto g = world.generate("0123456789", options, 16);
  EXPECT_EQ(g.ids.size(), 6u);  // prompt and answer fill the context
  EXPECT_EQ(g.stop_reason, "context");
  g = world.generate("012345678901234", options, 16);
  EXPECT_EQ(g.ids.size(), 1u);
}

TEST(Generate, PromptsThatDoNotFit) {
  World world;
  const auto session = world.session(16);
  auto g = generate(*session, world.tokenizer, world.encode("0123456789012345"), GenerateOptions(), {});
  ASSERT_FALSE(g);
  EXPECT_EQ(g.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(g.error().message,
            "generate: the prompt has 16 tokens, a context of 16 takes at most 15 (a larger one, up to the "
            "model's: "
            "--context)");
  EXPECT_EQ(session->position(), 0u);
  ASSERT_TRUE(session->feed(world.encode("0123")));
  g = generate(*session, world.tokenizer, world.encode("012345678901"), GenerateOptions(), {});
  ASSERT_FALSE(g);
  EXPECT_EQ(
      g.error().message,
      "generate: the prompt has 12 tokens, a context of 16 takes at most 11 after 4 that it holds (a larger "
      "one, up to the model's: --context)");
  g = generate(*session, world.tokenizer, {}, GenerateOptions(), {});
  ASSERT_FALSE(g);
  EXPECT_THAT(g.error().message, HasSubstr("no tokens"));
}

TEST(Generate, GoesOnFromWhatTheSessionHolds) {
  World world;
  GenerateOptions options{.max_tokens = 8};
  options.sampler = only(letters("abcdefgh"));
  const auto whole = world.generate("first second", options);
  const auto session = world.session();
  ASSERT_TRUE(session->feed(world.encode("first ")));
  const auto g = value_of(generate(*session, world.tokenizer, world.encode("second"), options, {}));
  EXPECT_EQ(g.ids, whole.ids);
  EXPECT_EQ(session->position(), 12u + 8 - 1);  // the last token is not fed
}

TEST(Generate, Interruption) {
  World world;
  std::atomic<bool> interrupted{true};
  GenerateOptions options{.interrupted = &interrupted};
  options.sampler = only(letters("abcdef"));
  auto g = world.generate("abc", options);
  EXPECT_EQ(g.stop_reason, "interrupted");
  EXPECT_THAT(g.ids, IsEmpty());

  interrupted = false;
  const auto session = world.session();
  g = value_of(generate(*session, world.tokenizer, world.encode("abc"), options, [&](std::string_view text) {
    if (session->position() >= 6) interrupted = true;
    return !text.empty();
  }));
  EXPECT_EQ(g.stop_reason, "interrupted");
  EXPECT_EQ(g.ids.size(), 4u);
  EXPECT_EQ(g.text.size(), 4u);

  interrupted = false;
  const auto other = world.session();
  g = value_of(generate(*other, world.tokenizer, world.encode("abc"), options,
                        [](std::string_view) { return false; }));
  EXPECT_EQ(g.stop_reason, "interrupted");
  EXPECT_EQ(g.ids.size(), 1u);
}

// In a byte-level vocabulary without merges every stop text of several bytes lies across tokens.
TEST(Generate, StopTextsAcrossTokens) {
  World world;
  GenerateOptions options{.max_tokens = 40};
  options.sampler = only(letters("abcdefgh"));
  options.sampler.temperature = 1.5f;
  options.sampler.seed = 3;
  const std::string free = world.generate("Once", options).text;
  ASSERT_EQ(free.size(), 40u);
  for (size_t at = 0; at + 4 <= free.size(); at += 3) {
    options.stop = {"not in there", free.substr(at, 4)};
    const auto g = world.generate("Once", options);
    const size_t found = free.find(options.stop[1]);
    EXPECT_EQ(g.text, free.substr(0, found));
    EXPECT_EQ(g.stop_reason, "stop");
    EXPECT_EQ(g.ids.size(), found + 4);
    EXPECT_EQ(world.all_emitted(), g.text);
  }
  options.stop = {free.substr(36) + "never"};  // held back at the end, then let go
  EXPECT_EQ(world.generate("Once", options).text, free);
  EXPECT_EQ(world.all_emitted(), free);
  EXPECT_EQ(world.emitted.back(), free.substr(36));
}

TEST(Generate, EmitsWholeCharacters) {
  World world;
  // Ids of the bytes of é (C3 A9) and a letter.
  const auto bytes = world.encode("\xc3\xa9");
  ASSERT_EQ(bytes.size(), 2u);
  GenerateOptions options{.max_tokens = 60};
  options.sampler = only({bytes[0], bytes[1], 'a'});
  options.sampler.temperature = 50;
  const auto g = world.generate("x", options);
  ASSERT_NE(g.text.find("\xc3\xa9"), std::string::npos) << "the seed gives no whole character";
  EXPECT_EQ(g.text, world.tokenizer.decode(g.ids));
  EXPECT_EQ(world.all_emitted(), g.text);
  for (size_t i = 0; i + 1 < world.emitted.size(); i++)
    EXPECT_FALSE(world.emitted[i].ends_with('\xc3') && world.emitted[i + 1].starts_with('\xa9'));
}

TEST(Generate, PromptTokensCountForPenalties) {
  World world;
  GenerateOptions options{.max_tokens = 3};
  options.sampler = only(letters("abcdef"));
  options.sampler.presence_penalty = 1e6f;
  const auto g = world.generate("abc", options);
  auto sorted = g.ids;
  std::ranges::sort(sorted);
  EXPECT_EQ(sorted, letters("def"));
}

TEST(Generate, OptionsOutOfRange) {
  const auto message = [](const GenerateOptions& options) {
    const auto result = validate(options);
    return result ? std::string("accepted") : result.error().message;
  };
  EXPECT_EQ(message({}), "accepted");
  EXPECT_EQ(message({.beams = 0}), "generate: beams is 0, allowed 1 to 64");
  EXPECT_EQ(message({.beams = 65}), "generate: beams is 65, allowed 1 to 64");
  EXPECT_EQ(message({.sampler = {.temperature = 0.5f}, .beams = 2}),
            "generate: temperature is 0.5, beam search needs 0");
  EXPECT_THAT(message({.stop = {""}}), HasSubstr("a stop text of 0 bytes, allowed 1 to 4096"));
  EXPECT_THAT(message({.stop = {std::string(4097, 'x')}}), HasSubstr("4097 bytes"));
  EXPECT_THAT(message({.batch = 0}), HasSubstr("batch is 0"));
  EXPECT_THAT(message({.sampler = {.top_p = 2}}), HasSubstr("top-p is 2"));
}

// ---- Beam search

struct Hypothesis {
  std::vector<TokenId> ids;  // with the end token when it ended
  double log_probability = 0;

  bool ended() const { return !ids.empty() && ids.back() == kEnd; }
  double mean() const { return log_probability / static_cast<double>(ids.size()); }
};

// log p(next | prompt, ids) for every next, from an empty cache.
std::vector<double> log_probabilities(World& world, Sampler& sampler, std::vector<TokenId> prompt,
                                      const std::vector<TokenId>& ids) {
  const auto session = world.session();
  prompt.insert(prompt.end(), ids.begin(), ids.end());
  EXPECT_TRUE(session->feed(prompt));
  const auto scores = sampler.adjust(session->logits());
  double sum = 0;
  for (const float s : scores) sum += std::exp(static_cast<double>(s));
  std::vector<double> out;
  for (const float s : scores) out.push_back(static_cast<double>(s) - std::log(sum));
  return out;
}

Hypothesis best_of(const std::vector<Hypothesis>& all) {
  return *std::ranges::max_element(all, {}, [](const Hypothesis& h) { return h.mean(); });
}

void expect_same(const Generation& g, Hypothesis want, std::string_view otherwise) {
  EXPECT_NEAR(g.log_probability, want.log_probability, 1e-9);
  EXPECT_EQ(g.stop_reason, want.ended() ? "eos" : otherwise);
  if (want.ended()) want.ids.pop_back();
  EXPECT_EQ(g.ids, want.ids);
}

// With as many beams as there are continuations, nothing is pruned: the result is the best of all.
TEST(BeamSearch, WideSearchIsExhaustive) {
  int ended = 0;
  for (const uint64_t seed : {1, 2, 3, 4, 5, 6}) {
    World world(seed);
    GenerateOptions options{.max_tokens = 3, .beams = 64};
    options.sampler = only({'a', 'b', 'c', kEnd});
    options.sampler.bias.emplace_back(kEnd, 1.0f);
    Sampler sampler = value_of(Sampler::create(options.sampler, kVocab));
    std::vector<Hypothesis> all, open = {{}};
    while (!open.empty()) {
      const Hypothesis h = open.back();
      open.pop_back();
      const auto log_p = log_probabilities(world, sampler, world.encode("The "), h.ids);
      for (const TokenId id : {TokenId{'a'}, TokenId{'b'}, TokenId{'c'}, kEnd}) {
        Hypothesis longer = h;
        longer.ids.push_back(id);
        longer.log_probability += log_p[static_cast<size_t>(id)];
        (longer.ended() || longer.ids.size() == 3 ? all : open).push_back(longer);
      }
    }
    EXPECT_EQ(all.size(), 40u);  // 1 + 3 + 9 that end, 27 that do not
    expect_same(world.generate("The ", options), best_of(all), "length");
    ended += best_of(all).ended();
  }
  EXPECT_GT(ended, 0);
  EXPECT_LT(ended, 6);
}

// The rule in generate.h, without sessions that are shared or copied.
Hypothesis reference_search(World& world, Sampler& sampler, const std::vector<TokenId>& prompt, size_t beams,
                            size_t limit) {
  std::vector<Hypothesis> live = {{}}, finished;
  while (live[0].ids.size() < limit) {
    std::vector<Hypothesis> candidates;
    for (const Hypothesis& h : live) {
      const auto log_p = log_probabilities(world, sampler, prompt, h.ids);
      for (size_t id = 0; id < log_p.size(); id++) {
        candidates.push_back(h);
        candidates.back().ids.push_back(static_cast<TokenId>(id));
        candidates.back().log_probability += log_p[id];
      }
    }
    std::ranges::stable_sort(candidates, std::greater<>(), &Hypothesis::log_probability);
    live.clear();
    for (size_t rank = 0; live.size() < beams; rank++) {
      if (!candidates[rank].ended())
        live.push_back(candidates[rank]);
      else if (rank < beams)
        finished.push_back(candidates[rank]);
    }
    if (finished.size() >= beams && best_of(finished).mean() >= best_of(live).mean())
      return best_of(finished);
  }
  finished.insert(finished.end(), live.begin(), live.end());
  return best_of(finished);
}

TEST(BeamSearch, NarrowSearchFollowsTheRule) {
  for (const uint64_t seed : {1, 2, 3}) {
    World world(seed, 2);
    for (const uint32_t beams : {2, 3, 5}) {
      GenerateOptions options{.max_tokens = 6, .beams = beams};
      options.sampler.bias = {{kEnd, 2.5f}};
      Sampler sampler = value_of(Sampler::create(options.sampler, kVocab));
      const auto g = world.generate("A long time ago", options);
      expect_same(g, reference_search(world, sampler, world.encode("A long time ago"), beams, 6), "length");
      EXPECT_EQ(world.all_emitted(), g.text);
      EXPECT_EQ(g.text, world.tokenizer.decode(g.ids));
    }
  }
}

TEST(BeamSearch, StopTextsLimitsAndInterruption) {
  World world;
  GenerateOptions options{.max_tokens = 12, .beams = 3};
  options.sampler = only(letters("abcdefgh"));
  const auto free = world.generate("Once", options);
  ASSERT_EQ(free.text.size(), 12u);
  options.stop = {free.text.substr(0, 2)};  // every beam that begins so ends there, with a text of ""
  auto g = world.generate("Once", options);
  EXPECT_EQ(g.text.find(options.stop[0]), std::string::npos);
  const std::string ending = g.stop_reason == "stop" ? options.stop[0] : "";
  EXPECT_EQ(world.tokenizer.decode(g.ids), g.text + ending);

  options.stop = {};
  g = world.generate("Once upon", options, 16);
  EXPECT_EQ(g.ids.size(), 16u - 9);
  EXPECT_EQ(g.stop_reason, "context");

  std::atomic<bool> interrupted{true};
  options.interrupted = &interrupted;
  EXPECT_EQ(world.generate("Once", options).stop_reason, "interrupted");
}

TEST(BeamSearch, TheSessionKeepsThePrompt) {
  World world;
  GenerateOptions options{.max_tokens = 5, .beams = 2};
  options.new_session = [&] {
    return Session::create(world.engine, world.pool, {.context = 64, .batch = 16});
  };
  options.sampler = only(letters("abcdefgh"));
  const auto session = world.session(64);
  const auto first = value_of(generate(*session, world.tokenizer, world.encode("Once"), options, {}));
  EXPECT_EQ(session->position(), 4u);
  session->truncate(0);
  EXPECT_EQ(value_of(generate(*session, world.tokenizer, world.encode("Once"), options, {})).ids, first.ids);

  options.sampler.bias.clear();
  for (TokenId id = 0; id < static_cast<TokenId>(kVocab); id++)
    options.sampler.bias.emplace_back(id, kForbidden);
  session->truncate(0);
  const auto none = generate(*session, world.tokenizer, world.encode("Once"), options, {});
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("no token is possible"));
}

}  // namespace
}  // namespace pixellm
