// Text to token ids and back, identical to llama.cpp's tokenizer for the same vocabulary. Kinds of vocabularies:
// docs/tokenizer.md.
//
//   auto tokenizer = PIXELLM_TRY(Tokenizer::create(std::move(spec)));
//   std::vector<TokenId> ids = tokenizer.encode(text, /*special=*/false);
//   std::string bytes = tokenizer.decode(ids);
//   StreamDecoder stream(tokenizer); out << stream.push(id);        // only whole UTF-8 characters come out
// Immutable after create; encode and decode may run in several threads. Time n log n in the text's length.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace pixellm {

using TokenId = int32_t;

enum class TokenKind : uint8_t {
  kNormal = 1,
  kUnknown,
  kControl,
  kUserDefined,
  kUnused,
  kByte
};  // GGUF's token_type

// The model whose ids are Unicode code points modulo the vocabulary's size: Pixel-LLM's own, for the v0 network.
inline constexpr std::string_view kCodePointModel = "code-point";

// What a vocabulary consists of, as `tokenizer.ggml.*` has it. Strings are owned by whoever built the spec
// and are copied by create().
struct TokenizerSpec {
  std::string model;  // "gpt2": byte-level BPE; "llama": SentencePiece style with scores; kCodePointModel
  std::string pre;    // "gpt-2", "smollm", "llama-bpe", "qwen2", ... for model gpt2; "" is "default"
  std::vector<std::string_view> tokens;  // models gpt2 and llama
  uint64_t vocab_size = 0;               // model code-point; for the others the list says it
  std::vector<float> scores;             // model llama
  std::vector<uint8_t> kinds;            // TokenKind per token; empty: all normal
  std::vector<std::string_view> merges;  // model gpt2: "left right", best first
  std::optional<TokenId> bos, eos, eot, unknown, padding;
  std::vector<TokenId> end_of_generation;  // further ids that end a generation, when the metadata names them
  std::optional<bool> add_bos, add_space_prefix;
  std::optional<bool> add_eos, remove_extra_whitespaces;  // known, without effect here, as in llama.cpp
  std::string model_name;  // general.name: llama.cpp takes some token attributes from it
};

// A stretch of text for encode_parts: special tokens are recognised in it or not.
struct TextPart {
  std::string_view text;
  bool special = false;
};

class TokenizerModel;  // a kind of vocabulary

class Tokenizer {
 public:
  // kUnsupported names a model or pre-tokenizer that is not implemented; kCorrupt what contradicts itself (an
  // id out of range, fewer kinds or scores than tokens, two tokens of one text, a score that is no number);
  // kTooLarge above 2^24 tokens or merges. A merge that is no pair, or whose result is no token, is no error.
  static Result<Tokenizer> create(TokenizerSpec spec);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // Ids of any bytes, valid UTF-8 or not: those of llama.cpp. No BOS or EOS is added. `special`: texts of
  // control tokens become those tokens (texts of user-defined ones always do). Bytes that the vocabulary
  // cannot express are dropped and, when `dropped` is given, appended to it.
  std::vector<TokenId> encode(std::string_view text, bool special, std::string* dropped = nullptr) const;

  // The ids of the parts' joined text, where control tokens are recognised only inside runs of parts marked
  // special, and come out of nothing else: not even merging builds one.
  std::vector<TokenId> encode_parts(std::span<const TextPart> parts, std::string* dropped = nullptr) const;

  // The bytes of one token, as they appear inside a text. Control tokens give nothing unless `special`.
  // An id out of range gives nothing.
  std::string token_bytes(TokenId id, bool special = false) const;
  std::string decode(std::span<const TokenId> ids, bool special = false) const;

  uint32_t vocab_size() const;
  bool is_valid(TokenId id) const { return id >= 0 && static_cast<uint32_t>(id) < vocab_size(); }
  bool is_end_of_generation(TokenId id) const;
  std::optional<TokenId> bos() const;  // whether a text begins with it: should_add_bos
  std::optional<TokenId> eos() const;
  bool should_add_bos() const;  // what the metadata says, or the model's default; only if there is a bos
  std::optional<TokenId> find(
      std::string_view token_text) const;  // exact vocabulary entry, special ones included

 private:
  explicit Tokenizer(std::unique_ptr<const TokenizerModel> model);
  std::unique_ptr<const TokenizerModel> model_;
};

// Joins token bytes and holds back the beginning of a UTF-8 character until it is whole; bytes that can never
// become one come out as they are.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, bool special = false)
      : tokenizer_(&tokenizer), special_(special) {}
  std::string push(TokenId id);
  std::string flush();  // what was held back, at the end

 private:
  const Tokenizer* tokenizer_;
  bool special_;
  std::string held_;
};

}  // namespace pixellm
