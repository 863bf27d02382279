#include "tokenizer/tokenizer.h"

#include <fmt/core.h>

#include <utility>

#include "tokenizer/bpe.h"
#include "tokenizer/special_tokens.h"
#include "tokenizer/spm.h"
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

}  // namespace

struct Tokenizer::Impl {
  Vocabulary vocabulary;
  std::optional<SpecialTokens> special_tokens;
  std::optional<BpeEncoder> bpe;  // exactly one of the two
  std::optional<SpmEncoder> spm;
  std::optional<TokenId> bos, eos;
  bool add_bos = false;
  bool add_space_prefix = false;

  explicit Impl(Vocabulary v) : vocabulary(std::move(v)) {}

  void encode(std::string_view text, std::span<const TextRange> guarded, bool strict,
              std::vector<TokenId>& ids, std::string* dropped) const {
    // Every stretch follows the text's start or a special token: SentencePiece puts its space there.
    const auto plain = [&](size_t begin, size_t end) {
      if (begin >= end) return;
      const std::string_view piece = text.substr(begin, end - begin);
      if (bpe) {
        bpe->encode(piece, strict, ids, dropped);
      } else {
        spm->encode(piece, add_space_prefix, strict, ids, dropped);
      }
    };
    size_t at = 0;
    for (const SpecialMatch& match : special_tokens->find(text, guarded)) {
      plain(at, match.begin);
      ids.push_back(match.id);
      at = match.next_begin;
    }
    plain(at, text.size());
  }
};

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Result<Tokenizer> Tokenizer::create(const TokenizerSpec& given) {
  const bool is_bpe = given.model == "gpt2";
  if (!is_bpe && given.model != "llama") {
    return fail(ErrorCode::kUnsupported,
                fmt::format("tokenizer: model \"{}\" is not implemented; gpt2 and llama are", given.model));
  }
  const auto pre = find_pre_tokenizer(given.pre);
  if (is_bpe && !pre) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("tokenizer: pre-tokenizer \"{}\" is not implemented", given.pre));
  }
  TokenizerSpec spec = given;
  if (!is_bpe) add_default_ids(spec);
  PIXELLM_CHECK(check_ids(spec));

  auto impl = std::make_unique<Impl>(PIXELLM_TRY(Vocabulary::create(spec)));
  impl->special_tokens.emplace(impl->vocabulary);
  if (is_bpe) {
    impl->bpe = PIXELLM_TRY(BpeEncoder::create(impl->vocabulary, spec.merges, *pre));
  } else {
    impl->spm.emplace(impl->vocabulary, spec.unknown);
  }
  impl->bos = spec.bos;
  impl->eos = spec.eos;
  impl->add_bos = spec.add_bos.value_or(is_bpe ? pre->add_bos : true);
  impl->add_space_prefix = spec.add_space_prefix.value_or(!is_bpe);
  return Tokenizer(std::move(impl));
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, bool special, std::string* dropped) const {
  std::vector<TokenId> ids;
  const TextRange all = {0, text.size()};
  impl_->encode(text, special ? std::span<const TextRange>() : std::span(&all, 1), false, ids, dropped);
  return ids;
}

std::vector<TokenId> Tokenizer::encode_parts(std::span<const TextPart> parts, std::string* dropped) const {
  std::string text;
  std::vector<TextRange> guarded;
  for (const TextPart& part : parts) {
    if (!part.special && !part.text.empty()) guarded.push_back({text.size(), text.size() + part.text.size()});
    text += part.text;
  }
  std::vector<TokenId> ids;
  impl_->encode(text, guarded, true, ids, dropped);
  return ids;
}

std::string Tokenizer::token_bytes(TokenId id, bool special) const {
  const Vocabulary& vocabulary = impl_->vocabulary;
  if (!vocabulary.is_valid(id)) return {};
  const std::string_view text = vocabulary.text(id);
  if (vocabulary.has(id, token_flag::kControl | token_flag::kUnknown))
    return special ? std::string(text) : std::string();
  if (vocabulary.has(id, token_flag::kUserDefined)) return std::string(text);
  if (vocabulary.has(id, token_flag::kNormal))
    return impl_->bpe ? bytes_of_letters(text) : with_plain_spaces(text);
  if (!vocabulary.has(id, token_flag::kByte)) return {};
  return std::string(1, static_cast<char>(byte_token_value(text).value_or(0)));
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool special) const {
  std::string bytes;
  for (const TokenId id : ids) bytes += token_bytes(id, special);
  return bytes;
}

uint32_t Tokenizer::vocab_size() const { return impl_->vocabulary.size(); }

bool Tokenizer::is_end_of_generation(TokenId id) const {
  return is_valid(id) && impl_->vocabulary.ends_generation(id);
}

std::optional<TokenId> Tokenizer::bos() const { return impl_->bos; }
std::optional<TokenId> Tokenizer::eos() const { return impl_->eos; }
bool Tokenizer::should_add_bos() const { return impl_->add_bos && impl_->bos.has_value(); }
std::optional<TokenId> Tokenizer::find(std::string_view token_text) const {
  return impl_->vocabulary.find(token_text);
}

std::string StreamDecoder::push(TokenId id) {
  held_ += tokenizer_->token_bytes(id, special_);
  std::string out = held_.substr(0, whole_utf8_prefix(held_));
  held_.erase(0, out.size());
  return out;
}

std::string StreamDecoder::flush() { return std::exchange(held_, {}); }

}  // namespace pixellm
