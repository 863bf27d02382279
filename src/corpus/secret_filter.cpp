#include "corpus/secret_filter.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "corpus/secret_rules.h"

namespace pixellm {
namespace {

using namespace secrets;

// Names of files that programs keep logins and keys in.
constexpr std::string_view kLoginFiles[] = {
    ".netrc",           "_netrc",  ".npmrc", ".pypirc", ".pgpass",      ".htpasswd",    ".dockercfg",
    ".git-credentials", ".my.cnf", ".boto",  ".s3cfg",  ".vault-token", "wp-config.php"};
constexpr std::string_view kKeyFiles[] = {"id_rsa",     "id_dsa",      "id_ecdsa",
                                          "id_ed25519", "id_ecdsa_sk", "id_ed25519_sk"};
constexpr std::string_view kKeySuffixes[] = {".pem", ".key",      ".p12",  ".pfx",
                                             ".jks", ".keystore", ".kdbx", ".ppk"};
constexpr std::string_view kDocumentSuffixes[] = {".py", ".md", ".rst", ".html"};
constexpr std::string_view kTemplateWords[] = {"example", "sample", "template"};

bool is_any_of(std::string_view text, std::span<const std::string_view> list) {
  return std::ranges::find(list, text) != list.end();
}

std::optional<std::string_view> rule_of(std::string_view name, bool is_document) {
  if (name == ".env" || name.starts_with(".env.") || name.ends_with(".env")) return "env-file";
  if (is_any_of(name, kLoginFiles)) return "login-file";
  if (is_any_of(name, kKeyFiles)) return "key-file";
  for (const std::string_view suffix : kKeySuffixes)
    if (name.size() > suffix.size() && name.ends_with(suffix)) return "key-file";
  if (is_document) return std::nullopt;
  if (name.starts_with("credentials") || name.starts_with("client_secret")) return "credentials-file";
  const std::string_view stem = name.substr(0, name.find('.'));
  return stem == "secrets" || stem == "secret" ? std::optional<std::string_view>("secrets-file")
                                               : std::nullopt;
}

}  // namespace

std::optional<std::string_view> secret_file_rule(std::string_view name) {
  const std::string lower = lower_case(name);
  const auto holds = [&](std::string_view word) { return lower.find(word) != lower.npos; };
  if (std::ranges::any_of(kTemplateWords, holds)) return std::nullopt;
  // Programs and manuals about credentials are named so as well: what stands in them decides.
  const auto ends = [&](std::string_view suffix) { return lower.ends_with(suffix); };
  const bool is_document = std::ranges::any_of(kDocumentSuffixes, ends);
  if (auto rule = rule_of(lower, is_document)) return rule;
  // server.key.txt, id_rsa.txt: the same file, renamed to pass as text.
  const size_t dot = lower.rfind('.');
  if (dot == 0 || dot == lower.npos || is_document) return std::nullopt;
  return rule_of(std::string_view(lower).substr(0, dot), is_document);
}

// Bytes at which a rule may begin; all others cost one look-up.
constexpr auto kInteresting = [] {
  std::array<bool, 256> table{};
  for (const char c : {'\n', '-', ':', '='}) table[static_cast<uint8_t>(c)] = true;
  for (int c = 0; c < 128; c++)
    table[static_cast<size_t>(c)] |= (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  return table;
}();

void SecretScanner::scan(size_t end) {
  const std::string_view window = window_;
  for (; next_ < end; next_++) {
    const char c = window[next_];
    if (!kInteresting[static_cast<uint8_t>(c)]) continue;
    const char before = next_ > 0 ? window[next_ - 1] : '\n';
    Rule rule;
    if (c == '\n') {
      line_++;
    } else if (c == '-') {
      if (before != '-') rule = key_block_at(window, next_);
    } else if (c == ':' || c == '=') {
      rule = assignment_at(window, next_, kind_);
      if (!rule && c == ':') rule = url_password_at(window, next_);
      if (!rule && c == ':') rule = bot_token_at(window, next_);
    } else {
      // A word begins here, or after an escape sequence: "\nghp_...".
      const bool escaped =
          next_ > 1 && window[next_ - 2] == '\\' && (before == 'n' || before == 't' || before == 'r');
      if (!is_word(before) || escaped) rule = token_at(window, next_);
    }
    if (!rule) continue;
    found_ = SecretFinding{.line = line_, .rule = *rule};
    return;
  }
}

void SecretScanner::push(std::string_view piece) {
  constexpr size_t kPiece = size_t{64} << 10;
  while (!found_ && !piece.empty()) {
    const std::string_view part = piece.substr(0, kPiece);
    piece.remove_prefix(part.size());
    window_ += part;
    if (window_.size() > kAhead) scan(std::max(next_, window_.size() - kAhead));
    const size_t spent = next_ > kBehind ? next_ - kBehind : 0;
    if (spent < kPiece) continue;  // moving the rest to the front pays only now and then
    window_.erase(0, spent);
    next_ -= spent;
  }
}

std::optional<SecretFinding> SecretScanner::finish() {
  if (!found_) scan(window_.size());
  return found_;
}

}  // namespace pixellm
