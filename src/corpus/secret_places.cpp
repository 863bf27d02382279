// Rules that know a secret by where it stands: after a name that announces it, in a URL, between the lines of
// a key block.
#include <algorithm>
#include <cstdint>
#include <span>

#include "corpus/secret_rules.h"

namespace pixellm::secrets {
namespace {

constexpr size_t kMaxName = 64, kMaxValue = 512, kMaxGap = 8;

bool is_quote(char c) { return c == '"' || c == '\'' || c == '`'; }
bool is_blank(char c) { return c == ' ' || c == '\t'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The last characters of a name that announces a secret, in lower case and without separators.
constexpr std::string_view kSecretNames[] = {
    "password",   "passwd",     "passphrase",  "passcode",        "pwd",        "secret",
    "secrets",    "secretkey",  "apikey",      "apisecret",       "accesskey",  "token",
    "privatekey", "credential", "credentials", "signingkey",      "masterkey",  "encryptionkey",
    "sharedkey",  "accountkey", "authkey",     "subscriptionkey", "licensekey", "secretaccesskey"};

constexpr std::string_view kPasswordNames[] = {"password", "passwd", "passphrase", "passcode", "pwd", "pass"};

// Tokens that mark a place in a list or a text and open no door.
constexpr std::string_view kHarmlessNames[] = {
    "pagetoken",    "nexttoken",      "continuationtoken", "synctoken",   "csrftoken",  "bostoken",
    "eostoken",     "padtoken",       "unktoken",          "masktoken",   "subtoken",   "resumetoken",
    "specialtoken", "publickeytoken", "requesttoken",      "changetoken", "actiontoken"};

// What may follow the announcing word: DB_PASSWORD_PROD, token2.
constexpr std::string_view kNameEndings[] = {"prod", "production", "live",    "staging",
                                             "dev",  "value",      "default", "base64"};

// Lower case, separators dropped, digits and an ending such as _PROD taken off.
std::string plain_name(std::string_view name) {
  std::string out;
  for (const char c : name)
    if (c != '_' && c != '-') out += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  while (!out.empty() && is_digit(out.back())) out.pop_back();
  for (const std::string_view ending : kNameEndings) {
    if (out.size() <= ending.size() + 3 || !out.ends_with(ending)) continue;
    out.resize(out.size() - ending.size());
    break;
  }
  return out;
}

bool ends_with_any(std::string_view text, std::span<const std::string_view> endings) {
  return std::ranges::any_of(endings, [&](std::string_view e) { return text.ends_with(e); });
}

size_t skip_blanks_back(std::string_view window, size_t at) {
  for (size_t i = 0; i < kMaxGap && at > 0 && is_blank(window[at - 1]); i++) at--;
  return at;
}

// The name before position `end`, where `op` stands: bare, quoted, or in brackets and quotes
// (config["password"]).
std::string_view name_before(std::string_view window, size_t end, char op) {
  end = skip_blanks_back(window, end);
  for (size_t i = 0;
       i < 4 && end > 0 && (is_quote(window[end - 1]) || window[end - 1] == ']' || window[end - 1] == '\\');
       i++)
    end--;
  size_t begin = end;
  while (begin > 0 && end - begin < kMaxName && is_base64url(window[begin - 1])) begin--;
  // "AWS::ApiGateway::ApiKey", arn:...:secret:name: part of a longer name.
  if (begin > 0 && window[begin - 1] == ':' && op == ':') return {};
  return window.substr(begin, end - begin);
}

// `password: str = ...`: the name in front of a type annotation that ends at `end`.
std::string_view name_before_annotation(std::string_view window, size_t end) {
  end = skip_blanks_back(window, end);
  size_t begin = end;
  const auto in_type = [](char c) {
    return is_word(c) || is_blank(c) || c == '[' || c == ']' || c == '|' || c == '.';
  };
  while (begin > 0 && end - begin < 40 && in_type(window[begin - 1])) begin--;
  return begin > 0 && begin < end && window[begin - 1] == ':' ? name_before(window, begin - 1, ':')
                                                              : std::string_view{};
}

struct Literal {
  std::string_view text;
  bool quoted = false;
  char next = '\n';  // the byte behind it, when it is not quoted
};

// The literal that begins at or soon after `at`, without blanks in it; empty when there is none.
Literal literal_after(std::string_view window, size_t at) {
  const auto peek = [&](size_t i) { return i < window.size() ? window[i] : '\n'; };
  for (size_t i = 0; i < 2 && (peek(at) == '=' || peek(at) == '>'); i++) at++;
  for (size_t i = 0; i < kMaxGap && (is_blank(peek(at)) || peek(at) == '('); i++) at++;
  for (const char prefix : {'b', 'r', 'u', 'f'})
    if (peek(at) == prefix && is_quote(peek(at + 1))) at++;
  size_t quotes_at = at;
  while (quotes_at < at + 4 && peek(quotes_at) == '\\') quotes_at++;
  const char quote = peek(quotes_at);
  if (!is_quote(quote)) {
    const std::string_view rest = window.substr(std::min(at, window.size()), kMaxValue);
    const auto in_value = [](char c) {
      return is_base64(c) || c == '-' || c == '_' || c == '!' || c == '#' || c == '@' || c == '&' || c == '%' ||
             c == '^' || c == '*' || c == '~' || c == '?';
    };
    size_t size = static_cast<size_t>(std::find_if_not(rest.begin(), rest.end(), in_value) - rest.begin());
    size_t end = size;
    while (end < rest.size() && end < size + 2 && rest[end] == '=') end++;
    const char next = peek(at + end);
    const bool ends =
        next == '\n' || is_blank(next) || next == ',' || next == ';' || next == '\\' || is_quote(next);
    return {ends ? rest.substr(0, size) : std::string_view{}, false, next};
  }
  at = quotes_at + 1;
  for (size_t i = 0; i < 2 && peek(at) == quote; i++) at++;
  const std::string_view rest = window.substr(std::min(at, window.size()), kMaxValue);
  const auto ends = [&](char c) { return c == quote || c == '\\' || c == '\n' || is_blank(c); };
  const size_t size = static_cast<size_t>(std::find_if(rest.begin(), rest.end(), ends) - rest.begin());
  if (size < rest.size() && rest[size] != quote && rest[size] != '\\') return {};
  return {rest.substr(0, size), true};
}

// Whether a word that is not quoted is a value for certain: "DB_PASSWORD=letmein" without blanks and not in a
// list of arguments, or all of a line behind its name, with a digit in it ("  password: hunter2"). Else it
// may be a name or prose.
bool is_certain_value(std::string_view window, size_t at, std::string_view name, const Literal& literal) {
  const auto begin = static_cast<size_t>(name.data() - window.data());
  const auto value = static_cast<size_t>(literal.text.data() - window.data());
  if (window[at] == '=') return begin + name.size() == at && value == at + 1 && literal.next != ',';
  size_t line = begin;
  for (size_t i = 0; i < kMaxName && line > 0 && (is_blank(window[line - 1]) || window[line - 1] == '-'); i++)
    line--;
  return (line == 0 || window[line - 1] == '\n') && literal.next == '\n' &&
         std::ranges::any_of(literal.text, is_digit);
}

// Authorization: Bearer ..., Basic ..., token ...: in a header, a dictionary or a command.
Rule authorization_after(std::string_view window, size_t at) {
  const auto skips = [](char c) { return is_blank(c) || is_quote(c) || c == '\\'; };
  for (size_t i = 0; i < kMaxGap && at < window.size() && skips(window[at]); i++) at++;
  if (at >= window.size()) return std::nullopt;
  for (const std::string_view scheme : {"Bearer ", "bearer ", "token ", "Token ", "Basic ", "basic "}) {
    if (!window.substr(at).starts_with(scheme)) continue;
    const std::string_view rest = window.substr(at + scheme.size(), kMaxValue);
    const auto end =
        std::ranges::find_if_not(rest, [](char c) { return is_base64url(c) || is_base64(c) || c == '.'; });
    const std::string_view value = rest.substr(0, static_cast<size_t>(end - rest.begin()));
    const bool basic = scheme[1] == 'a';
    return (basic ? is_basic_login(value) : is_random(value)) ? Rule("authorization-header") : std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

bool is_basic_login(std::string_view base64) {
  const std::string login = decode_base64(base64.substr(0, kMaxValue));
  const size_t colon = login.find(':');
  if (base64.size() < 12 || colon == login.npos || colon == 0) return false;
  if (!std::ranges::all_of(login, [](char c) { return c >= ' ' && c < 0x7f; })) return false;
  return is_url_password(std::string_view(login).substr(0, colon), std::string_view(login).substr(colon + 1));
}

Rule assignment_at(std::string_view window, size_t at, TextKind kind) {
  if (at == 0 ||
      (window[at] == '=' && (window[at - 1] == '!' || window[at - 1] == '<' || window[at - 1] == '>')))
    return std::nullopt;
  const std::string_view written = name_before(window, at, window[at]);
  if (written.empty()) return std::nullopt;
  std::string name = plain_name(written);
  const auto announces = [](const std::string& n) {
    return n.size() >= 3 &&
           (ends_with_any(n, kSecretNames) || n == "pass" || n == "auth" || n == "authorization") &&
           !ends_with_any(n, kHarmlessNames);
  };
  if (!announces(name) && window[at] == '=') name = plain_name(name_before_annotation(window, at));
  if (!announces(name)) return std::nullopt;
  if (name == "authorization") return authorization_after(window, at + 1);
  const Literal literal = literal_after(window, at + 1);
  if (literal.text.empty() || (!literal.quoted && kind == TextKind::kPython)) return std::nullopt;
  // "PASS: TestAddress/ipv4" is a test's result.
  if (name == "pass" && window[at] == ':' && !literal.quoted) return std::nullopt;
  if (name == "auth") return is_basic_login(literal.text) ? Rule("registry-login") : std::nullopt;
  if (auto known = token_at(window, static_cast<size_t>(literal.text.data() - window.data()))) return known;
  if (is_random(literal.text)) return "assigned-secret";
  const bool for_people = ends_with_any(name, kPasswordNames);
  if (!for_people) return std::nullopt;
  const bool certain = literal.quoted || is_certain_value(window, at, written, literal);
  return is_password(literal.text) || (certain && is_weak_password(literal.text)) ? Rule("assigned-password")
                                                                                  : std::nullopt;
}

Rule url_password_at(std::string_view window, size_t at) {
  if (!window.substr(at).starts_with("://") || at == 0 || !is_word(window[at - 1])) return std::nullopt;
  const std::string_view rest = window.substr(at + 3, 256);
  const auto in_login = [](char c) {
    return is_base64url(c) ||
           (c > ' ' && c < 0x7f && std::string_view("/\"'`<>()[]{}\\|#?^").find(c) == std::string_view::npos);
  };
  const std::string_view authority =
      rest.substr(0, static_cast<size_t>(std::ranges::find_if_not(rest, in_login) - rest.begin()));
  const size_t host = authority.rfind('@');
  if (host == authority.npos) return std::nullopt;
  const std::string_view login = authority.substr(0, host);
  const size_t colon = login.find(':');
  if (colon == login.npos || host + 1 == authority.size()) return std::nullopt;
  const std::string_view user = login.substr(0, colon), password = login.substr(colon + 1);
  return is_url_password(user, password) ? Rule("url-password") : std::nullopt;
}

// A Telegram bot's token: its number, a colon, AA and 33 more.
Rule bot_token_at(std::string_view window, size_t at) {
  const std::string_view tail = window.substr(at + 1, 36);
  if (tail.size() < 35 || !tail.starts_with("AA")) return std::nullopt;
  if (!std::ranges::all_of(tail.substr(0, 35), is_base64url)) return std::nullopt;
  if (tail.size() == 36 && is_base64url(tail[35])) return std::nullopt;
  size_t digits = 0;
  while (digits <= 12 && digits < at && is_digit(window[at - 1 - digits])) digits++;
  return digits >= 8 && digits <= 12 && distinct_bytes(tail) >= 8 ? Rule("bot-token") : std::nullopt;
}

namespace {

// What may stand between a key block's first line and its base64, and between its lines: line ends (also
// written as
// \n), blanks, quotes, comment signs. The position after them, at most `end`.
size_t skip_line_break(std::string_view window, size_t at, size_t end, bool& broke) {
  constexpr std::string_view kBetween = " \t\"'`,+*#>|;()[]";
  while (at < end) {
    if (window[at] == '\n') {
      broke = true;
    } else if (window[at] == '\\' && at + 1 < end && (window[at + 1] == 'n' || window[at + 1] == 'r')) {
      broke = true;
      at++;
    } else if (window[at] != '\\' && kBetween.find(window[at]) == std::string_view::npos) {
      break;
    }
    at++;
  }
  return at;
}

// "Proc-Type: 4,ENCRYPTED" and the like, up to the line's end.
size_t skip_header_line(std::string_view window, size_t at, size_t end) {
  size_t i = at;
  while (i < end && i < at + 30 && (is_base64url(window[i]))) i++;
  if (i == at || i + 1 >= end || window[i] != ':' || window[i + 1] != ' ') return at;
  while (i < end && window[i] != '\n' && !(window[i] == '\\' && i + 1 < end && window[i + 1] == 'n')) i++;
  return i;
}

// A body of a few characters that ends with the block: a cut or toy key. A word there is an example's.
bool is_short_body(std::string_view window, size_t at, size_t size, size_t end) {
  const std::string_view body = window.substr(at, size);
  if (size < 4 || is_placeholder(body) || without_ordinary_words(body).size() < 4) return false;
  if (std::ranges::all_of(body, [](char c) { return class_of(c) == Class::kLower; })) return false;
  at += size;
  while (at < end && window[at] == '=') at++;
  bool broke = false;
  at = skip_line_break(window, at, end, broke);
  return broke && (window.substr(at).starts_with("-----END ") || window.substr(at).starts_with("---- END "));
}

}  // namespace

Rule key_block_at(std::string_view window, size_t at) {
  const size_t five = window.substr(at).starts_with("-----BEGIN ")   ? 11
                      : window.substr(at).starts_with("---- BEGIN ") ? 11
                                                                     : 0;
  if (five == 0) return std::nullopt;
  const std::string_view label = window.substr(at + five, 48);
  const size_t dashes = label.find("----");
  const size_t what = label.find("PRIVATE KEY");
  if (dashes == label.npos || what == label.npos || what > dashes) return std::nullopt;
  if (!std::ranges::all_of(label.substr(0, dashes),
                           [](char c) { return c == ' ' || is_digit(c) || (c >= 'A' && c <= 'Z'); }))
    return std::nullopt;
  const size_t end = std::min(window.size(), at + 1024);
  size_t i = at + five + dashes;
  while (i < end && window[i] == '-') i++;
  for (int line = 0; line < 8; line++) {
    bool broke = false;
    i = skip_line_break(window, i, end, broke);
    if (!broke) return std::nullopt;
    const size_t after_header = skip_header_line(window, i, end);
    if (after_header == i) break;
    i = after_header;
  }
  size_t size = 0;
  while (i + size < end && size < 64 && is_base64(window[i + size])) size++;
  const bool is_body =
      size >= 16 ? distinct_bytes(window.substr(i, size)) >= 6 : is_short_body(window, i, size, end);
  return is_body ? Rule("private-key") : std::nullopt;
}

}  // namespace pixellm::secrets
