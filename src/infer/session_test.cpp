#include "infer/session.h"

#include <gmock/gmock.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "infer/test_models.h"

namespace {
std::atomic<uint64_t> g_allocations{0};
}  // namespace

void* operator new(size_t size) {
  g_allocations++;
  if (void* p = std::malloc(size ? size : 1)) return p;
  std::abort();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }

namespace pixellm {
namespace {

using testing::HasSubstr;

class SessionTest : public testing::Test {
 protected:
  void SetUp() override { use(test_spec(Architecture::kLlama, {TensorType::kQ4_0})); }

  void use(const TinySpec& spec) {
    spec_ = spec;
    engine_.reset();
    model_.emplace(open_tiny(make_tiny_model(spec)));
    auto engine = Engine::create(*model_);
    ASSERT_TRUE(engine) << engine.error().message;
    engine_.emplace(std::move(*engine));
  }

  std::unique_ptr<Session> session(const SessionOptions& options = {}) {
    auto s = Session::create(*engine_, pool_, options);
    EXPECT_TRUE(s) << s.error().message;
    return std::move(*s);
  }

  static std::vector<float> copy(std::span<const float> v) { return {v.begin(), v.end()}; }

  TinySpec spec_;
  std::optional<Model> model_;
  std::optional<Engine> engine_;
  ThreadPool pool_{2};
};

TEST_F(SessionTest, BeginsEmpty) {
  auto s = session();
  EXPECT_EQ(s->position(), 0u);
  EXPECT_TRUE(s->logits().empty());
  EXPECT_EQ(s->context(), spec_.context_length);
  EXPECT_EQ(s->cache_bytes(), uint64_t{2} * 2 * spec_.n_layers * spec_.n_kv_heads * spec_.head_dim * 96);
  EXPECT_TRUE(s->feed({}));
  EXPECT_TRUE(s->logits().empty());
}

TEST_F(SessionTest, ContextOverTheModelsIsRefusedWithBothNumbers) {
  auto s = Session::create(*engine_, pool_, {.context = 97, .batch = 8});
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(s.error().message, HasSubstr("97"));
  EXPECT_THAT(s.error().message, HasSubstr("96"));
  EXPECT_FALSE(Session::create(*engine_, pool_, {.context = 8, .batch = 0}));
}

TEST_F(SessionTest, TooManyTokensChangeNothing) {
  auto s = session({.context = 20, .batch = 8});
  const auto ids = test_tokens(21, spec_.vocab_size);
  ASSERT_TRUE(s->feed(std::span(ids).first(12)));
  const auto before = copy(s->logits());
  const auto fed = s->feed(std::span(ids).first(9));
  ASSERT_FALSE(fed);
  EXPECT_EQ(fed.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(fed.error().message, HasSubstr("21"));
  EXPECT_THAT(fed.error().message, HasSubstr("20"));
  EXPECT_EQ(s->position(), 12u);
  EXPECT_EQ(copy(s->logits()), before);
  EXPECT_TRUE(s->feed(std::span(ids).subspan(12, 8)));
  EXPECT_EQ(copy(s->logits()), run_last(*engine_, std::span(ids).first(20), 1, 64));
}

TEST_F(SessionTest, IdsOutsideTheVocabularyAreRefused) {
  auto s = session();
  for (const TokenId bad : {TokenId{-1}, TokenId{300}, TokenId{INT32_MAX}, TokenId{INT32_MIN}}) {
    const std::array<TokenId, 3> ids = {1, bad, 2};
    const auto fed = s->feed(ids);
    ASSERT_FALSE(fed);
    EXPECT_EQ(fed.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(fed.error().message, HasSubstr(std::to_string(bad)));
    EXPECT_FALSE(s->feed_each(ids, [](uint32_t, std::span<const float>) { return Result<void>{}; }));
    EXPECT_EQ(s->position(), 0u);
  }
}

TEST_F(SessionTest, TruncateForgets) {
  auto s = session({.context = 0, .batch = 7});
  const auto ids = test_tokens(40, spec_.vocab_size);
  ASSERT_TRUE(s->feed(std::span(ids).first(30)));
  s->truncate(11);
  EXPECT_EQ(s->position(), 11u);
  EXPECT_TRUE(s->logits().empty());
  ASSERT_TRUE(s->feed(std::span(ids).subspan(35, 5)));
  std::vector<TokenId> expected(ids.begin(), ids.begin() + 11);
  expected.insert(expected.end(), ids.begin() + 35, ids.end());
  EXPECT_EQ(copy(s->logits()), run_last(*engine_, expected, 1, 64));
  s->truncate(1000);
  EXPECT_EQ(s->position(), 16u);
}

TEST_F(SessionTest, CopiesGoOnAlone) {
  auto a = session(), b = session();
  const auto ids = test_tokens(40, spec_.vocab_size);
  ASSERT_TRUE(b->feed(std::span(ids).first(5)));
  ASSERT_TRUE(a->feed(std::span(ids).first(21)));
  b->copy_from(*a);
  EXPECT_EQ(b->position(), 21u);
  EXPECT_EQ(copy(b->logits()), copy(a->logits()));
  ASSERT_TRUE(a->feed(std::span(ids).subspan(30, 2)));
  ASSERT_TRUE(b->feed(std::span(ids).subspan(21, 9)));
  EXPECT_EQ(copy(b->logits()), run_last(*engine_, std::span(ids).first(30), 1, 64));
}

TEST_F(SessionTest, EachStopsAtTheCallersError) {
  auto s = session({.context = 0, .batch = 4});
  const auto ids = test_tokens(10, spec_.vocab_size);
  uint32_t calls = 0;
  const auto fed = s->feed_each(ids, [&](uint32_t, std::span<const float>) -> Result<void> {
    return ++calls < 6 ? Result<void>{} : fail(ErrorCode::kIo, "disk full");
  });
  ASSERT_FALSE(fed);
  EXPECT_EQ(fed.error().message, "disk full");
  EXPECT_EQ(calls, 6u);
}

TEST_F(SessionTest, FeedAllocatesNothing) {
  auto s = session({.context = 0, .batch = 16});
  const auto ids = test_tokens(40, spec_.vocab_size);
  ASSERT_TRUE(s->feed(std::span(ids).first(3)));
  const uint64_t before = g_allocations;
  ASSERT_TRUE(s->feed(std::span(ids).subspan(3, 20)));
  for (size_t i = 23; i < ids.size(); i++) ASSERT_TRUE(s->feed({&ids[i], 1}));
  EXPECT_EQ(g_allocations, before);
}

TEST_F(SessionTest, ValuesThatAreNotFiniteAreAnError) {
  TinyModel tiny = make_tiny_model(spec_);
  TinyTensor* norm = tiny.find("blk.1.attn_norm.weight");
  store_le<float>(norm->bytes.data(), std::numeric_limits<float>::infinity());
  const Model model = open_tiny(tiny);
  auto engine = Engine::create(model);
  ASSERT_TRUE(engine);
  auto s = Session::create(*engine, pool_, {});
  const auto ids = test_tokens(9, spec_.vocab_size);
  const auto fed = (*s)->feed(ids);
  ASSERT_FALSE(fed);
  EXPECT_EQ(fed.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(fed.error().message, HasSubstr("not finite"));
  EXPECT_EQ((*s)->position(), 0u);
  EXPECT_TRUE((*s)->logits().empty());
  EXPECT_FALSE((*s)->feed_each(ids, [](uint32_t, std::span<const float>) { return Result<void>{}; }));
}

// A value that fits binary32 but not the cache's binary16 shows in the next logits.
TEST_F(SessionTest, OverflowOfTheCacheIsAnError) {
  TinyModel tiny = make_tiny_model(spec_);
  TinyTensor* bias = tiny.find("blk.0.attn_v.bias");
  store_le<float>(bias->bytes.data(), 1e6f);
  const Model model = open_tiny(tiny);
  auto engine = Engine::create(model);
  ASSERT_TRUE(engine);
  auto s = Session::create(*engine, pool_, {});
  const auto fed = (*s)->feed(test_tokens(9, spec_.vocab_size));
  ASSERT_FALSE(fed);
  EXPECT_EQ(fed.error().code, ErrorCode::kCorrupt);
}

class MeanNetworkTest : public SessionTest {
 protected:
  void SetUp() override { use(test_spec(Architecture::kMlp, {TensorType::kF32})); }
};

TEST_F(MeanNetworkTest, KeepsASumForEveryPosition) {
  auto s = session({.context = 20, .batch = 8});
  EXPECT_EQ(s->cache_bytes(), uint64_t{20} * spec_.embedding_length * sizeof(float));
  EXPECT_TRUE(s->logits().empty());
}

TEST_F(MeanNetworkTest, GoesBackToAnyPosition) {
  const auto ids = test_tokens(40, spec_.vocab_size);
  for (const uint32_t back : {0u, 1u, 7u, 29u, 30u}) {
    auto s = session({.context = 0, .batch = 7});
    ASSERT_TRUE(s->feed(std::span(ids).first(30)));
    s->truncate(back);
    EXPECT_EQ(s->position(), back);
    EXPECT_TRUE(s->logits().empty());
    ASSERT_TRUE(s->feed(std::span(ids).subspan(31, 5)));
    std::vector<TokenId> expected(ids.begin(), ids.begin() + back);
    expected.insert(expected.end(), ids.begin() + 31, ids.begin() + 36);
    EXPECT_EQ(copy(s->logits()), run_last(*engine_, expected, 1, 64)) << back;
  }
}

TEST_F(MeanNetworkTest, CopiesGoOnAlone) {
  auto a = session(), b = session({.context = 0, .batch = 3});
  const auto ids = test_tokens(40, spec_.vocab_size);
  ASSERT_TRUE(b->feed(std::span(ids).first(5)));
  ASSERT_TRUE(a->feed(std::span(ids).first(21)));
  b->copy_from(*a);
  EXPECT_EQ(copy(b->logits()), copy(a->logits()));
  ASSERT_TRUE(a->feed(std::span(ids).subspan(30, 2)));
  ASSERT_TRUE(b->feed(std::span(ids).subspan(21, 9)));
  EXPECT_EQ(copy(b->logits()), run_last(*engine_, std::span(ids).first(30), 1, 64));
  b->truncate(10);
  ASSERT_TRUE(b->feed(std::span(ids).subspan(10, 1)));
  EXPECT_EQ(copy(b->logits()), run_last(*engine_, std::span(ids).first(11), 1, 64));
}

TEST_F(MeanNetworkTest, FeedAllocatesNothing) {
  auto s = session({.context = 0, .batch = 16});
  const auto ids = test_tokens(40, spec_.vocab_size);
  ASSERT_TRUE(s->feed(std::span(ids).first(3)));
  const uint64_t before = g_allocations;
  ASSERT_TRUE(s->feed(std::span(ids).subspan(3, 20)));
  for (size_t i = 23; i < ids.size(); i++) ASSERT_TRUE(s->feed({&ids[i], 1}));
  EXPECT_EQ(g_allocations, before);
}

TEST_F(MeanNetworkTest, IdsOutsideTheVocabularyAndTooManyAreRefused) {
  auto s = session({.context = 5, .batch = 8});
  const std::array<TokenId, 2> bad = {1, 300};
  EXPECT_THAT(s->feed(bad).error().message, HasSubstr("has id 300, the vocabulary has 300"));
  EXPECT_FALSE(s->feed(test_tokens(6, spec_.vocab_size)));
  EXPECT_EQ(s->position(), 0u);
  EXPECT_TRUE(s->feed(test_tokens(5, spec_.vocab_size)));
}

TEST_F(MeanNetworkTest, ValuesThatAreNotFiniteAreAnError) {
  for (const char* name : {"token_embd.weight", "blk.0.ffn_up.bias", "output.weight"}) {
    TinyModel tiny = make_tiny_model(spec_);
    TinyTensor* t = tiny.find(name);
    for (size_t i = 0; i < t->bytes.size(); i += 4)
      store_le<float>(&t->bytes[i], std::numeric_limits<float>::quiet_NaN());
    const Model model = open_tiny(tiny);
    auto engine = Engine::create(model);
    ASSERT_TRUE(engine);
    auto s = Session::create(*engine, pool_, {});
    const auto fed = (*s)->feed(test_tokens(9, spec_.vocab_size));
    ASSERT_FALSE(fed) << name;
    EXPECT_EQ(fed.error().code, ErrorCode::kCorrupt);
    EXPECT_EQ((*s)->position(), 0u);
  }
}

TEST_F(MeanNetworkTest, BytesPerTokenCountsOneEmbeddingRow) {
  uint64_t all = 0, embedding = 0;
  for (const TensorInfo& t : model_->tensors()) {
    all += t.stored_bytes;
    if (t.name == "token_embd.weight") embedding = t.stored_bytes;
  }
  EXPECT_EQ(engine_->bytes_per_token(), all - embedding + uint64_t{4} * spec_.embedding_length);
}

TEST_F(SessionTest, BytesPerTokenCountsOneEmbeddingRow) {
  uint64_t all = 0, embedding = 0;
  for (const TensorInfo& t : model_->tensors()) {
    all += t.stored_bytes;
    if (t.name == "token_embd.weight") embedding = t.stored_bytes;
  }
  EXPECT_EQ(engine_->bytes_per_token(),
            all - embedding + gguf_row_bytes(TensorType::kQ4_0, spec_.embedding_length));
  TinySpec tied = spec_;
  tied.tied_output = true;
  use(tied);
  all = 0;
  for (const TensorInfo& t : model_->tensors()) all += t.stored_bytes;
  EXPECT_EQ(engine_->bytes_per_token(), all);
}

}  // namespace
}  // namespace pixellm
