// Writes char_class_of() (tokenizer/unicode.h) as a table, for builds without utf8proc. Run when the
// WebAssembly module is built; what it writes is never committed.
//
//   make_char_classes > char_classes.cpp
#include <cstdio>

#include "tokenizer/unicode.h"

int main() {
  constexpr uint32_t kEnd = 0x110000;
  std::puts(
      "#include <algorithm>\n"
      "#include <iterator>\n\n"
      "#include \"tokenizer/unicode.h\"\n\n"
      "namespace pixellm {\n"
      "namespace {\n\n"
      "struct Run {\n"
      "  uint32_t first;\n"
      "  CharClass char_class;\n"
      "};\n"
      "constexpr Run kRuns[] = {");
  for (uint32_t c = 0, before = 0xff; c < kEnd; c++) {
    const auto now = static_cast<uint32_t>(pixellm::char_class_of(c));
    if (now != before) std::printf("    {0x%X, CharClass(%u)},\n", c, now);
    before = now;
  }
  std::printf(
      "    {0x%X, CharClass::kOther}};\n\n"
      "}  // namespace\n\n"
      "CharClass char_class_of(uint32_t c) {\n"
      "  return std::prev(std::ranges::upper_bound(kRuns, c, {}, &Run::first))->char_class;\n"
      "}\n\n"
      "}  // namespace pixellm\n",
      kEnd);
  return std::ferror(stdout) || std::fflush(stdout) ? 1 : 0;
}
