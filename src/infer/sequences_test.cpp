// Long texts, both kinds of cache, and several sequences in one pass over the weights.
#include <cmath>
#include <cstring>
#include <optional>

#include "infer/test_models.h"

namespace pixellm {
namespace {

class SequenceFixture : public testing::Test {
 protected:
  static constexpr uint32_t kLong = 2 * kAttentionChunk + 70;

  void use(TinySpec spec) {
    spec.context_length = kLong + 9;  // a multiple of neither 16 nor kAttentionChunk
    engine_.reset();
    model_.emplace(open_tiny(make_tiny_model(spec)));
    auto engine = Engine::create(*model_);
    ASSERT_TRUE(engine) << engine.error().message;
    engine_.emplace(std::move(*engine));
    vocab_size_ = spec.vocab_size;
  }

  std::unique_ptr<Session> session(ThreadPool& pool, uint32_t batch, CacheKind cache,
                                   ActivationKind activations = ActivationKind::kInt8) {
    auto s = Session::create(*engine_, pool, {.batch = batch, .activations = activations, .cache = cache});
    EXPECT_TRUE(s) << s.error().message;
    return std::move(*s);
  }

  static std::vector<float> copy(std::span<const float> v) { return {v.begin(), v.end()}; }

  std::optional<Model> model_;
  std::optional<Engine> engine_;
  uint32_t vocab_size_ = 0;
};

class SequencesTest : public SequenceFixture, public testing::WithParamInterface<CacheKind> {};

// One by one the chunks of the cache are shared out, in a batch they are not; with a window the first chunks
// are not seen.
TEST_P(SequencesTest, LongTextsDoNotDependOnThreadsOrBatch) {
  for (const Architecture a : {Architecture::kLlama, Architecture::kGemma3}) {
    TinySpec spec = test_spec(a, {TensorType::kQ8_0});
    if (a == Architecture::kGemma3) spec.sliding_window = kAttentionChunk + 40;
    use(spec);
    const auto ids = test_tokens(kLong, vocab_size_);
    std::vector<float> truth;
    for (const auto& [threads, batch] : {std::pair(1, 512u), {2, 1u}, {3, 1u}, {1, 1u}, {2, 70u}}) {
      ThreadPool pool(threads);
      const auto s = session(pool, batch, GetParam());
      ASSERT_TRUE(s->feed(ids));
      if (truth.empty()) truth = copy(s->logits());
      EXPECT_EQ(std::memcmp(truth.data(), s->logits().data(), s->logits().size_bytes()), 0)
          << threads << " threads, batch " << batch;
    }
  }
}

// The cache lies in chunks: what was in a later chunk, or later in the same one, is overwritten; a copy takes
// whole chunks and a part of one.
TEST_P(SequencesTest, GoesBackAndIsCopiedAtEveryPlaceOfAChunk) {
  TinySpec spec = test_spec(Architecture::kGemma3, {TensorType::kQ8_0});
  spec.sliding_window = kAttentionChunk / 2 + 9;
  use(spec);
  ThreadPool pool(2);
  const auto ids = test_tokens(kLong + 9, vocab_size_);
  const auto go_on = [&](Session& s) {
    EXPECT_TRUE(s.feed(std::span(ids).subspan(3, 5)));
    for (const TokenId id : {9, 8, 7}) EXPECT_TRUE(s.feed({{id}}));
    return copy(s.logits());
  };
  const auto other = session(pool, 100, GetParam());
  for (const uint32_t at : {1u, 17u, 250u, 255u, 256u, 257u, 500u, 512u, 513u, 582u}) {
    const auto fresh = session(pool, 33, GetParam()), back = session(pool, 100, GetParam());
    ASSERT_TRUE(fresh->feed(std::span(ids).first(at)));
    const auto expected = go_on(*fresh);
    ASSERT_TRUE(back->feed(ids));
    back->truncate(at);
    other->truncate(0);
    ASSERT_TRUE(other->feed(std::span(ids).last(kLong)));
    other->copy_from(*back);
    ASSERT_EQ(other->position(), at);
    EXPECT_EQ(go_on(*back), expected) << at;
    EXPECT_EQ(go_on(*other), expected) << at;
  }
}

TEST_P(SequencesTest, TheCacheCountsItsPositionsInBlocksOf16) {
  const TinySpec spec = test_spec(Architecture::kLlama, {TensorType::kQ8_0});
  use(spec);
  ThreadPool pool(1);
  const uint64_t position =
      uint64_t{2} * spec.n_layers * spec.n_kv_heads *
      (GetParam() == CacheKind::kF16 ? 2 * spec.head_dim : spec.head_dim + sizeof(float));
  for (const auto& [context, positions] : {std::pair(1u, 16u), {255u, 256u}, {257u, 272u}, {591u, 592u}}) {
    auto s = Session::create(*engine_, pool, {.context = context, .cache = GetParam()});
    ASSERT_TRUE(s);
    EXPECT_EQ((*s)->cache_bytes(), positions * position);
    const auto ids = test_tokens(context, vocab_size_);
    EXPECT_TRUE((*s)->feed(ids));
    EXPECT_FALSE((*s)->feed({{1}}));
  }
}

TEST_P(SequencesTest, TogetherIsAsAlone) {
  for (const Architecture a : {Architecture::kLlama, Architecture::kGpt2, Architecture::kMlp}) {
    for (const ActivationKind activations : {ActivationKind::kInt8, ActivationKind::kInt16}) {
      use(test_spec(a, {TensorType::kQ4_0, TensorType::kF16}));
      ThreadPool pool(2);
      std::vector<std::unique_ptr<Session>> together, alone;
      for (uint32_t i = 0; i < 11; i++) {  // texts of different lengths, one of them long
        const auto ids = test_tokens(i == 4 ? kAttentionChunk + 20 : 3 + i, vocab_size_);
        for (auto* list : {&together, &alone}) {
          list->push_back(session(pool, 16, GetParam(), activations));
          ASSERT_TRUE(list->back()->feed(ids));
        }
      }
      for (TokenId step = 0; step < 3; step++) {
        std::vector<Session*> sessions;
        std::vector<TokenId> ids;
        for (size_t i = 0; i < together.size(); i++) {
          sessions.push_back(together[i].get());
          ids.push_back(static_cast<TokenId>((static_cast<TokenId>(i) * 5 + step) % 50));
          ASSERT_TRUE(alone[i]->feed({&ids.back(), 1}));
        }
        const auto fed = Session::feed_together(sessions, ids);
        ASSERT_TRUE(fed) << fed.error().message;
        for (size_t i = 0; i < together.size(); i++) {
          EXPECT_EQ(together[i]->position(), alone[i]->position());
          ASSERT_EQ(copy(together[i]->logits()), copy(alone[i]->logits())) << "sequence " << i;
        }
      }
    }
  }
}

TEST_P(SequencesTest, ARefusedTokenAppendsNothing) {
  use(test_spec(Architecture::kLlama, {TensorType::kQ8_0}));
  ThreadPool pool(2);
  const auto a = session(pool, 16, GetParam()), b = session(pool, 16, GetParam());
  ASSERT_TRUE(a->feed({{1, 2, 3}}));
  ASSERT_TRUE(b->feed({{4}}));
  Session* both[] = {a.get(), b.get()};
  const TokenId bad[] = {1, static_cast<TokenId>(vocab_size_)};
  const auto fed = Session::feed_together(both, bad);
  ASSERT_FALSE(fed);
  EXPECT_EQ(fed.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(a->position(), 3u);
  EXPECT_EQ(b->position(), 1u);
  EXPECT_TRUE(Session::feed_together({}, {}));
}

TEST_P(SequencesTest, CopiesGoOnAlike) {
  use(test_spec(Architecture::kLlama, {TensorType::kQ8_0}));
  ThreadPool pool(2);
  const auto a = session(pool, 16, GetParam()), b = session(pool, 16, GetParam());
  ASSERT_TRUE(a->feed(test_tokens(45, vocab_size_)));
  b->copy_from(*a);
  for (auto* s : {a.get(), b.get()}) ASSERT_TRUE(s->feed({{7, 8}}));
  EXPECT_EQ(copy(a->logits()), copy(b->logits()));
}

// Half the memory, and hardly other logits.
TEST_F(SequenceFixture, AnInt8CacheIsSmallerAndCloseToF16) {
  use(test_spec(Architecture::kLlama, {TensorType::kF32}));
  ThreadPool pool(2);
  const auto ids = test_tokens(80, vocab_size_);
  const auto small = session(pool, 16, CacheKind::kInt8), large = session(pool, 16, CacheKind::kF16);
  ASSERT_TRUE(small->feed(ids) && large->feed(ids));
  const TinySpec spec = test_spec(Architecture::kLlama, {TensorType::kF32});
  EXPECT_EQ(small->cache_bytes() * 2 * spec.head_dim, large->cache_bytes() * (spec.head_dim + sizeof(float)));
  double difference = 0, size = 0;
  for (size_t i = 0; i < small->logits().size(); i++) {
    difference += std::pow(small->logits()[i] - large->logits()[i], 2);
    size += std::pow(large->logits()[i], 2);
  }
  EXPECT_LT(difference, size * 0.02 * 0.02);
  EXPECT_GT(difference, 0);
}

INSTANTIATE_TEST_SUITE_P(Caches, SequencesTest, testing::Values(CacheKind::kF16, CacheKind::kInt8),
                         [](const auto& p) { return p.param == CacheKind::kF16 ? "f16" : "int8"; });

}  // namespace
}  // namespace pixellm
