#include "infer/config.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <limits>
#include <optional>

namespace pixellm {
namespace {

constexpr std::array<std::pair<std::string_view, Architecture>, 6> kArchitectures = {{
    {"gpt2", Architecture::kGpt2},
    {"llama", Architecture::kLlama},
    {"qwen2", Architecture::kQwen2},
    {"qwen3", Architecture::kQwen3},
    {"gemma3", Architecture::kGemma3},
    {"mlp", Architecture::kMlp},
}};

// Widths and counts stay far below what a product of three of them needs to leave 64 bits.
constexpr int64_t kMaxWidth = 1 << 20;
constexpr int64_t kMaxContext = 1 << 28;

// Typed access under the architecture's prefix. A key of the wrong type is an error, never taken as absent.
class Keys {
 public:
  Keys(const Metadata& metadata, std::string_view prefix) : metadata_(metadata), prefix_(prefix) {}

  std::string name(std::string_view key) const { return fmt::format("{}.{}", prefix_, key); }
  bool has(std::string_view key) const { return metadata_.find(name(key)) != nullptr; }

  Result<std::optional<uint32_t>> optional_integer(std::string_view key, int64_t least, int64_t most) const {
    const std::string full = name(key);
    const Metadata::Entry* entry = metadata_.find(full);
    if (!entry) return std::nullopt;
    if (entry->type == MetadataType::kArray)
      return fail(ErrorCode::kUnsupported,
                  fmt::format("config: {} is an array; only one value for all layers is supported", full));
    const std::optional<int64_t> value = metadata_.integer(full);
    if (!value) return fail(ErrorCode::kCorrupt, fmt::format("config: {} is not an integer", full));
    if (*value < least || *value > most)
      return fail(ErrorCode::kCorrupt,
                  fmt::format("config: {} is {}, allowed are {} to {}", full, *value, least, most));
    return static_cast<uint32_t>(*value);
  }

  Result<uint32_t> integer(std::string_view key, int64_t least, int64_t most) const {
    const std::optional<uint32_t> value = PIXELLM_TRY(optional_integer(key, least, most));
    if (!value) return missing(key);
    return *value;
  }

  Result<std::optional<double>> optional_number(std::string_view key) const {
    const std::string full = name(key);
    if (!metadata_.find(full)) return std::nullopt;
    const std::optional<double> value = metadata_.number(full);
    if (!value) return fail(ErrorCode::kCorrupt, fmt::format("config: {} is not a number", full));
    if (!std::isfinite(*value))
      return fail(ErrorCode::kCorrupt, fmt::format("config: {} is not finite", full));
    return *value;
  }

  // A number that must be greater than zero; `absent` when the key is missing.
  Result<double> positive(std::string_view key, double absent) const {
    const std::optional<double> value = PIXELLM_TRY(optional_number(key));
    if (!value) return absent;
    if (!(*value > 0))
      return fail(ErrorCode::kCorrupt, fmt::format("config: {} is {}, must be above 0", name(key), *value));
    return *value;
  }

  std::unexpected<Error> missing(std::string_view key) const {
    return fail(ErrorCode::kCorrupt, fmt::format("config: metadata has no {}", name(key)));
  }

