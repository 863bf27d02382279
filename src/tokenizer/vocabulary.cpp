#include "tokenizer/vocabulary.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace pixellm {
namespace {

constexpr size_t kMostTokens = size_t{1} << 24;

// Texts that end a generation wherever they are tokens, whatever the metadata says: llama.cpp's list.
constexpr std::array<std::string_view, 22> kEndTexts = {"<|eot_id|>",
                                                        "<|im_end|>",
                                                        "<|end|>",
                                                        "<|return|>",
                                                        "<|call|>",
                                                        "<|flush|>",
                                                        "<|calls|>",
                                                        "<end_of_turn>",
                                                        "<|endoftext|>",
                                                        "</s>",
                                                        "<|eom_id|>",
                                                        "<EOT>",
                                                        "_<EOT>",
                                                        "[EOT]",
                                                        "[EOS]",
                                                        "<|end_of_text|>",
                                                        "<eos>",
                                                        "<turn|>",
                                                        "<|tool_response>",
                                                        "<end_of_utterance>",
                                                        "<｜end▁of▁sentence｜>",
                                                        "[e~["};

// Fill-in-the-middle tokens that end a generation too; of each row the first that exists.
constexpr std::array<std::array<std::string_view, 5>, 3> kFillTexts = {{
    {"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"},
    {"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"},
    {"<|file_sep|>"},
}};

// Fill-in-the-middle tokens that only become control tokens.
constexpr std::array<std::array<std::string_view, 8>, 3> kFillMarkers = {{
    {"<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>",
     "<|code_prefix|>", "<|prefix|>"},
    {"<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "▁<SUF>", "<|code_suffix|>",
     "<|suffix|>"},
    {"<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>", "▁<MID>", "<|code_middle|>",
     "<|middle|>"},
}};

// Channel markers that are shown as text.
constexpr std::array<std::string_view, 4> kShownTexts = {"<|channel|>", "<|message|>", "<|start|>",
                                                         "<|constrain|>"};

uint8_t flags_of_kind(uint8_t kind) {
  return kind >= 1 && kind <= 6 ? static_cast<uint8_t>(1 << (kind - 1)) : uint8_t{0};
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

std::string lower_case(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return text;
}

}  // namespace

std::optional<uint8_t> byte_token_value(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return std::nullopt;
  const int high = hex_digit(text[3]), low = hex_digit(text[4]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<uint8_t>(high << 4 | low);
}

Result<Vocabulary> Vocabulary::create(const TokenizerSpec& spec) {
  Vocabulary vocabulary;
  PIXELLM_CHECK(vocabulary.add_tokens(spec));
  PIXELLM_CHECK(vocabulary.add_kinds_and_scores(spec));
  PIXELLM_CHECK(vocabulary.mark_end_of_generation(spec));
  vocabulary.mark_stripping(spec);
  return vocabulary;
}

Result<void> Vocabulary::add_tokens(const TokenizerSpec& spec) {
  const size_t n_tokens = spec.tokens.size();
  if (n_tokens == 0) return fail(ErrorCode::kCorrupt, "tokenizer: the vocabulary is empty");
  if (n_tokens > kMostTokens) {
    return fail(ErrorCode::kTooLarge,
                fmt::format("tokenizer: {} tokens, at most {} are allowed", n_tokens, kMostTokens));
  }
  size_t total_bytes = 0;
  for (const std::string_view token : spec.tokens) total_bytes += token.size();
  texts_.reserve(n_tokens, total_bytes);
  constexpr size_t kAhead = 16;
  std::array<uint32_t, kAhead> begun;
  for (size_t id = 0; id < std::min(kAhead, n_tokens); ++id) begun[id] = texts_.begin_add(spec.tokens[id]);
  for (size_t id = 0; id < n_tokens; ++id) {
    const bool empty = spec.tokens[id].empty();
    const auto [index, is_new] = empty ? texts_.add(fmt::format("[EMPTY_{}]", id))
                                       : texts_.finish_add(spec.tokens[id], begun[id % kAhead]);
    if (id + kAhead < n_tokens) begun[id % kAhead] = texts_.begin_add(spec.tokens[id + kAhead]);
    if (!is_new) {
      return fail(ErrorCode::kCorrupt,
                  fmt::format("tokenizer: tokens {} and {} have the same text", index, id));
    }
    longest_text_ = std::max(longest_text_, texts_[index].size());
  }
  return {};
}

Result<void> Vocabulary::add_kinds_and_scores(const TokenizerSpec& spec) {
  const size_t n_tokens = texts_.size();
  if (!spec.kinds.empty() && spec.kinds.size() < n_tokens) {
    return fail(ErrorCode::kCorrupt,
                fmt::format("tokenizer: {} token types for {} tokens", spec.kinds.size(), n_tokens));
  }
  if (!spec.scores.empty() && spec.scores.size() < n_tokens) {
    return fail(ErrorCode::kCorrupt,
                fmt::format("tokenizer: {} scores for {} tokens", spec.scores.size(), n_tokens));
  }
  flags_.assign(n_tokens, token_flag::kNormal);
  for (size_t id = 0; id < n_tokens && !spec.kinds.empty(); ++id) {
    flags_[id] = flags_of_kind(spec.kinds[id]);
    if (flags_[id] == token_flag::kByte && !byte_token_value(texts_[static_cast<uint32_t>(id)])) {
      return fail(ErrorCode::kCorrupt,
                  fmt::format("tokenizer: token {} is of type byte, but not of the form <0x41>", id));
    }
  }
  if (spec.scores.empty()) return {};
  scores_.assign(spec.scores.begin(), spec.scores.begin() + static_cast<ptrdiff_t>(n_tokens));
  for (size_t id = 0; id < n_tokens; ++id) {
    if (std::isnan(scores_[id])) {
      return fail(ErrorCode::kCorrupt, fmt::format("tokenizer: the score of token {} is not a number", id));
    }
  }
  return {};
}

Result<void> Vocabulary::mark_end_of_generation(const TokenizerSpec& spec) {
  ends_generation_.assign(size(), false);
  for (const TokenId id : spec.end_of_generation) {
    if (!is_valid(id)) {
      return fail(
          ErrorCode::kCorrupt,
          fmt::format("tokenizer: end-of-generation id {}, the vocabulary has {} tokens", id, size()));
    }
    ends_generation_[static_cast<size_t>(id)] = true;
  }
  const auto end_with = [&](std::string_view text) {
    const std::optional<TokenId> id = find(text);
    if (!id) return false;
    ends_generation_[static_cast<size_t>(*id)] = true;
    flags_[static_cast<size_t>(*id)] |= token_flag::kControl;
    return true;
  };
  for (const auto& row : kFillTexts) {
    (void)std::any_of(row.begin(), row.end(),
                      [&](std::string_view text) { return !text.empty() && end_with(text); });
  }
  for (const auto& row : kFillMarkers) {
    const auto found =
        std::find_if(row.begin(), row.end(), [&](std::string_view text) { return find(text).has_value(); });
    if (found != row.end()) flags_[static_cast<size_t>(*find(*found))] |= token_flag::kControl;
  }
  for (const std::string_view text : kEndTexts) end_with(text);
  for (const std::string_view text : kShownTexts) {
    if (const auto id = find(text)) flags_[static_cast<size_t>(*id)] = token_flag::kUserDefined;
  }
  for (const std::optional<TokenId> id : {spec.eos, spec.eot}) {
    if (id) ends_generation_[static_cast<size_t>(*id)] = true;
  }
  // Vocabularies with channels end with <|return|>, <|call|>, <|flush|>: there <|end|> closes only one
  // message.
  const auto ends = [&](std::string_view text) { return find(text) && ends_generation(*find(text)); };
  const bool calls = ends("<|call|>") || ends("<|calls|>");
  if (calls && ends("<|end|>") && (ends("<|return|>") || ends("<|flush|>"))) {
    const size_t end = static_cast<size_t>(*find("<|end|>"));
    ends_generation_[end] = false;
    flags_[end] = token_flag::kUserDefined;
  }
  if (ends("<|tool_response>") && ends("</s>")) {
    const size_t slash_s = static_cast<size_t>(*find("</s>"));
    ends_generation_[slash_s] = false;
    flags_[slash_s] = token_flag::kNormal;
  }
  return {};
}

// Phi-3 keeps no white space after most of its markers.
void Vocabulary::mark_stripping(const TokenizerSpec& spec) {
  const std::string name = lower_case(spec.model_name);
  if (name.find("phi-3") == std::string::npos && name.find("phi3") == std::string::npos) return;
  constexpr uint8_t kSpecial = token_flag::kControl | token_flag::kUserDefined | token_flag::kUnknown;
  for (uint32_t id = 0; id < size(); ++id) {
    const std::string_view token = texts_[id];
    const bool keeps_space = token == "<unk>" || token == "<s>" || token == "<|endoftext|>";
    if (((flags_[id] & kSpecial) != 0 && !keeps_space) || token == "</s>")
      flags_[id] |= token_flag::kStripRight;
  }
}

std::optional<TokenId> Vocabulary::find(std::string_view text) const {
  const std::optional<uint32_t> index = texts_.find(text);
  return index ? std::optional(static_cast<TokenId>(*index)) : std::nullopt;
}

}  // namespace pixellm
