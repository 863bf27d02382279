// Vocabularies that list their tokens' texts: byte-level BPE (model gpt2) and SentencePiece style (model
// llama).
#include <fmt/core.h>

#include "tokenizer/bpe.h"
#include "tokenizer/spm.h"
#include "tokenizer/tokenizer_model.h"
#include "tokenizer/unicode.h"
#include "tokenizer/vocabulary.h"

namespace pixellm {
namespace {

constexpr std::string_view kVisibleSpace = "\xE2\x96\x81";  // U+2581

// Bytes of a normal byte-level token. A text outside the byte alphabet stands for itself.
std::string bytes_of_letters(std::string_view text) {
  std::string bytes;
  for (const Char letter : decode_characters(text)) {
    const std::optional<uint8_t> byte = byte_of_letter(letter.code_point());
    if (!byte) return std::string(text);
    bytes += static_cast<char>(*byte);
  }
  return bytes;
}

std::string with_plain_spaces(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    if (text.starts_with(kVisibleSpace)) {
      out += ' ';
      text.remove_prefix(kVisibleSpace.size());
    } else {
      out += text[0];
      text.remove_prefix(1);
    }
  }
  return out;
}

Result<void> check_id(std::string_view name, std::optional<TokenId> id, size_t n_tokens) {
  if (!id || (*id >= 0 && static_cast<size_t>(*id) < n_tokens)) return {};
  return fail(ErrorCode::kCorrupt,
              fmt::format("tokenizer: {} id {}, the vocabulary has {} tokens", name, *id, n_tokens));
}

Result<void> check_ids(const TokenizerSpec& spec) {
  const size_t n = spec.tokens.size();
  PIXELLM_CHECK(check_id("bos", spec.bos, n));
  PIXELLM_CHECK(check_id("eos", spec.eos, n));
  PIXELLM_CHECK(check_id("eot", spec.eot, n));
  PIXELLM_CHECK(check_id("unknown", spec.unknown, n));
  return check_id("padding", spec.padding, n);
}

// SentencePiece's own ids where the metadata says nothing.
void add_default_ids(TokenizerSpec& spec) {
  const auto set = [&](std::optional<TokenId>& id, TokenId value) {
    if (!id && static_cast<size_t>(value) < spec.tokens.size()) id = value;
  };
  set(spec.unknown, 0);
  set(spec.bos, 1);
  set(spec.eos, 2);
}

class ListedTokens final : public TokenizerModel {
 public:
  static MadeTokenizerModel create(TokenizerSpec spec) {
    const bool is_bpe = spec.model == "gpt2";
    const auto pre = find_pre_tokenizer(spec.pre);
    if (is_bpe && !pre) {
      return fail(ErrorCode::kUnsupported,
                  fmt::format("tokenizer: pre-tokenizer \"{}\" is not implemented", spec.pre));
    }
    if (!is_bpe) add_default_ids(spec);
    PIXELLM_CHECK(check_ids(spec));

    // On the heap from the start: the encoders keep views of the vocabulary.
    Vocabulary vocabulary = PIXELLM_TRY(Vocabulary::create(spec));
    std::unique_ptr<ListedTokens> t(new ListedTokens(std::move(vocabulary)));
    t->special_tokens_.emplace(t->vocabulary_);
    if (is_bpe) {
      t->bpe_ = PIXELLM_TRY(BpeEncoder::create(t->vocabulary_, spec.merges, *pre));
    } else {
      t->spm_.emplace(t->vocabulary_, spec.unknown);
    }
    t->bos_ = spec.bos;
    t->eos_ = spec.eos;
    t->add_bos_ = spec.add_bos.value_or(is_bpe ? pre->add_bos : true);
    t->add_space_prefix_ = spec.add_space_prefix.value_or(!is_bpe);
    return t;
  }

  void encode(std::string_view text, std::span<const TextRange> guarded, bool no_control,
              std::vector<TokenId>& ids, std::string* dropped) const override {
    // Every stretch follows the text's start or a special token: SentencePiece puts its space there.
    const auto plain = [&](size_t begin, size_t end) {
      if (begin >= end) return;
      const std::string_view piece = text.substr(begin, end - begin);
      if (bpe_) {
        bpe_->encode(piece, no_control, ids, dropped);
      } else {
        spm_->encode(piece, add_space_prefix_, no_control, ids, dropped);
      }
    };
    size_t at = 0;
    for (const SpecialMatch& match : special_tokens_->find(text, guarded)) {
      plain(at, match.begin);
      ids.push_back(match.id);
      at = match.next_begin;
    }
    plain(at, text.size());
  }

  std::string token_bytes(TokenId id, bool special) const override {
    const std::string_view text = vocabulary_.text(id);
    if (vocabulary_.has(id, token_flag::kControl | token_flag::kUnknown))
      return special ? std::string(text) : std::string();
    if (vocabulary_.has(id, token_flag::kUserDefined)) return std::string(text);
    if (vocabulary_.has(id, token_flag::kNormal))
      return bpe_ ? bytes_of_letters(text) : with_plain_spaces(text);
    if (!vocabulary_.has(id, token_flag::kByte)) return {};
    return std::string(1, static_cast<char>(byte_token_value(text).value_or(0)));
  }

  uint32_t vocab_size() const override { return vocabulary_.size(); }
  bool is_end_of_generation(TokenId id) const override { return vocabulary_.ends_generation(id); }
  std::optional<TokenId> find(std::string_view token_text) const override {
    return vocabulary_.find(token_text);
  }
  std::optional<TokenId> bos() const override { return bos_; }
  std::optional<TokenId> eos() const override { return eos_; }
  bool should_add_bos() const override { return add_bos_ && bos_.has_value(); }

 private:
  explicit ListedTokens(Vocabulary v) : vocabulary_(std::move(v)) {}

  Vocabulary vocabulary_;
  std::optional<SpecialTokens> special_tokens_;
  std::optional<BpeEncoder> bpe_;  // exactly one of the two
  std::optional<SpmEncoder> spm_;
  std::optional<TokenId> bos_, eos_;
  bool add_bos_ = false;
  bool add_space_prefix_ = false;
};

}  // namespace

MadeTokenizerModel make_listed_tokens(TokenizerSpec spec) { return ListedTokens::create(std::move(spec)); }

}  // namespace pixellm