 private:
  const Metadata& metadata_;
  std::string_view prefix_;
};

Result<Architecture> find_architecture(const Metadata& metadata) {
  const std::optional<std::string_view> name = metadata.string("general.architecture");
  if (!name) return fail(ErrorCode::kCorrupt, "config: metadata has no general.architecture");
  std::string list;
  for (const auto& [known, architecture] : kArchitectures) {
    if (known == *name) return architecture;
    list += fmt::format("{}{}", list.empty() ? "" : ", ", known);
  }
  return fail(
      ErrorCode::kUnsupported,
      fmt::format("config: architecture '{}' is not implemented; known are {}", name->substr(0, 64), list));
}

Result<void> read_heads(const Keys& keys, ModelConfig& c) {
  c.n_heads = PIXELLM_TRY(keys.integer("attention.head_count", 1, kMaxWidth));
  c.n_kv_heads =
      PIXELLM_TRY(keys.optional_integer("attention.head_count_kv", 1, kMaxWidth)).value_or(c.n_heads);
  if (c.n_heads % c.n_kv_heads != 0)
    return fail(ErrorCode::kCorrupt, fmt::format("config: {} is {}, no multiple of {}, which is {}",
                                                 keys.name("attention.head_count"), c.n_heads,
                                                 keys.name("attention.head_count_kv"), c.n_kv_heads));
  const auto key_length = PIXELLM_TRY(keys.optional_integer("attention.key_length", 1, kMaxWidth));
  if (!key_length && c.embedding_length % c.n_heads != 0)
    return fail(ErrorCode::kCorrupt,
                fmt::format("config: {} is {}, no multiple of {} heads, and there is no {}",
                            keys.name("embedding_length"), c.embedding_length, c.n_heads,
                            keys.name("attention.key_length")));
  c.head_dim = key_length.value_or(c.embedding_length / c.n_heads);
  c.value_dim =
      PIXELLM_TRY(keys.optional_integer("attention.value_length", 1, kMaxWidth)).value_or(c.head_dim);
  if (c.value_dim != c.head_dim)
    return fail(ErrorCode::kUnsupported,
                fmt::format("config: {} is {} and the keys' length {}; only equal ones are supported",
                            keys.name("attention.value_length"), c.value_dim, c.head_dim));
  const uint64_t width = uint64_t{c.n_heads} * c.head_dim;
  if (width > kMaxWidth)
    return fail(ErrorCode::kTooLarge,
                fmt::format("config: {} heads of {} are {} values a token, at most {} are supported",
                            c.n_heads, c.head_dim, width, kMaxWidth));
  return {};
}

Result<void> read_sizes(const Model& model, const Keys& keys, ModelConfig& c) {
  c.n_layers = PIXELLM_TRY(keys.integer("block_count", 1, kNoLayer));
  if (c.n_layers > model.tensors().size())
    return fail(ErrorCode::kCorrupt,
                fmt::format("config: {} is {}, but the model has only {} tensors", keys.name("block_count"),
                            c.n_layers, model.tensors().size()));
  c.embedding_length = PIXELLM_TRY(keys.integer("embedding_length", 1, kMaxWidth));
  c.feed_forward_length = PIXELLM_TRY(keys.integer("feed_forward_length", 1, kMaxWidth));
  c.context_length = PIXELLM_TRY(keys.integer("context_length", 1, kMaxContext));
  return {};
}

// One hidden layer is what the network has.
Result<void> check_mlp(const Keys& keys, const ModelConfig& c) {
  if (c.n_layers == 1) return {};
  return fail(ErrorCode::kUnsupported, fmt::format("config: {} is {}, architecture mlp is implemented with 1",
                                                   keys.name("block_count"), c.n_layers));
}

Result<void> refuse_unsupported(const Keys& keys, const Metadata& metadata) {
  const auto experts = PIXELLM_TRY(keys.optional_integer("expert_count", 0, kMaxWidth));
  if (experts.value_or(0) > 0)
    return fail(ErrorCode::kUnsupported,
                fmt::format("config: a mixture of {} experts ({}) is not implemented", *experts,
                            keys.name("expert_count")));
  if (metadata.boolean(keys.name("attention.causal")) == false)
    return fail(ErrorCode::kUnsupported,
                fmt::format("config: attention that is not causal ({}) is not implemented",
                            keys.name("attention.causal")));
  return {};
}

Result<void> read_norm_eps(const Keys& keys, ModelConfig& c) {
  const char* key = c.architecture == Architecture::kGpt2 ? "attention.layer_norm_epsilon"
                                                          : "attention.layer_norm_rms_epsilon";
  const std::optional<double> eps = PIXELLM_TRY(keys.optional_number(key));
  if (!eps) return keys.missing(key);
  if (*eps < 0 || *eps > 1)
    return fail(ErrorCode::kCorrupt,
                fmt::format("config: {} is {}, allowed are 0 to 1", keys.name(key), *eps));
  c.norm_eps = static_cast<float>(*eps);
  return {};
}

Result<void> read_rope_scaling(const Keys& keys, const Metadata& metadata, ModelConfig& c) {
  std::string_view type = "linear";
  if (keys.has("rope.scaling.type")) {
    const auto text = metadata.string(keys.name("rope.scaling.type"));
    if (!text)
      return fail(ErrorCode::kCorrupt, fmt::format("config: {} is no text", keys.name("rope.scaling.type")));
    type = *text;
  }
  if (type != "linear" && type != "none")
    return fail(ErrorCode::kUnsupported,
                fmt::format("config: {} '{}' is not implemented; known are none and linear",
                            keys.name("rope.scaling.type"), type.substr(0, 64)));
  // "rope.scale_linear" is the older name. A factor of 0 means none.
  const char* key = keys.has("rope.scaling.factor") ? "rope.scaling.factor" : "rope.scale_linear";
  const double factor = PIXELLM_TRY(keys.optional_number(key)).value_or(0.0);
  if (factor < 0)
    return fail(ErrorCode::kCorrupt,
                fmt::format("config: {} is {}, must not be negative", keys.name(key), factor));
  if (factor > 0 && type == "linear") c.rope_scale = 1.0f / static_cast<float>(factor);
  if (!std::isfinite(c.rope_scale))
    return fail(ErrorCode::kCorrupt,
                fmt::format("config: {} is {}, which is too small", keys.name(key), factor));
  return {};
}

Result<void> read_rope(const Keys& keys, const Metadata& metadata, ModelConfig& c) {
  if (c.architecture == Architecture::kGpt2) return {};
  c.rope_neox = c.architecture != Architecture::kLlama;
  c.n_rot = PIXELLM_TRY(keys.optional_integer("rope.dimension_count", 2, c.head_dim)).value_or(c.head_dim);
  if (c.n_rot % 2 != 0)
    return fail(ErrorCode::kCorrupt,
                fmt::format("config: RoPE over {} values of a head, must be an even number", c.n_rot));
  c.rope_base = PIXELLM_TRY(keys.positive("rope.freq_base", 10000.0));
  c.rope_base_local = PIXELLM_TRY(keys.positive("rope.freq_base_swa", 10000.0));
  c.rope_magnitude = static_cast<float>(PIXELLM_TRY(keys.positive("rope.scaling.attn_factor", 1.0)));
  return read_rope_scaling(keys, metadata, c);
}

// Which layers see only a window. The pattern is a period P (every P-th layer is global; 0: none is) or one
// flag a layer.
Result<void> read_window(const Keys& keys, const Metadata& metadata, ModelConfig& c) {
  c.sliding_window =
      PIXELLM_TRY(keys.optional_integer("attention.sliding_window", 0, kMaxContext)).value_or(0);
  if (c.sliding_window == 0) return {};
  const std::string name = keys.name("attention.sliding_window_pattern");
  c.sliding.resize(c.n_layers);
  const Metadata::Entry* entry = metadata.find(name);
  if (entry && entry->type == MetadataType::kArray) {
    const auto flags = metadata.integers(name);
    if (!flags || flags->size() != c.n_layers)
      return fail(ErrorCode::kCorrupt, fmt::format("config: {} has {} entries, the model has {} layers", name,
                                                   entry->count, c.n_layers));
    for (uint32_t i = 0; i < c.n_layers; i++) c.sliding[i] = (*flags)[i] != 0;
    return {};
  }
  const uint32_t period =
      PIXELLM_TRY(keys.optional_integer("attention.sliding_window_pattern", 0, kMaxWidth)).value_or(6);
  for (uint32_t i = 0; i < c.n_layers; i++) c.sliding[i] = period == 0 || (i + 1) % period != 0;
  return {};
}

Result<void> read_gemma3(const Keys& keys, const Metadata& metadata, ModelConfig& c) {
  PIXELLM_CHECK(read_window(keys, metadata, c));
  c.embedding_scale = std::sqrt(static_cast<float>(c.embedding_length));
  // The 27B model, known by its 62 layers, divides by the root of embedding / heads instead of the head's
  // width.
  if (c.n_layers == 62)
    c.attention_scale = 1.0f / std::sqrt(static_cast<float>(c.embedding_length / c.n_heads));
  c.attention_softcap =
      static_cast<float>(PIXELLM_TRY(keys.optional_number("attn_logit_softcapping")).value_or(0));
  c.final_softcap =
      static_cast<float>(PIXELLM_TRY(keys.optional_number("final_logit_softcapping")).value_or(0));
  if (c.attention_softcap < 0 || c.final_softcap < 0)
    return fail(ErrorCode::kCorrupt, "config: a soft cap is negative");
  return {};
}

Result<void> read_vocabulary(const Model& model, const Keys& keys, ModelConfig& c) {
  const TensorInfo* embedding = model.find("token_embd.weight");
  if (!embedding) return fail(ErrorCode::kCorrupt, "config: tensor token_embd.weight is missing");
  if (embedding->n_rows() > static_cast<uint64_t>(std::numeric_limits<TokenId>::max()))
    return fail(ErrorCode::kTooLarge,
                fmt::format("config: token_embd.weight has {} rows", embedding->n_rows()));
  c.vocab_size = static_cast<uint32_t>(embedding->n_rows());
  const Metadata::Entry* tokens = model.metadata().find("tokenizer.ggml.tokens");
  if (tokens && tokens->count != c.vocab_size)
    return fail(ErrorCode::kCorrupt,
                fmt::format("config: the vocabulary has {} tokens, token_embd.weight {} rows", tokens->count,
                            c.vocab_size));
  if (tokens) return {};
  const auto size = PIXELLM_TRY(keys.optional_integer("vocab_size", 1, std::numeric_limits<TokenId>::max()));
  if (size.value_or(c.vocab_size) != c.vocab_size)
    return fail(ErrorCode::kCorrupt, fmt::format("config: {} is {}, token_embd.weight has {} rows",
                                                 keys.name("vocab_size"), *size, c.vocab_size));
  return {};
}

Result<void> read_transformer(const Keys& keys, const Metadata& metadata, ModelConfig& c) {
  PIXELLM_CHECK(read_heads(keys, c));
  PIXELLM_CHECK(refuse_unsupported(keys, metadata));
  PIXELLM_CHECK(read_norm_eps(keys, c));
  PIXELLM_CHECK(read_rope(keys, metadata, c));
  c.attention_scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim));
  if (c.architecture == Architecture::kGemma3) PIXELLM_CHECK(read_gemma3(keys, metadata, c));
  c.attention_scale = static_cast<float>(PIXELLM_TRY(keys.positive("attention.scale", c.attention_scale)));
  return {};
}

