#include "infer/config.h"

#include <gmock/gmock.h>

#include "infer/test_models.h"

namespace pixellm {
namespace {

using testing::HasSubstr;

// A tiny model whose metadata a test has changed: a later pair of the same key would be a duplicate, so pairs
// are written afresh with one replaced.
class ConfigTest : public testing::Test {
 protected:
  static TinyModel tiny(Architecture a = Architecture::kLlama) {
    return make_tiny_model(test_spec(a, {TensorType::kQ8_0}));
  }

  // Without the pair `key`; then add() what the test wants instead.
  static TinyModel without(TinyModel model, std::string_view key) {
    auto metadata = Metadata::parse(model.pairs.bytes(), model.pairs.count());
    PairWriter pairs;
    for (const Metadata::Entry& e : metadata->entries()) {
      if (e.key == key) continue;
      if (e.type == MetadataType::kString) pairs.text(e.key, *metadata->string(e.key));
      if (e.type == MetadataType::kUint32)
        pairs.integer(e.key, static_cast<uint32_t>(*metadata->integer(e.key)));
      if (e.type == MetadataType::kFloat32) pairs.number(e.key, static_cast<float>(*metadata->number(e.key)));
    }
    model.pairs = pairs;
    return model;
  }

  template <class Change>
  static TinyModel with(TinyModel model, std::string_view key, Change change) {
    model = without(std::move(model), key);
    change(model.pairs);
    return model;
  }

  static Error error_of(const TinyModel& tiny) {
    auto model = tiny.open();
    if (!model) return model.error();
    auto engine = Engine::create(*model);
    if (engine) return {ErrorCode::kInternal, "no error"};
    return engine.error();
  }

