#include "tokenizer/pretokenize.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <string>

namespace pixellm {
namespace {

using Text = std::span<const Char>;

// Every scanner returns the end of the word that begins at `at`; text outside the span does not exist for it.
using Scanner = size_t (*)(Text text, size_t at);

bool is(Text text, size_t at, CharClass c) { return at < text.size() && text[at].is(c); }

bool is_other(Text text, size_t at) {
  return at < text.size() && (text[at].is(CharClass::kOther) || text[at].is(CharClass::kPunctuation));
}

uint32_t code_point(Text text, size_t at) { return at < text.size() ? text[at].code_point() : 0xFFFFFF; }

bool is_line_end(Text text, size_t at) {
  const uint32_t c = code_point(text, at);
  return c == '\r' || c == '\n';
}

size_t skip(Text text, size_t at, CharClass c) {
  while (is(text, at, c)) ++at;
  return at;
}

// Length of 's 't 'm 'd 're 've 'll at `at`, or 0.
size_t contraction(Text text, size_t at, bool any_case) {
  if (code_point(text, at) != '\'') return 0;
  const auto letter = [&](size_t i) {
    const uint32_t c = code_point(text, i);
    return any_case && c >= 'A' && c <= 'Z' ? c + 32 : c;
  };
  const uint32_t a = letter(at + 1), b = letter(at + 2);
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
  if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return 3;
  return 0;
}

// \s+(?!\S)|\s+ : all white space, but the last one is left to the word that follows.
size_t white_space(Text text, size_t at) {
  const size_t end = skip(text, at, CharClass::kSpace);
  return end < text.size() && end - at > 1 ? end - 1 : end;
}

// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
size_t gpt2_word(Text text, size_t at) {
  if (const size_t n = contraction(text, at, false)) return at + n;
  const size_t first = code_point(text, at) == ' ' && at + 1 < text.size() ? at + 1 : at;
  if (is(text, first, CharClass::kLetter)) return skip(text, first, CharClass::kLetter);
  if (is(text, first, CharClass::kNumber)) return skip(text, first, CharClass::kNumber);
  if (is_other(text, first)) {
    size_t end = first;
    while (is_other(text, end)) ++end;
    return end;
  }
  return white_space(text, at);
}

// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,max}|
// ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
template <size_t kMaxDigits>
size_t llama3_word(Text text, size_t at) {
  if (const size_t n = contraction(text, at, true)) return at + n;
  if (is(text, at, CharClass::kLetter)) return skip(text, at, CharClass::kLetter);
  if (is(text, at, CharClass::kNumber)) {
    size_t end = at;
    while (end - at < kMaxDigits && is(text, end, CharClass::kNumber)) ++end;
    return end;
  }
  if (!is_line_end(text, at) && is(text, at + 1, CharClass::kLetter))
    return skip(text, at + 1, CharClass::kLetter);
  size_t end = code_point(text, at) == ' ' ? at + 1 : at;
  if (is_other(text, end)) {
    while (is_other(text, end)) ++end;
    while (is_line_end(text, end)) ++end;
    return end;
  }
  size_t after_line_end = 0;
  for (end = at; is(text, end, CharClass::kSpace); ++end) {
    if (is_line_end(text, end)) after_line_end = end + 1;
  }
  return after_line_end > 0 ? after_line_end : white_space(text, at);
}

// Splits off runs of at most kMost characters that fit; what lies between stays in one piece.
template <bool (*kFits)(Char), size_t kMost>
size_t isolate(Text text, size_t at) {
  size_t end = at;
  if (kFits(text[at])) {
    while (end < text.size() && end - at < kMost && kFits(text[end])) ++end;
  } else {
    while (end < text.size() && !kFits(text[end])) ++end;
  }
  return end;
}

bool is_number(Char c) { return c.is(CharClass::kNumber); }

// [\p{P}\$\+<=>\^~\|]
bool is_default_punctuation(Char c) {
  if (c.is(CharClass::kPunctuation)) return true;
  constexpr std::string_view kSymbols = "$+<=>^~|";
  return c.code_point() < 0x80 && kSymbols.find(static_cast<char>(c.code_point())) != std::string_view::npos;
}

// [0-9][0-9][0-9], and what lies between.
size_t three_digits(Text text, size_t at) {
  const auto begins = [&](size_t i) {
    for (size_t k = 0; k < 3; ++k) {
      const uint32_t c = code_point(text, i + k);
      if (c < '0' || c > '9') return false;
    }
    return true;
  };
  if (begins(at)) return at + 3;
  size_t end = at + 1;
  while (end < text.size() && !begins(end)) ++end;
  return end;
}

constexpr size_t kAnyNumber = static_cast<size_t>(-1);

// Scanners in order: each splits the words of the one before it.
std::span<const Scanner> scanners(PreTokenizer rules) {
  static constexpr std::array<Scanner, 1> kGpt2 = {gpt2_word};
  static constexpr std::array<Scanner, 2> kSmolLm = {isolate<is_number, 1>, gpt2_word};
  static constexpr std::array<Scanner, 1> kLlama3 = {llama3_word<3>};
  static constexpr std::array<Scanner, 1> kQwen2 = {llama3_word<1>};
  static constexpr std::array<Scanner, 4> kDefault = {isolate<is_default_punctuation, kAnyNumber>, gpt2_word,
                                                      isolate<is_number, kAnyNumber>, three_digits};
  switch (rules) {
    case PreTokenizer::kGpt2:
      return kGpt2;
    case PreTokenizer::kSmolLm:
      return kSmolLm;
    case PreTokenizer::kLlama3:
      return kLlama3;
    case PreTokenizer::kQwen2:
      return kQwen2;
    case PreTokenizer::kDefault:
      break;
  }
  return kDefault;
}

// Names that llama.cpp gives the same rules; every one was compared with it.
struct Names {
  PreTokenizerInfo info;
  std::string_view names;  // each between spaces
};

constexpr Names kNames[] = {
    {{PreTokenizer::kDefault, false, false}, " default "},
    {{PreTokenizer::kGpt2, false, false},
     " gpt-2 phi-2 mpt olmo jais exaone4 trillion granite-docling gigachat mellum a.x-4.0 "},
    {{PreTokenizer::kSmolLm, false, false},
     " smollm starcoder refact command-r codeshell exaone minerva-7b "},
    {{PreTokenizer::kLlama3, true, true}, " llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral lfm2 "},
    {{PreTokenizer::kLlama3, false, false}, " dbrx smaug-bpe glm4 chatglm-bpe "},
    {{PreTokenizer::kQwen2, false, false},
     " qwen2 deepseek-r1-qwen kormo megrez stablelm2 hunyuan solar-open grok-2 "},
};

}  // namespace

std::optional<PreTokenizerInfo> find_pre_tokenizer(std::string_view name) {
  if (name.empty()) return kNames[0].info;
  if (name.find(' ') != std::string_view::npos) return std::nullopt;
  const std::string word = fmt::format(" {} ", name);
  for (const Names& row : kNames) {
    if (row.names.find(word) != std::string_view::npos) return row.info;
  }
  return std::nullopt;
}

std::vector<size_t> split_words(std::span<const Char> text, PreTokenizer rules) {
  std::vector<size_t> ends;
  if (text.empty()) return ends;
  ends.push_back(text.size());
  for (const Scanner scan : scanners(rules)) {
    std::vector<size_t> finer;
    finer.reserve(ends.size());
    size_t begin = 0;
    for (const size_t end : ends) {
      const Text word = text.subspan(begin, end - begin);
      for (size_t at = 0; at < word.size();) {
        at = scan(word, at);
        finer.push_back(begin + at);
      }
      begin = end;
    }
    ends = std::move(finer);
  }
  return ends;
}

}  // namespace pixellm
