#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "infer/draft_plan.h"
#include "infer/model_drafter.h"
#include "infer/ngram_drafter.h"

namespace pixellm {
namespace {

using testing::HasSubstr;

// ---- Prompt look-up

std::string guess(NgramDrafter& drafter, std::string_view text, size_t longest) {
  const std::vector<TokenId> history(text.begin(), text.end());
  std::vector<DraftToken> out;
  EXPECT_TRUE(drafter.draft(history, longest, [](const DraftToken&) { return true; }, out));
  std::string guessed;
  for (const DraftToken& token : out) guessed += static_cast<char>(token.id);
  return guessed;
}

std::string guess(std::string_view text, size_t longest = 6) {
  NgramDrafter drafter;
  return guess(drafter, text, longest);
}

TEST(NgramDrafter, WhatFollowedLastTime) {
  EXPECT_EQ(guess(""), "");
  EXPECT_EQ(guess("a"), "");
  EXPECT_EQ(guess("abcdefgh"), "");
  EXPECT_EQ(guess("one two three, one t"), "wo thr");
  EXPECT_EQ(guess("xa1 xa2 xa"), "2 xa2 ");                               // the last of equals
  EXPECT_EQ(guess("and the big dog, a big cat, and the big"), " dog, ");  // more tokens agree with the first
  EXPECT_EQ(guess("ababab"), "ababab");                                   // goes on where the text ends
  EXPECT_EQ(guess("aaaa", 3), "aaa");
}

// After one token that differs, the text behind it.
TEST(NgramDrafter, ResumesAfterASubstitution) {
  NgramDrafter drafter;
  const std::string text = "value = old_name(x);\n";
  std::string now = text + "value = ";
  EXPECT_EQ(guess(drafter, now, 3), "old");
  now += "N";
  EXPECT_EQ(guess(drafter, now, 3), "ld_");
}

TEST(NgramDrafter, Truncation) {
  NgramDrafter drafter;
  EXPECT_EQ(guess(drafter, "red green blue, red gr", 4), "een ");
  drafter.truncate(4);
  EXPECT_EQ(guess(drafter, "red yellow, red", 4), " yel");
  drafter.truncate(0);
  EXPECT_EQ(guess(drafter, "uvw gr", 4), "");
}

// A long text, token by token: the same as looking for the longest agreement of those at most as old as the
// table keeps, at least where the text is periodic.
TEST(NgramDrafter, GrowsWithTheText) {
  NgramDrafter drafter;
  std::vector<TokenId> history;
  std::vector<DraftToken> out;
  size_t right = 0;
  for (size_t i = 0; i < 20000; i++) {
    const auto next = static_cast<TokenId>((i % 6000) * (i % 6000) * 7 % 5003);
    out.clear();
    ASSERT_TRUE(drafter.draft(history, 1, [](const DraftToken&) { return true; }, out));
    right += !out.empty() && out[0].id == next;
    history.push_back(next);
  }
  EXPECT_GT(right, 13500u);  // all but the first time
}

// ---- The plan

TEST(DraftPlan, LengthsFollowRatesAndCosts) {
  std::array<double, kConfidences> rates = {0.02, 0.5, 0.99, 0.5, 0.5, 0.5, 0.5, 0.5};
  const Acceptance acceptance(rates);
  StepCosts costs;
  EXPECT_FALSE(costs.known());
  costs.ran_plain(0.01);
  EXPECT_TRUE(costs.known());
  EXPECT_EQ(costs.of(1), 1);
  EXPECT_LT(costs.of(2), costs.of(8));
  const auto length = [&](uint8_t confidence, size_t n, double spent = 0) {
    return best_length(std::vector<DraftToken>(n, {0, confidence}), acceptance, costs, spent).n;
  };
  EXPECT_EQ(length(0, 20), 0u);
  EXPECT_GE(length(1, 20), 1u);
  EXPECT_LE(length(1, 20), 4u);
  EXPECT_EQ(length(2, 7), 7u);
  EXPECT_EQ(length(0, 20, 0.5), 0u);
  for (int i = 0; i < 20; i++) costs.ran(2, 0.03), costs.ran(4, 0.05), costs.ran(8, 0.08), costs.ran(16, 0.2);
  EXPECT_NEAR(costs.of(2), 3, 0.1);
  EXPECT_NEAR(costs.of(3), 5, 0.1);
  EXPECT_EQ(length(1, 15), 0u);  // checking costs as much as it gains
  for (int i = 0; i < 5000; i++) costs.ran_plain(0.01);
  EXPECT_LT(costs.of(2), 1.3);  // tried again
}

TEST(DraftPlan, RatesAreLearned) {
  std::array<double, kConfidences> rates{};
  rates.fill(0.5);
  Acceptance acceptance(rates);
  for (int i = 0; i < 100; i++) acceptance.saw(1, false), acceptance.saw(2, true);
  EXPECT_EQ(acceptance.of(0), 0.5);
  EXPECT_LT(acceptance.of(1), 0.05);
  EXPECT_GT(acceptance.of(2), 0.95);
  EXPECT_NEAR(acceptance.mean(), 0.5, 0.05);
}

// ---- Vocabularies

TEST(SameVocabulary, NamesTheDifference) {
  const std::vector<std::string_view> words = {"a", "b", "c", "d"};
  TokenizerSpec model;
  model.model = "gpt2";
  model.tokens = words;
  TokenizerSpec draft = model;
  const auto message = [&] {
    const auto same = check_same_vocabulary(model, draft);
    return same ? std::string() : same.error().message;
  };
  EXPECT_EQ(message(), "");
  draft.tokens[2] = "x";
  EXPECT_EQ(message(),
            "draft model: the vocabulary is not the model's: token 2 is \"x\", the model's is \"c\"");
  draft.tokens = {"a", "b", "c"};
  EXPECT_EQ(message(), "draft model: the vocabulary is not the model's: it has 3 tokens, the model's has 4");
  draft.tokens = {"a", "b", "c", "d", "pad", "pad2"};
  EXPECT_THAT(message(), HasSubstr("it has 6 tokens"));
  draft.kinds = {1, 1, 1, 1, 5, 5};
  EXPECT_EQ(message(), "");  // unused ones at the end
  draft.model = "llama";
  EXPECT_THAT(message(), HasSubstr("its kind is \"llama\", the model's is \"gpt2\""));
}

}  // namespace
}  // namespace pixellm
