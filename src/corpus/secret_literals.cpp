#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <span>
#include <utility>

#include "corpus/secret_rules.h"

namespace pixellm::secrets {
namespace {

// A value that holds one of these is an example, a reference or a template.
constexpr std::string_view kPlaceholderParts[] = {
    "example",  "changeme", "change-me", "change_me", "placeholder", "your",    "dummy",  "sample", "foobar",
    "redacted", "insert",   "replace",   "todo",      "fixme",       "fake",    "mock",   "xxxx",   "****",
    "....",     "lorem",    "<",         ">",         "{",           "}",       "$(",     "%(",     "://",
    "...",      "…",        "enc[",      "hidden",    "omitted",     "notreal", "invalid"};

// Words that real secrets contain as well: the rest of the value decides.
constexpr std::string_view kCommonWords[] = {
    "password", "passwort", "passw0rd", "p@ssw0rd", "p@ssword", "passwd", "pass",    "pwd",
    "secret",   "token",    "apikey",   "api_key",  "api-key",  "access", "private", "public",
    "key",      "admin",    "user",     "root",     "guest",    "test",   "login",   "postgres",
    "mysql",    "default",  "string",   "value",    "none",     "null",   "foo",     "bar",
    "baz",      "qux",      "qwerty",   "hello",    "world",    "my",     "some",    "name"};

// What besides them stands in a password's place and is none: kinds and states of passwords, names of
// methods, what examples take. Short ones are no harm, long words are what a weak password may be.
constexpr std::string_view kOrdinaryWords[] = {
    "required", "optional", "prompt",  "text",     "input",   "field",     "label",   "basic",  "plain",
    "true",     "false",    "unknown", "missing",  "empty",   "encrypted", "hashed",  "stored", "keyring",
    "forgot",   "reset",    "change",  "confirm",  "current", "old",       "new",     "wrong",  "correct",
    "bad",      "good",     "valid",   "strong",   "weak",    "short",     "long",    "sekrit", "s3cr3t",
    "sekret",   "sha1",     "sha224",  "sha256",   "sha384",  "sha512",    "md5",     "bcrypt", "scrypt",
    "argon2",   "pbkdf2",   "crypt",   "kerberos", "ldap",    "ntlm",      "oauth",   "base64", "utf8",
    "abcd",     "abc123",   "12345",   "1234",     "123",     "spam",      "eggs",    "phrase", "data",
    "content",  "body",     "object",  "disabled", "enabled", "undefined", "verify",  "update", "another",
    "other",    "second",   "first",   "mismatch", "email",   "account",   "database"};

// The value without the words, case kept; bounded work, since values are at most kMaxValue bytes long.
std::string without_words(std::string_view value, std::span<const std::string_view> words) {
  std::string rest(value), lower = lower_case(value);
  for (const std::string_view word : words) {
    for (size_t at = 0; (at = lower.find(word, at)) != lower.npos;) {
      lower.erase(at, word.size());
      rest.erase(at, word.size());
    }
  }
  return rest;
}

std::string without_common_words(std::string_view value) { return without_words(value, kCommonWords); }

// Bits per byte of the value's own distribution.
double entropy(std::string_view value) {
  std::array<uint32_t, 256> counts{};
  for (const char c : value) counts[static_cast<uint8_t>(c)]++;
  double bits = 0;
  for (const uint32_t n : counts)
    if (n > 0) bits -= n * std::log2(static_cast<double>(n) / static_cast<double>(value.size()));
  return bits / static_cast<double>(value.size());
}

// "0123456789", "abcdefgh", "aaaaaaa" somewhere in it.
bool has_sequence(std::string_view value) {
  int rising = 1, same = 1;
  for (size_t i = 1; i < value.size(); i++) {
    rising = value[i] == value[i - 1] + 1 ? rising + 1 : 1;
    same = value[i] == value[i - 1] ? same + 1 : 1;
    if (rising >= 7 || same >= 5) return true;
  }
  return false;
}

struct Texture {
  size_t classes = 0;  // of the four
  size_t digits = 0;
  size_t changes = 0;   // from one class of letters and digits to another, separators skipped
  size_t in_words = 0;  // letters in runs of three and more lower-case ones
};

Texture texture_of(std::string_view value) {
  Texture t;
  unsigned seen = 0;
  size_t lower_run = 0;
  Class before = Class::kOther;
  const auto end_run = [&] {
    if (lower_run >= 3) t.in_words += lower_run;
    lower_run = 0;
  };
  for (const char c : value) {
    const Class k = class_of(c);
    seen |= 1u << static_cast<unsigned>(k);
    if (k == Class::kDigit) t.digits++;
    k == Class::kLower ? void(lower_run++) : end_run();
    if (k == Class::kOther) continue;
    if (before != Class::kOther && before != k) t.changes++;
    before = k;
  }
  end_run();
  t.classes = static_cast<size_t>(std::popcount(seen));
  return t;
}

bool is_printable_word(std::string_view value) {
  return std::ranges::all_of(value, [](char c) { return c > ' ' && c < 0x7f; });
}

}  // namespace

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (class_of(c) == Class::kUpper) c = static_cast<char>(c + 32);
  return out;
}

