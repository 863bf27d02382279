#include "tokenizer/tokenizer.h"

#include <fmt/core.h>

#include <utility>

#include "tokenizer/tokenizer_model.h"
#include "tokenizer/unicode.h"

namespace pixellm {

Tokenizer::Tokenizer(std::unique_ptr<const TokenizerModel> model) : model_(std::move(model)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Result<Tokenizer> Tokenizer::create(TokenizerSpec spec) {
  if (spec.model == "gpt2" || spec.model == "llama")
    return Tokenizer(PIXELLM_TRY(make_listed_tokens(std::move(spec))));
  if (spec.model == kCodePointModel) return Tokenizer(PIXELLM_TRY(make_code_points(spec)));
  return fail(ErrorCode::kUnsupported,
              fmt::format("tokenizer: model \"{}\" is not implemented; gpt2, llama and {} are", spec.model,
                          kCodePointModel));
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, bool special, std::string* dropped) const {
  std::vector<TokenId> ids;
  const TextRange all = {0, text.size()};
  model_->encode(text, special ? std::span<const TextRange>() : std::span(&all, 1), false, ids, dropped);
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
  model_->encode(text, guarded, true, ids, dropped);
  return ids;
}

std::string Tokenizer::token_bytes(TokenId id, bool special) const {
  return is_valid(id) ? model_->token_bytes(id, special) : std::string();
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool special) const {
  std::string bytes;
  for (const TokenId id : ids) bytes += token_bytes(id, special);
  return bytes;
}

uint32_t Tokenizer::vocab_size() const { return model_->vocab_size(); }

bool Tokenizer::is_end_of_generation(TokenId id) const {
  return is_valid(id) && model_->is_end_of_generation(id);
}

std::optional<TokenId> Tokenizer::bos() const { return model_->bos(); }
std::optional<TokenId> Tokenizer::eos() const { return model_->eos(); }
bool Tokenizer::should_add_bos() const { return model_->should_add_bos(); }
std::optional<TokenId> Tokenizer::find(std::string_view token_text) const { return model_->find(token_text); }

std::string StreamDecoder::push(TokenId id) {
  held_ += tokenizer_->token_bytes(id, special_);
  std::string out = held_.substr(0, whole_utf8_prefix(held_));
  held_.erase(0, out.size());
  return out;
}

std::string StreamDecoder::flush() { return std::exchange(held_, {}); }

}  // namespace pixellm
