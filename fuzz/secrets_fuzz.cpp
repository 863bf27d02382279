// A text through normalising and the search for secrets, whole and in pieces: the same text, the same
// finding, on a line that the text has. The first line also as a file's name.
//
// Input: byte 0: bit 0 Python, bit 1 repeat the text up to 6 KiB (all bits: 72 KiB), the rest the size of a
// piece; then the text. In it byte 1 stands for 20 generated letters and digits, 2 for 64 of base64, 3 for 40
// hexadecimal digits: so inputs can make secrets of every shape without holding one.
#include <algorithm>
#include <cstdint>
#include <random>
#include <string>

#include "base/error.h"
#include "corpus/secret_filter.h"
#include "corpus/text_normalizer.h"

using namespace pixellm;

namespace {

constexpr std::string_view kDigits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+/";

std::string expand(std::string_view input) {
  std::mt19937 source(1);
  std::string out;
  for (const char c : input) {
    const size_t count = c == 1 ? 20 : c == 2 ? 64 : c == 3 ? 40 : 0;
    const size_t alphabet = c == 1 ? 62 : c == 2 ? 64 : 16;
    if (count == 0) out += c;
    for (size_t i = 0; i < count; i++) out += kDigits[source() % alphabet];
  }
  return out;
}

struct Outcome {
  bool valid = true;
  std::string text;
  uint64_t characters = 0, newlines = 0;
  std::optional<SecretFinding> found;
};

Outcome examine(std::string_view bytes, size_t piece, TextKind kind) {
  TextNormalizer normalizer;
  SecretScanner scanner(kind);
  Outcome out;
  for (size_t at = 0; at < bytes.size() && out.valid; at += piece) {
    const size_t before = out.text.size();
    out.valid = normalizer.push(bytes.substr(at, piece), out.text);
    scanner.push(std::string_view(out.text).substr(before));
  }
  out.valid = out.valid && normalizer.finish();
  out.characters = normalizer.characters();
  out.newlines = normalizer.newlines();
  out.found = scanner.finish();
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const uint8_t choice = data[0];
  const std::string once = expand({reinterpret_cast<const char*>(data) + 1, size - 1});
  (void)secret_file_rule(std::string_view(once).substr(0, once.find('\n')));
  std::string text = once;
  const size_t limit = choice == 0xff ? size_t{72} << 10 : (choice & 2) != 0 ? size_t{6} << 10 : 0;
  while (!once.empty() && text.size() + once.size() <= limit) text += once;
  const TextKind kind = (choice & 1) != 0 ? TextKind::kPython : TextKind::kOther;

  const Outcome whole = examine(text, std::max<size_t>(text.size(), 1), kind);
  const Outcome cut = examine(text, 1 + (choice >> 2) * size_t{37}, kind);
  PIXELLM_ASSERT(whole.valid == cut.valid);
  if (!whole.valid) return 0;
  PIXELLM_ASSERT(whole.text == cut.text && whole.characters == cut.characters &&
                 whole.newlines == cut.newlines);
  PIXELLM_ASSERT(whole.text.find('\r') == whole.text.npos);
  PIXELLM_ASSERT(whole.newlines == static_cast<uint64_t>(std::ranges::count(whole.text, '\n')));
  PIXELLM_ASSERT(whole.found.has_value() == cut.found.has_value());
  if (!whole.found) return 0;
  PIXELLM_ASSERT(whole.found->line == cut.found->line && whole.found->rule == cut.found->rule);
  PIXELLM_ASSERT(whole.found->line >= 1 && whole.found->line <= whole.newlines + 1);
  return 0;
}