size_t distinct_bytes(std::string_view value) {
  std::array<bool, 256> seen{};
  size_t n = 0;
  for (const char c : value) n += std::exchange(seen[static_cast<uint8_t>(c)], true) ? 0 : 1;
  return n;
}

bool is_placeholder(std::string_view value) {
  if (value.empty() || value[0] == '$' || value[0] == '%' || value[0] == '@' || distinct_bytes(value) < 4)
    return true;
  const std::string lower = lower_case(value);
  return std::ranges::any_of(kPlaceholderParts,
                             [&](std::string_view part) { return lower.find(part) != lower.npos; });
}

bool is_random(std::string_view value) {
  if (value.size() < 16 || !is_printable_word(value) || is_placeholder(value)) return false;
  const std::string rest = without_common_words(value);
  if (rest.size() < 14 || has_sequence(rest) || entropy(rest) < 3.0) return false;
  const Texture t = texture_of(rest);
  if (t.digits == 0 || t.changes * 6 < rest.size()) return false;
  return t.digits * 10 >= rest.size() || t.in_words * 2 < rest.size();
}

bool is_password(std::string_view value) {
  if (value.size() < 8 || value.size() > 64 || !is_printable_word(value) || is_placeholder(value))
    return false;
  const std::string rest = without_common_words(value);
  if (rest.size() < 6 || has_sequence(rest) || entropy(rest) < 2.5) return false;
  const Texture t = texture_of(rest);
  return t.classes >= 3 && t.digits > 0 && t.in_words * 2 <= rest.size();
}

std::string without_ordinary_words(std::string_view value) {
  return without_words(without_common_words(value), kOrdinaryWords);
}

bool is_weak_password(std::string_view value) {
  if (value.size() < 6 || value.size() > 64 || is_placeholder(value)) return false;
  const auto is_plain = [](char c) { return (is_word(c) && c != '_') || c == '!'; };
  if (!std::ranges::all_of(value, is_plain)) return false;
  const std::string rest = without_ordinary_words(value);
  if (rest.size() < 5 || distinct_bytes(rest) < 4 || has_sequence(rest)) return false;
  const auto is_letter = [](char c) { return class_of(c) == Class::kLower || class_of(c) == Class::kUpper; };
  const auto is_capital = [](char c) { return class_of(c) == Class::kUpper; };
  if (texture_of(rest).digits > 0)  // "TypeNames2" have several capitals
    return std::ranges::any_of(rest, is_letter) && std::ranges::count_if(value, is_capital) <= 1;
  // A capital makes it a title or the name of a constant or type, "pass" the name of a field.
  return lower_case(value) == value && value.find("pass") == value.npos;
}

bool is_url_password(std::string_view user, std::string_view password) {
  if (password == user || !is_printable_word(password) || is_placeholder(password)) return false;
  const std::string rest = without_common_words(password);
  return rest.size() >= 4 && !has_sequence(rest) && texture_of(rest).classes >= 2 &&
         distinct_bytes(rest) >= 4;
}

std::string decode_base64(std::string_view text) {
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    if (!is_base64(c)) break;
    const Class k = class_of(c);
    const uint32_t digit = k == Class::kUpper   ? static_cast<uint32_t>(c - 'A')
                           : k == Class::kLower ? static_cast<uint32_t>(c - 'a' + 26)
                           : k == Class::kDigit ? static_cast<uint32_t>(c - '0' + 52)
                           : c == '+'           ? 62u
                                                : 63u;
    bits = bits << 6 | digit;
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out += static_cast<char>(bits >> count & 0xff);
  }
  return out;
}

}  // namespace pixellm::secrets