  static ModelConfig config_of(const TinyModel& tiny) {
    const Model model = open_tiny(tiny);
    auto config = read_config(model);
    EXPECT_TRUE(config) << config.error().message;
    return config ? *config : ModelConfig{};
  }
};

TEST_F(ConfigTest, ReadsWhatTheMetadataSays) {
  const ModelConfig c = config_of(tiny());
  EXPECT_EQ(c.architecture, Architecture::kLlama);
  EXPECT_EQ(c.n_layers, 2u);
  EXPECT_EQ(c.embedding_length, 160u);
  EXPECT_EQ(c.n_heads, 5u);
  EXPECT_EQ(c.n_kv_heads, 1u);
  EXPECT_EQ(c.head_dim, 32u);
  EXPECT_EQ(c.n_rot, 32u);
  EXPECT_EQ(c.vocab_size, 300u);
  EXPECT_EQ(c.rope_base, 50000.0);
  EXPECT_EQ(c.attention_scale, 1 / std::sqrt(32.0f));
  EXPECT_FALSE(c.rope_neox);
  EXPECT_FALSE(c.is_sliding(0));
  EXPECT_EQ(config_of(tiny(Architecture::kQwen2)).rope_scale, 0.25);
  EXPECT_TRUE(config_of(tiny(Architecture::kQwen2)).rope_neox);
  EXPECT_EQ(config_of(tiny(Architecture::kGpt2)).n_rot, 0u);
}

TEST_F(ConfigTest, Gemma3) {
  const ModelConfig c = config_of(tiny(Architecture::kGemma3));
  EXPECT_EQ(c.embedding_scale, std::sqrt(160.0f));
  EXPECT_EQ(c.attention_softcap, 20);
  EXPECT_EQ(c.final_softcap, 15);
  EXPECT_EQ(c.rope_base_local, 10000.0);
  EXPECT_EQ(c.sliding, (std::vector<uint8_t>{1, 1, 0}));

  TinySpec spec = test_spec(Architecture::kGemma3, {TensorType::kQ8_0});
  spec.n_layers = 62;
  spec.sliding_period = 0;
  spec.n_heads = spec.n_kv_heads = 4;
  const ModelConfig big = config_of(make_tiny_model(spec));
  EXPECT_EQ(big.attention_scale, 1 / std::sqrt(40.0f));  // embedding / heads, not the head's width
  for (uint32_t i = 0; i < 62; i++) EXPECT_EQ(big.is_sliding(i), i % 6 != 5) << i;

  const auto pattern =
      with(tiny(Architecture::kGemma3), "gemma3.attention.sliding_window_pattern",
           [](PairWriter& p) { p.integers("gemma3.attention.sliding_window_pattern", {0, 1, 1}); });
  EXPECT_EQ(config_of(pattern).sliding, (std::vector<uint8_t>{0, 1, 1}));
  const auto none = with(tiny(Architecture::kGemma3), "gemma3.attention.sliding_window_pattern",
                         [](PairWriter& p) { p.integer("gemma3.attention.sliding_window_pattern", 0); });
  EXPECT_EQ(config_of(none).sliding, (std::vector<uint8_t>{1, 1, 1}));
}

TEST_F(ConfigTest, OptionalKeys) {
  auto model = tiny();
  model.pairs.number("llama.attention.scale", 0.5f);
  model.pairs.number("llama.rope.scaling.attn_factor", 1.25f);
  model.pairs.number("llama.rope.scale_linear", 2.0f);
  const ModelConfig c = config_of(model);
  EXPECT_EQ(c.attention_scale, 0.5f);
  EXPECT_EQ(c.rope_magnitude, 1.25f);
  EXPECT_EQ(c.rope_scale, 0.5);
  EXPECT_EQ(config_of(without(tiny(), "llama.rope.freq_base")).rope_base, 10000.0);
  auto unscaled = tiny();
  unscaled.pairs.text("llama.rope.scaling.type", "none");
  unscaled.pairs.number("llama.rope.scaling.factor", 2.0f);
  EXPECT_EQ(config_of(unscaled).rope_scale, 1.0);
}

TEST_F(ConfigTest, UnknownArchitectureIsNamedWithTheKnownOnes) {
  const Error e = error_of(
      with(tiny(), "general.architecture", [](PairWriter& p) { p.text("general.architecture", "mamba"); }));
  EXPECT_EQ(e.code, ErrorCode::kUnsupported);
  EXPECT_THAT(e.message, HasSubstr("'mamba'"));
  EXPECT_THAT(e.message, HasSubstr("gpt2, llama, qwen2, qwen3, gemma3, mlp"));
}

TEST_F(ConfigTest, WhatIsNotImplementedIsRefusedByName) {
  const auto refused = [](auto change, const char* name) {
    TinyModel model = tiny();
    change(model.pairs);
    const Error e = error_of(model);
    EXPECT_EQ(e.code, ErrorCode::kUnsupported) << e.message;
    EXPECT_THAT(e.message, HasSubstr(name));
  };
  refused([](PairWriter& p) { p.text("llama.rope.scaling.type", "yarn"); }, "yarn");
  refused([](PairWriter& p) { p.text("llama.rope.scaling.type", "longrope"); }, "longrope");
  refused([](PairWriter& p) { p.integer("llama.expert_count", 8); }, "llama.expert_count");
  refused([](PairWriter& p) { p.flag("llama.attention.causal", false); }, "llama.attention.causal");
  const Error array = error_of(with(tiny(), "llama.attention.head_count_kv", [](PairWriter& p) {
    p.integers("llama.attention.head_count_kv", {1, 1});
  }));
  EXPECT_EQ(array.code, ErrorCode::kUnsupported);
  EXPECT_THAT(array.message, HasSubstr("llama.attention.head_count_kv"));
  const Error values = error_of(with(tiny(), "llama.attention.value_length",
                                     [](PairWriter& p) { p.integer("llama.attention.value_length", 64); }));
  EXPECT_EQ(values.code, ErrorCode::kUnsupported);
  EXPECT_THAT(values.message, HasSubstr("value_length"));
}

TEST_F(ConfigTest, MissingAndWrongValuesNameTheKey) {
  for (const char* key :
       {"llama.block_count", "llama.embedding_length", "llama.feed_forward_length", "llama.context_length",
        "llama.attention.head_count", "llama.attention.layer_norm_rms_epsilon", "general.architecture"}) {
    const Error missing = error_of(without(tiny(), key));
    EXPECT_EQ(missing.code, ErrorCode::kCorrupt);
    EXPECT_THAT(missing.message, HasSubstr(key));
    const Error wrong = error_of(with(tiny(), key, [&](PairWriter& p) { p.integers(key, {1}); }));
    EXPECT_NE(wrong.code, ErrorCode::kInternal) << key;
    EXPECT_THAT(wrong.message, HasSubstr(key));
  }
  for (const auto& [key, value] :
       std::vector<std::pair<const char*, uint32_t>>{{"llama.block_count", 0},
                                                     {"llama.block_count", UINT32_MAX},
                                                     {"llama.block_count", 60000},
                                                     {"llama.embedding_length", 0},
                                                     {"llama.attention.head_count", 0},
                                                     {"llama.attention.head_count", 7},
                                                     {"llama.attention.head_count_kv", 3},
                                                     {"llama.attention.key_length", 0},
                                                     {"llama.context_length", UINT32_MAX}}) {
    const Error e = error_of(with(tiny(), key, [&](PairWriter& p) { p.integer(key, value); }));
    EXPECT_NE(e.code, ErrorCode::kInternal) << key << " " << value;
  }
  const auto odd = [](const char* key, float value) {
    auto model = without(tiny(), key);
    model.pairs.number(key, value);
    const Error e = error_of(model);
    EXPECT_EQ(e.code, ErrorCode::kCorrupt) << key << " " << value;
    EXPECT_THAT(e.message, HasSubstr(key));
  };
  odd("llama.attention.layer_norm_rms_epsilon", NAN);
  odd("llama.attention.layer_norm_rms_epsilon", -1);
  odd("llama.rope.freq_base", 0);
  odd("llama.rope.freq_base", INFINITY);
  odd("llama.rope.scaling.factor", -2);
  odd("llama.rope.scaling.factor", 1e-45f);
}

TEST_F(ConfigTest, TensorsMustFitTheConfiguration) {
  TinyModel missing = tiny();
  std::erase_if(missing.tensors, [](const TinyTensor& t) { return t.name == "blk.1.ffn_up.weight"; });
  Error e = error_of(missing);
  EXPECT_EQ(e.code, ErrorCode::kCorrupt);
  EXPECT_THAT(e.message, HasSubstr("blk.1.ffn_up.weight"));

  TinyModel shaped = tiny();
  TinyTensor* t = shaped.find("blk.0.attn_k.weight");
  t->dims[1] *= 2;
  t->bytes.resize(t->bytes.size() * 2);
  e = error_of(shaped);
  EXPECT_EQ(e.code, ErrorCode::kCorrupt);
  EXPECT_THAT(e.message, HasSubstr("blk.0.attn_k.weight is [160, 64]"));
  EXPECT_THAT(e.message, HasSubstr("[160, 32]"));

  TinyModel short_bias = tiny();
  t = short_bias.find("blk.0.attn_q.bias");
  t->dims[0] -= 1;
  t->bytes.resize(t->bytes.size() - 4);
  EXPECT_THAT(error_of(short_bias).message, HasSubstr("blk.0.attn_q.bias is [159]"));

  TinyModel flat = tiny();  // a matrix with one dimension lies without cells
  t = flat.find("blk.0.attn_q.weight");
  t->dims = {t->dims[0] * t->dims[1]};
  EXPECT_THAT(error_of(flat).message, HasSubstr("blk.0.attn_q.weight"));

  TinyModel more = tiny();
  more.tensors.push_back({"blk.0.attn_sub_norm.weight", TensorType::kF32, {4}, std::vector<uint8_t>(16)});
  e = error_of(more);
  EXPECT_EQ(e.code, ErrorCode::kUnsupported);
  EXPECT_THAT(e.message, HasSubstr("blk.0.attn_sub_norm.weight"));

  TinyModel mixed = tiny();
  mixed.find("rope_freqs.weight")->bytes.assign(64, 0);
  EXPECT_THAT(error_of(mixed).message, HasSubstr("rope_freqs.weight"));
}

TEST_F(ConfigTest, VocabularyMustHaveTheEmbeddingsRows) {
  TinyModel model = tiny();
  TinyTensor* t = model.find("token_embd.weight");
  t->bytes.resize(t->bytes.size() / 300 * 299);
  t->dims[1] = 299;
  const Error e = error_of(model);
  EXPECT_EQ(e.code, ErrorCode::kCorrupt);
  EXPECT_THAT(e.message, HasSubstr("300"));
  EXPECT_THAT(e.message, HasSubstr("299"));
}

TEST_F(ConfigTest, MeanNetwork) {
  const ModelConfig c = config_of(tiny(Architecture::kMlp));
  EXPECT_EQ(c.architecture, Architecture::kMlp);
  EXPECT_EQ(c.n_layers, 1u);
  EXPECT_EQ(c.embedding_length, 160u);
  EXPECT_EQ(c.feed_forward_length, 224u);
  EXPECT_EQ(c.vocab_size, 300u);
  const auto expect_error = [](const TinyModel& model, ErrorCode code, const char* name) {
    const Error e = error_of(model);
    EXPECT_EQ(e.code, code) << e.message;
    EXPECT_THAT(e.message, HasSubstr(name));
  };
  const auto set = [](const char* key, uint32_t value) {
    return with(tiny(Architecture::kMlp), key, [&](PairWriter& p) { p.integer(key, value); });
  };
  expect_error(set("mlp.block_count", 2), ErrorCode::kUnsupported, "mlp.block_count is 2");
  expect_error(set("mlp.block_count", 0), ErrorCode::kCorrupt, "mlp.block_count");
  expect_error(set("mlp.vocab_size", 299), ErrorCode::kCorrupt,
               "mlp.vocab_size is 299, token_embd.weight has 300");
  expect_error(set("mlp.vocab_size", 0), ErrorCode::kCorrupt, "mlp.vocab_size");
  expect_error(set("mlp.feed_forward_length", 160), ErrorCode::kCorrupt, "blk.0.ffn_up.weight is [160, 224]");
  expect_error(without(tiny(Architecture::kMlp), "mlp.embedding_length"), ErrorCode::kCorrupt,
               "mlp.embedding_length");
  for (const char* name : {"token_embd.weight", "blk.0.ffn_up.weight", "output.weight"}) {
    TinyModel missing = tiny(Architecture::kMlp);
    std::erase_if(missing.tensors, [&](const TinyTensor& t) { return t.name == name; });
    expect_error(missing, ErrorCode::kCorrupt, name);
  }
  for (const char* name : {"blk.0.ffn_up.bias", "output.bias"}) {
    TinyModel shaped = tiny(Architecture::kMlp);
    shaped.find(name)->dims[0] -= 1;
    shaped.find(name)->bytes.resize(shaped.find(name)->bytes.size() - 4);
    expect_error(shaped, ErrorCode::kCorrupt, name);
  }
  TinyModel more = tiny(Architecture::kMlp);
  more.tensors.push_back({"output_norm.weight", TensorType::kF32, {4}, std::vector<uint8_t>(16)});
  expect_error(more, ErrorCode::kUnsupported, "output_norm.weight");
}

TEST_F(ConfigTest, TokenizerSpecOfCodePoints) {
  const auto spec_of = [](const TinyModel& model) { return read_tokenizer_spec(*model.pairs.metadata()); };
  const auto spec = spec_of(tiny(Architecture::kMlp));
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->model, kCodePointModel);
  EXPECT_EQ(spec->vocab_size, 300u);
  EXPECT_TRUE(spec->tokens.empty());
  EXPECT_THAT(spec_of(without(tiny(Architecture::kMlp), "mlp.vocab_size")).error().message,
              HasSubstr("mlp.vocab_size"));
  TinyModel listed = tiny(Architecture::kMlp);
  listed.pairs.texts("tokenizer.ggml.tokens", {"a"});
  EXPECT_EQ(spec_of(listed).error().code, ErrorCode::kCorrupt);
}

TEST_F(ConfigTest, TokenizerSpec) {
  PairWriter p;
  p.text("tokenizer.ggml.model", "llama");
  p.texts("tokenizer.ggml.tokens", {"a", "b", "c"});
  p.integers("tokenizer.ggml.token_type", {1, 0, 6});
  p.integer("tokenizer.ggml.bos_token_id", 2);
  p.integer("tokenizer.ggml.padding_token_id", UINT32_MAX);
  p.integer("tokenizer.ggml.eom_token_id", 1);
  p.flag("tokenizer.ggml.add_bos_token", true);
  const auto metadata = Metadata::parse(p.bytes(), p.count());
  const auto spec = read_tokenizer_spec(*metadata);
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->model, "llama");
  EXPECT_EQ(spec->tokens.size(), 3u);
  EXPECT_EQ(spec->kinds, (std::vector<uint8_t>{1, 1, 6}));
  EXPECT_EQ(spec->bos, 2);
  EXPECT_EQ(spec->padding, std::nullopt);
  EXPECT_EQ(spec->eos, std::nullopt);
  EXPECT_EQ(spec->end_of_generation, (std::vector<TokenId>{1}));
  EXPECT_EQ(spec->add_bos, true);
  EXPECT_EQ(spec->add_eos, std::nullopt);

  PairWriter wrong;
  wrong.text("tokenizer.ggml.model", "llama");
  wrong.texts("tokenizer.ggml.tokens", {"a"});
  wrong.integers("tokenizer.ggml.token_type", {7});
  EXPECT_FALSE(read_tokenizer_spec(*Metadata::parse(wrong.bytes(), wrong.count())));
  const auto none = read_tokenizer_spec(Metadata{});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace pixellm