// ---- Tokenizer

Result<std::optional<TokenId>> read_token_id(const Metadata& metadata, std::string_view key) {
  if (!metadata.find(key)) return std::nullopt;
  const std::optional<int64_t> id = metadata.integer(key);
  if (!id) return fail(ErrorCode::kCorrupt, fmt::format("tokenizer: {} is not an integer", key));
  // -1, signed or not, is how files say "none".
  if (*id < 0 || *id > std::numeric_limits<TokenId>::max()) return std::nullopt;
  return static_cast<TokenId>(*id);
}

Result<std::optional<bool>> read_flag(const Metadata& metadata, std::string_view key) {
  if (!metadata.find(key)) return std::nullopt;
  const std::optional<bool> flag = metadata.boolean(key);
  if (!flag) return fail(ErrorCode::kCorrupt, fmt::format("tokenizer: {} is not a boolean", key));
  return flag;
}

// A vocabulary of code points has no list: its size is the architecture's.
Result<uint64_t> read_code_point_count(const Metadata& metadata) {
  if (metadata.find("tokenizer.ggml.tokens"))
    return fail(ErrorCode::kCorrupt,
                fmt::format("tokenizer: model {} beside a list tokenizer.ggml.tokens", kCodePointModel));
  const std::string key = fmt::format("{}.vocab_size", metadata.string("general.architecture").value_or(""));
  const std::optional<int64_t> size = metadata.integer(key);
  if (!size || *size < 1)
    return fail(ErrorCode::kCorrupt,
                fmt::format("tokenizer: model {} needs an integer {} of at least 1", kCodePointModel, key));
  return static_cast<uint64_t>(*size);
}

