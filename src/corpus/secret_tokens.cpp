#include <algorithm>
#include <array>
#include <cstdint>

#include "corpus/secret_rules.h"

namespace pixellm::secrets {
namespace {

// A token: a fixed beginning, then between `least` and `most` bytes of one class and no further one.
enum class Tail : uint8_t { kAlnum, kWord, kDashed, kUpper, kHex, kDotted };

struct Shape {
  std::string_view prefix;
  Tail tail;
  size_t least, most;
  std::string_view rule;
};

constexpr size_t kLong = 1024;

constexpr Shape kShapes[] = {
    {"AKIA", Tail::kUpper, 16, 16, "aws-access-key"},
    {"ASIA", Tail::kUpper, 16, 16, "aws-access-key"},
    {"ghp_", Tail::kAlnum, 36, kLong, "github-token"},
    {"gho_", Tail::kAlnum, 36, kLong, "github-token"},
    {"ghu_", Tail::kAlnum, 36, kLong, "github-token"},
    {"ghs_", Tail::kAlnum, 36, kLong, "github-token"},
    {"ghr_", Tail::kAlnum, 36, kLong, "github-token"},
    {"github_pat_", Tail::kWord, 40, kLong, "github-token"},
    {"glpat-", Tail::kDashed, 20, kLong, "gitlab-token"},
    {"gldt-", Tail::kDashed, 20, kLong, "gitlab-token"},
    {"glrt-", Tail::kDashed, 20, kLong, "gitlab-token"},
    {"glptt-", Tail::kDashed, 40, kLong, "gitlab-token"},
    {"glsoat-", Tail::kDashed, 20, kLong, "gitlab-token"},
    {"glft-", Tail::kDashed, 20, kLong, "gitlab-token"},
    {"glcbt-", Tail::kDashed, 20, kLong, "gitlab-token"},
    {"xoxa-", Tail::kDashed, 20, kLong, "slack-token"},
    {"xoxb-", Tail::kDashed, 20, kLong, "slack-token"},
    {"xoxp-", Tail::kDashed, 20, kLong, "slack-token"},
    {"xoxr-", Tail::kDashed, 20, kLong, "slack-token"},
    {"xoxs-", Tail::kDashed, 20, kLong, "slack-token"},
    {"xoxe-", Tail::kDashed, 20, kLong, "slack-token"},
    {"xapp-", Tail::kDashed, 30, kLong, "slack-token"},
    {"AIza", Tail::kDashed, 35, 35, "google-api-key"},
    {"GOCSPX-", Tail::kDashed, 24, 40, "google-client-secret"},
    {"ya29.", Tail::kDotted, 40, kLong, "google-access-token"},
    {"sk_live_", Tail::kAlnum, 16, kLong, "stripe-key"},
    {"rk_live_", Tail::kAlnum, 16, kLong, "stripe-key"},
    {"whsec_", Tail::kAlnum, 32, kLong, "stripe-key"},
    {"hf_", Tail::kAlnum, 30, 80, "hugging-face-token"},
    {"npm_", Tail::kAlnum, 36, 80, "npm-token"},
    {"pypi-AgE", Tail::kDashed, 50, kLong, "pypi-token"},
    {"dckr_pat_", Tail::kDashed, 20, 80, "docker-token"},
    {"dop_v1_", Tail::kHex, 64, 64, "digitalocean-token"},
    {"shpat_", Tail::kHex, 32, 32, "shopify-token"},
    {"shpss_", Tail::kHex, 32, 32, "shopify-token"},
    {"gsk_", Tail::kAlnum, 40, 80, "groq-key"},
    {"hvs.", Tail::kDashed, 24, kLong, "vault-token"},
    {"SG.", Tail::kDotted, 60, 80, "sendgrid-key"},
    {"ATATT3xFf", Tail::kDashed, 50, kLong, "atlassian-token"},
    // Written in two pieces, so that this file does not look like a key's beginning itself.
    {"AGE-SECRET-"
     "KEY-1",
     Tail::kUpper, 58, 58, "age-key"},
};

// The tokens that have functions of their own below.
constexpr std::string_view kOtherPrefixes[] = {"eyJ",          "LS0",    "sk-",     "AccountKey",
                                               "SharedAccess", "hooks.", "discord", "Private-"};

// Pairs of first bytes with which a token can begin, a bit for each pair: most words end their examination
// here.
constexpr auto kBeginnings = [] {
  std::array<uint64_t, 1024> bits{};
  const auto add = [&](std::string_view prefix) {
    const auto pair = static_cast<unsigned>(prefix[0]) << 8 | static_cast<unsigned>(prefix[1]);
    bits[pair / 64] |= uint64_t{1} << pair % 64;
  };
  for (const Shape& shape : kShapes) add(shape.prefix);
  for (const std::string_view prefix : kOtherPrefixes) add(prefix);
  return bits;
}();

bool may_begin_token(char first, char second) {
  const unsigned pair =
      static_cast<unsigned>(static_cast<uint8_t>(first)) << 8 | static_cast<uint8_t>(second);
  return (kBeginnings[pair / 64] >> pair % 64 & 1) != 0;
}

bool is_alnum(char c) { return is_word(c) && c != '_'; }

bool belongs(Tail tail, char c) {
  switch (tail) {
    case Tail::kAlnum:
      return is_alnum(c);
    case Tail::kWord:
      return is_word(c);
    case Tail::kDashed:
      return is_base64url(c);
    case Tail::kUpper:
      return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    case Tail::kHex:
      return (c >= 'a' && c <= 'f') || (c >= '0' && c <= '9');
    case Tail::kDotted:
      return is_base64url(c) || c == '.';
  }
  return false;
}

template <class Belongs>
std::string_view run_at(std::string_view window, size_t at, Belongs belongs_to) {
  const std::string_view rest = window.substr(at, kLong + 1);
  const auto end = std::find_if_not(rest.begin(), rest.end(), belongs_to);
  return rest.substr(0, static_cast<size_t>(end - rest.begin()));
}

// "ghp_xxxxxxxx...": the shape is right, but nobody's token repeats a handful of characters.
bool is_dummy(std::string_view tail) { return distinct_bytes(tail) < 6; }

Rule shape_at(std::string_view window, size_t at, bool after_dash) {
  const std::string_view text = window.substr(at);
  for (const Shape& shape : kShapes) {
    if (shape.prefix[0] != text[0] || !text.starts_with(shape.prefix)) continue;
    // A dashed run is examined at its beginning only: "glpat-glpat-glpat-..." must not cost a run for each.
    if (after_dash && (shape.tail == Tail::kDashed || shape.tail == Tail::kDotted)) return std::nullopt;
    const std::string_view tail =
        run_at(window, at + shape.prefix.size(), [&](char c) { return belongs(shape.tail, c); });
    if (tail.size() < shape.least || tail.size() > shape.most) return std::nullopt;
    const char next =
        text.size() > shape.prefix.size() + tail.size() ? text[shape.prefix.size() + tail.size()] : ' ';
    if (tail.size() <= kLong && is_word(next)) return std::nullopt;
    return is_dummy(tail) ? std::nullopt : Rule(shape.rule);
  }
  return std::nullopt;
}

// "sk-...", "sk-proj-...", "sk-ant-...": as many providers write keys. Names with dashes ("sk-folding-cube")
// begin so as well, hence the long run of letters and digits.
Rule sk_key_at(std::string_view window, size_t at) {
  const std::string_view tail = run_at(window, at + 3, is_base64url);
  if (tail.size() < 20 || is_dummy(tail)) return std::nullopt;
  for (size_t begin = 0; begin < tail.size();) {
    const auto run = run_at(tail, begin, is_alnum);
    const bool digits = std::ranges::any_of(run, [](char c) { return c >= '0' && c <= '9'; });
    const bool letters = std::ranges::any_of(run, [](char c) { return c > '9'; });
    if (run.size() >= 20 && digits && letters) return "sk-key";
    begin += run.size() + 1;
  }
  return std::nullopt;
}

// Header and payload are JSON objects in base64url: both begin with `{"`.
Rule web_token_at(std::string_view window, size_t at) {
  size_t end = at;
  for (int part = 0; part < 3; part++) {
    const auto run = run_at(window, end, is_base64url);
    if (part < 2 && !run.starts_with("eyJ")) return std::nullopt;
    if (run.size() > kLong) return part == 0 ? std::nullopt : Rule("json-web-token");
    if (run.size() < 10) return std::nullopt;
    end += run.size();
    if (part < 2 && (end >= window.size() || window[end++] != '.')) return std::nullopt;
  }
  return is_dummy(window.substr(at, end - at)) ? std::nullopt : Rule("json-web-token");
}

// A PEM private key, not its first line alone, that was encoded once more, as in Kubernetes configurations.
Rule encoded_key_at(std::string_view window, size_t at) {
  const std::string_view text = run_at(window, at, is_base64);
  const std::string head = decode_base64(text.substr(0, 80));
  return text.size() >= 80 && head.find("PRIVATE KEY") != head.npos ? Rule("private-key") : std::nullopt;
}

bool is_emulator_key(std::string_view key) { return key.starts_with("Eby8vdM02xNOcqFlqUwJPLlmEtlC"); }

// Azure connection strings. The storage emulator's key is the same for everybody, and published.
Rule azure_key_at(std::string_view window, size_t at) {
  for (const std::string_view name : {"AccountKey=", "SharedAccessKey="}) {
    if (!window.substr(at).starts_with(name)) continue;
    const auto key = run_at(window, at + name.size(), is_base64);
    const size_t padded = at + name.size() + key.size();
    if (key.size() < 42 || padded >= window.size() || window[padded] != '=') return std::nullopt;
    return is_dummy(key) || is_emulator_key(key) ? std::nullopt : Rule("azure-key");
  }
  return std::nullopt;
}

// Addresses that let everybody who knows them post messages.
Rule webhook_at(std::string_view window, size_t at) {
  for (const std::string_view host : {"hooks.slack.com/services/", "discord.com/api/webhooks/"}) {
    if (!window.substr(at).starts_with(host)) continue;
    const auto path =
        run_at(window, at + host.size(), [](char c) { return is_base64url(c) || c == '/'; }).substr(0, 200);
    const size_t slash = path.rfind('/');
    if (slash == path.npos || path.size() < 40 || path.size() - slash <= 20) return std::nullopt;
    return is_dummy(path.substr(slash + 1)) ? std::nullopt : Rule("webhook");
  }
  return std::nullopt;
}

Rule putty_key_at(std::string_view window, size_t at) {
  constexpr std::string_view kLines = "Private-Lines: ";
  if (!window.substr(at).starts_with(kLines)) return std::nullopt;
  const size_t newline = window.substr(at, 64).find('\n');
  if (newline == std::string_view::npos) return std::nullopt;
  return run_at(window, at + newline + 1, is_base64).size() >= 40 ? Rule("private-key") : std::nullopt;
}

}  // namespace

Rule token_at(std::string_view window, size_t at) {
  if (at + 1 >= window.size() || !may_begin_token(window[at], window[at + 1])) return std::nullopt;
  const char before = at > 0 ? window[at - 1] : ' ';
  if (auto rule = shape_at(window, at, before == '-' || before == '.')) return rule;
  const std::string_view text = window.substr(at);
  const bool begins_run = before != '-' && before != '.';
  if (begins_run && text.starts_with("sk-")) return sk_key_at(window, at);
  if (begins_run && text.starts_with("eyJ")) return web_token_at(window, at);
  if (text.starts_with("LS0tLS1CRUdJTi")) return encoded_key_at(window, at);
  if (text[0] == 'A' || text[0] == 'S') return azure_key_at(window, at);
  if (text.starts_with("hooks.") || text[0] == 'd') return webhook_at(window, at);
  return text[0] == 'P' ? putty_key_at(window, at) : std::nullopt;
}

}  // namespace pixellm::secrets
