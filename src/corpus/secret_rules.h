// The rules behind secret_filter.h. Each looks at one position of a window of text and at a bounded stretch
// before and after it, and answers with the rule's name when a secret stands there. Positions that cost more
// than a constant are so chosen that no text makes their stretches overlap more than a few times: the whole
// stays linear. All functions are pure and thread-safe.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "corpus/secret_filter.h"

namespace pixellm::secrets {

constexpr size_t kBehind = 256;  // no rule looks further back
constexpr size_t kAhead = 4096;  // nor further ahead

using Rule = std::optional<std::string_view>;

// Classes of bytes. Letters, digits and '_' make words; other alphabets are not distinguished.
enum class Class : uint8_t { kLower, kUpper, kDigit, kOther };
constexpr Class class_of(char c) {
  if (c >= 'a' && c <= 'z') return Class::kLower;
  if (c >= 'A' && c <= 'Z') return Class::kUpper;
  return c >= '0' && c <= '9' ? Class::kDigit : Class::kOther;
}
constexpr bool is_word(char c) { return class_of(c) != Class::kOther || c == '_'; }
constexpr bool is_base64(char c) { return class_of(c) != Class::kOther || c == '+' || c == '/'; }
constexpr bool is_base64url(char c) { return is_word(c) || c == '-'; }

// Tokens with a shape of their own that begin with the word at `at`: provider keys, JSON web tokens, keys in
// base64.
Rule token_at(std::string_view window, size_t at);

// A private key block whose first dash stands at `at`.
Rule key_block_at(std::string_view window, size_t at);

// ':' at `at`: a URL with user and password, a bot's token.
Rule url_password_at(std::string_view window, size_t at);
Rule bot_token_at(std::string_view window, size_t at);

// '=' or ':' at `at`: a name that announces a secret before it, a literal that can be one after it.
Rule assignment_at(std::string_view window, size_t at, TextKind kind);

// Judging literals (section 4.3). `is_random`: of the kind that a generator makes. `is_password`: of the kind
// that people are made to choose. `is_weak_password`: of the kind that they choose by themselves ("hunter2",
// "letmein"), or an ordinary word: right only where a password is certain to stand. `is_url_password`:
// either, or a shorter one that is more than a word. All are false for placeholders.
bool is_random(std::string_view value);
bool is_password(std::string_view value);
bool is_weak_password(std::string_view value);
bool is_url_password(std::string_view user, std::string_view password);
bool is_placeholder(std::string_view value);

// The value without words that examples and programs have in a password's place.
std::string without_ordinary_words(std::string_view value);

// ASCII letters in lower case.
std::string lower_case(std::string_view text);

// How many different bytes the value has.
size_t distinct_bytes(std::string_view value);

// Bytes of base64 text up to its first other character.
std::string decode_base64(std::string_view text);

// "user:password" as base64, the password not a placeholder.
bool is_basic_login(std::string_view base64);

}  // namespace pixellm::secrets