Result<void> read_token_kinds(const Metadata& metadata, TokenizerSpec& spec) {
  if (!metadata.find("tokenizer.ggml.token_type")) return {};
  const auto kinds = metadata.integers("tokenizer.ggml.token_type");
  if (!kinds) return fail(ErrorCode::kCorrupt, "tokenizer: tokenizer.ggml.token_type is no list of integers");
  spec.kinds.reserve(kinds->size());
  for (const int64_t kind : *kinds) {
    if (kind < 0 || kind > static_cast<int64_t>(TokenKind::kByte))
      return fail(ErrorCode::kCorrupt,
                  fmt::format("tokenizer: type {} of token {}, allowed are 0 to 6", kind, spec.kinds.size()));
    // 0 is "undefined" in GGUF; such a token is an ordinary one.
    spec.kinds.push_back(kind == 0 ? static_cast<uint8_t>(TokenKind::kNormal) : static_cast<uint8_t>(kind));
  }
  return {};
}

Result<void> read_token_lists(const Metadata& metadata, TokenizerSpec& spec) {
  auto tokens = metadata.strings("tokenizer.ggml.tokens");
  if (!tokens)
    return fail(ErrorCode::kCorrupt, "tokenizer: tokenizer.ggml.tokens is missing or no list of texts");
  spec.tokens = std::move(*tokens);
  if (metadata.find("tokenizer.ggml.scores")) {
    auto scores = metadata.floats("tokenizer.ggml.scores");
    if (!scores) return fail(ErrorCode::kCorrupt, "tokenizer: tokenizer.ggml.scores is no list of floats");
    spec.scores = std::move(*scores);
  }
  if (metadata.find("tokenizer.ggml.merges")) {
    auto merges = metadata.strings("tokenizer.ggml.merges");
    if (!merges) return fail(ErrorCode::kCorrupt, "tokenizer: tokenizer.ggml.merges is no list of texts");
    spec.merges = std::move(*merges);
  }
  return read_token_kinds(metadata, spec);
}

}  // namespace

