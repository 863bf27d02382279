#include "tokenizer/jinja_text.h"

#include <algorithm>

namespace pixellm {
namespace {

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// Reads a quoted string at `at` (its opening quote) and appends it between kJinjaQuote; where it ends.
size_t copy_literal(std::string_view code, size_t at, std::string& out) {
  const char quote = code[at++];
  out += kJinjaQuote;
  for (; at < code.size() && code[at] != quote; ++at) {
    if (code[at] != '\\' || at + 1 == code.size()) {
      out += code[at];
      continue;
    }
    const char escaped = code[++at];
    switch (escaped) {
      case 'n':
        out += '\n';
        break;
      case 't':
        out += '\t';
        break;
      case 'r':
        out += '\r';
        break;
      case '\\':
      case '\'':
      case '"':
        out += escaped;
        break;
      default:
        out += '\\', out += escaped;
    }
  }
  out += kJinjaQuote;
  return std::min(at + 1, code.size());
}

// Code of an expression or a statement without its brackets.
std::string canonical_code(std::string_view code) {
  std::string out;
  bool space_before = false;
  for (size_t at = 0; at < code.size();) {
    const char c = code[at];
    if (is_space(c)) {
      space_before = true;
      ++at;
      continue;
    }
    if (space_before && !out.empty() && is_word(out.back()) && is_word(c)) out += ' ';
    space_before = false;
    if (c == '\'' || c == '"') {
      at = copy_literal(code, at, out);
      continue;
    }
    if (c == '.' && !out.empty() && (is_word(out.back()) || out.back() == ']')) {
      size_t end = at + 1;
      while (end < code.size() && is_word(code[end])) ++end;
      const std::string_view name = code.substr(at + 1, end - at - 1);
      if (name == "role" || name == "content") {
        out += '[';
        out += kJinjaQuote;
        out += name;
        out += kJinjaQuote;
        out += ']';
        at = end;
        continue;
      }
    }
    out += c;
    ++at;
  }
  return out;
}

// End of the tag whose content begins at `at`: the position of `close` outside of quotes, or the text's end.
size_t find_close(std::string_view text, size_t at, std::string_view close) {
  char quote = 0;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (quote != 0) {
      if (c == '\\') {
        ++at;
      } else if (c == quote) {
        quote = 0;
      }
    } else if (text.substr(at).starts_with(close)) {
      return at;
    } else if (c == '\'' || c == '"') {
      quote = c;
    }
  }
  return text.size();
}

void append_term(std::string& out, std::string_view term) {
  if (term.empty()) return;
  if (!out.empty() && !out.ends_with("%}")) out += '+';
  out += term;
}

void append_raw(std::string& out, std::string_view raw) {
  if (raw.empty()) return;
  std::string literal(1, kJinjaQuote);
  literal += raw;
  literal += kJinjaQuote;
  append_term(out, literal);
}

// 'a'+'b' -> 'ab'
std::string join_literals(std::string_view text) {
  constexpr char kJoint[] = {kJinjaQuote, '+', kJinjaQuote, 0};
  std::string out;
  bool in_literal = false;
  for (size_t at = 0; at < text.size(); ++at) {
    if (in_literal && text.substr(at).starts_with(kJoint)) {
      at += 2;
      continue;
    }
    if (text[at] == kJinjaQuote) in_literal = !in_literal;
    out += text[at];
  }
  return out;
}

// Removes the spaces between the last line end and a block tag.
std::string_view without_indent(std::string_view raw) {
  size_t end = raw.size();
  while (end > 0 && (raw[end - 1] == ' ' || raw[end - 1] == '\t')) --end;
  return end == 0 || raw[end - 1] == '\n' ? raw.substr(0, end) : raw;
}

}  // namespace

std::string canonical_jinja(std::string_view jinja) {
  std::string out;
  bool strip_left = false, strip_newline = false;
  for (size_t at = 0; at < jinja.size();) {
    size_t tag = at;
    while (tag < jinja.size() &&
           !(jinja[tag] == '{' && tag + 1 < jinja.size() &&
             (jinja[tag + 1] == '{' || jinja[tag + 1] == '%' || jinja[tag + 1] == '#'))) {
      ++tag;
    }
    std::string_view raw = jinja.substr(at, tag - at);
    const bool at_tag = tag < jinja.size();
    const char kind = at_tag ? jinja[tag + 1] : '{';
    if (strip_newline && raw.starts_with('\n')) raw.remove_prefix(1);
    while (strip_left && !raw.empty() && is_space(raw.front())) raw.remove_prefix(1);
    if (at_tag && kind != '{') raw = without_indent(raw);
    const bool minus = at_tag && tag + 2 < jinja.size() && jinja[tag + 2] == '-';
    while (minus && !raw.empty() && is_space(raw.back())) raw.remove_suffix(1);
    append_raw(out, raw);
    if (!at_tag) break;
    const size_t begin = tag + (minus ? 3 : 2);
    const std::string_view close = kind == '{' ? "}}" : kind == '%' ? "%}" : "#}";
    const size_t end =
        kind == '#' ? std::min(jinja.find(close, begin), jinja.size()) : find_close(jinja, begin, close);
    std::string_view code = jinja.substr(std::min(begin, end), end - std::min(begin, end));
    strip_left = code.ends_with('-');
    if (strip_left) code.remove_suffix(1);
    strip_newline = kind != '{';
    if (kind == '{') append_term(out, canonical_code(code));
    if (kind == '%') out += "{%" + canonical_code(code) + "%}";
    at = std::min(end + 2, jinja.size());
  }
  return join_literals(out);
}

std::string without_branch(std::string canonical, std::string_view name) {
  const std::string open = "{%if " + std::string(name) + "%}";
  const size_t begin = canonical.find(open);
  if (begin == std::string::npos) return canonical;
  int depth = 0;
  for (size_t at = begin; (at = canonical.find("{%", at)) != std::string::npos; at += 2) {
    const std::string_view rest = std::string_view(canonical).substr(at + 2);
    if (rest.starts_with("if ") || rest.starts_with("if(")) ++depth;
    if (rest.starts_with("endif") && --depth == 0) return canonical.erase(begin, at - begin);
    if (depth == 1 && (rest.starts_with("else") || rest.starts_with("elif")))
      return canonical.erase(begin, at - begin);
  }
  return canonical;
}

}  // namespace pixellm