std::string_view architecture_name(Architecture architecture) {
  for (const auto& [name, known] : kArchitectures)
    if (known == architecture) return name;
  return "";
}

Result<ModelConfig> read_config(const Model& model) {
  const Metadata& metadata = model.metadata();
  ModelConfig c;
  c.architecture = PIXELLM_TRY(find_architecture(metadata));
  const Keys keys(metadata, architecture_name(c.architecture));
  PIXELLM_CHECK(read_sizes(model, keys, c));
  PIXELLM_CHECK(read_vocabulary(model, keys, c));
  if (c.architecture == Architecture::kMlp) {
    PIXELLM_CHECK(check_mlp(keys, c));
  } else {
    PIXELLM_CHECK(read_transformer(keys, metadata, c));
  }
  return c;
}

Result<TokenizerSpec> read_tokenizer_spec(const Metadata& metadata) {
  TokenizerSpec spec;
  const auto model = metadata.string("tokenizer.ggml.model");
  if (!model) return fail(ErrorCode::kNotFound, "tokenizer: the metadata has no tokenizer.ggml.model");
  spec.model = *model;
  spec.pre = metadata.string("tokenizer.ggml.pre").value_or("");
  spec.model_name = metadata.string("general.name").value_or("");
  if (spec.model == kCodePointModel)
    spec.vocab_size = PIXELLM_TRY(read_code_point_count(metadata));
  else
    PIXELLM_CHECK(read_token_lists(metadata, spec));

  spec.bos = PIXELLM_TRY(read_token_id(metadata, "tokenizer.ggml.bos_token_id"));
  spec.eos = PIXELLM_TRY(read_token_id(metadata, "tokenizer.ggml.eos_token_id"));
  spec.eot = PIXELLM_TRY(read_token_id(metadata, "tokenizer.ggml.eot_token_id"));
  spec.unknown = PIXELLM_TRY(read_token_id(metadata, "tokenizer.ggml.unknown_token_id"));
  spec.padding = PIXELLM_TRY(read_token_id(metadata, "tokenizer.ggml.padding_token_id"));
  for (const char* key : {"tokenizer.ggml.eom_token_id", "tokenizer.ggml.fim_pad_token_id",
                          "tokenizer.ggml.fim_rep_token_id", "tokenizer.ggml.fim_sep_token_id"}) {
    const std::optional<TokenId> id = PIXELLM_TRY(read_token_id(metadata, key));
    if (id) spec.end_of_generation.push_back(*id);
  }

  spec.add_bos = PIXELLM_TRY(read_flag(metadata, "tokenizer.ggml.add_bos_token"));
  spec.add_eos = PIXELLM_TRY(read_flag(metadata, "tokenizer.ggml.add_eos_token"));
  spec.add_space_prefix = PIXELLM_TRY(read_flag(metadata, "tokenizer.ggml.add_space_prefix"));
  spec.remove_extra_whitespaces = PIXELLM_TRY(read_flag(metadata, "tokenizer.ggml.remove_extra_whitespaces"));
  return spec;
}

}  // namespace pixellm
