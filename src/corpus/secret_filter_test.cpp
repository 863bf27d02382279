// Every rule with texts that it finds and texts that it must not. The secrets are made here, at run time,
// from pieces and a generator: nothing in this file has the shape of one.
#include "corpus/secret_filter.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "corpus/secret_rules.h"

namespace pixellm {
namespace {

constexpr std::string_view kUpperLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", kLowerHex = "0123456789abcdef";
const std::string kAlnum = "0123456789abcdefghijklmnopqrstuvwxyz" + std::string(kUpperLetters);

// Characters as a key generator draws them, the same for every run; the first are of each kind.
std::string random_text(size_t size, std::string_view alphabet = kAlnum, unsigned seed = 7) {
  std::mt19937 source(seed);
  std::string out;
  for (size_t i = 0; i < size; i++) out += alphabet[source() % alphabet.size()];
  return out;
}

std::string base64_text(size_t size) { return random_text(size, kAlnum + "+/"); }

std::string encode_base64(std::string_view text) {
  const std::string digits = std::string(kUpperLetters) + "abcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    bits = bits << 8 | static_cast<uint8_t>(c);
    for (count += 8; count >= 6; count -= 6) out += digits[bits >> (count - 6) & 63];
  }
  if (count > 0) out += digits[bits << (6 - count) & 63];
  return out;
}

std::optional<SecretFinding> scan(std::string_view text, TextKind kind = TextKind::kOther) {
  SecretScanner scanner(kind);
  scanner.push(text);
  return scanner.finish();
}

std::string rule_in(std::string_view text, TextKind kind = TextKind::kOther) {
  const auto found = scan(text, kind);
  return found ? std::string(found->rule) : "none";
}

std::string key_block(std::string_view kind, std::string_view newline = "\n", size_t body = 64) {
  const std::string dashes(5, '-');
  std::string out = dashes + "BEGIN " + std::string(kind) + dashes;
  for (unsigned i = 0; i < 3; i++) out += std::string(newline) + base64_text(body);
  return out + std::string(newline) + dashes + "END " + std::string(kind) + dashes;
}

// ---- tokens with a shape

struct ShapeCase {
  std::string rule, prefix, tail;
};

std::vector<ShapeCase> shape_cases() {
  const std::string upper = std::string(kUpperLetters) + "234567";
  return {
      {"aws-access-key", std::string("AK") + "IA", random_text(16, upper)},
      {"aws-access-key", std::string("AS") + "IA", random_text(16, upper)},
      {"github-token", std::string("gh") + "p_", random_text(36)},
      {"github-token", std::string("gh") + "o_", random_text(36)},
      {"github-token", std::string("gh") + "s_", random_text(36)},
      {"github-token", std::string("github") + "_pat_", random_text(22) + "_" + random_text(59)},
      {"gitlab-token", std::string("gl") + "pat-", random_text(20)},
      {"slack-token", std::string("xo") + "xb-", "123456789012-1234567890123-" + random_text(24)},
      {"slack-token", std::string("xo") + "xp-", "123456789012-1234567890123-" + random_text(32)},
      {"google-api-key", std::string("AI") + "za", random_text(35)},
      {"google-client-secret", std::string("GOC") + "SPX-", random_text(28)},
      {"google-access-token", std::string("ya") + "29.", random_text(60)},
      {"stripe-key", std::string("sk") + "_live_", random_text(24)},
      {"stripe-key", std::string("rk") + "_live_", random_text(24)},
      {"sk-key", std::string("sk") + "-", random_text(48)},
      {"sk-key", std::string("sk") + "-proj-", random_text(64)},
      {"sk-key", std::string("sk") + "-ant-api03-", random_text(90)},
      {"sk-key", std::string("sk") + "-or-v1-", random_text(64, kLowerHex)},
      {"hugging-face-token", std::string("hf") + "_", random_text(34)},
      {"npm-token", std::string("np") + "m_", random_text(36)},
      {"pypi-token", std::string("py") + "pi-AgE", random_text(120)},
      {"docker-token", std::string("dckr") + "_pat_", random_text(27)},
      {"digitalocean-token", std::string("dop") + "_v1_", random_text(64, kLowerHex)},
      {"shopify-token", std::string("shp") + "at_", random_text(32, kLowerHex)},
      {"vault-token", std::string("hv") + "s.", random_text(24)},
      {"sendgrid-key", std::string("S") + "G.", random_text(22) + "." + random_text(43)},
      {"age-key", std::string("AGE-SEC") + "RET-KEY-1", random_text(58, upper)},
      {"json-web-token", std::string("ey") + "J",
       random_text(17) + ".eyJ" + random_text(60) + "." + random_text(43)},
  };
}

TEST(SecretScanner, FindsTokensByTheirShapeWhereverTheyStand) {
  for (const ShapeCase& c : shape_cases()) {
    const std::string token = c.prefix + c.tail;
    for (const std::string& text :
         {token, "key " + token + "\n", "'" + token + "'", "f(\"" + token + "\")", "x=" + token + ";",
          "a\\n" + token + "\\n", "<" + token + ">", "https://host/?t=" + token + "&x=1"})
      EXPECT_EQ(rule_in(text), c.rule) << c.prefix << " in " << text;
  }
}

TEST(SecretScanner, TokensCutShortExtendedOrRepeatingAreNone) {
  for (const ShapeCase& c : shape_cases()) {
    EXPECT_EQ(rule_in(c.prefix), "none") << c.prefix;
    EXPECT_EQ(rule_in(c.prefix + c.tail.substr(0, 8)), "none") << c.prefix;
    EXPECT_EQ(rule_in(c.prefix + std::string(c.tail.size(), 'x')), "none") << c.prefix;
    EXPECT_EQ(rule_in("word" + c.prefix + c.tail), "none") << c.prefix;
  }
  EXPECT_EQ(rule_in(std::string("AK") + "IA" + random_text(17, kUpperLetters)), "none");
  EXPECT_EQ(rule_in(std::string("sk") + "-folding-cube sk-estimator-doc-link-with-many-parts-2x"), "none");
  EXPECT_EQ(rule_in(std::string("hf") + "_transformers_model_with_a_very_long_name_2024"), "none");
  EXPECT_EQ(rule_in("npm_config_registry_of_the_whole_organisation_2"), "none");
}

TEST(SecretScanner, FindsPrivateKeys) {
  for (const std::string kind : {"PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "OPENSSH PRIVATE KEY",
                                 "ENCRYPTED PRIVATE KEY", "DSA PRIVATE KEY"}) {
    EXPECT_EQ(rule_in(key_block(kind)), "private-key") << kind;
    EXPECT_EQ(rule_in("{\"key\": \"" + key_block(kind, "\\n") + "\\n\"}"), "private-key") << kind;
    EXPECT_EQ(rule_in("x = (\"" + key_block(kind, "\\n\"\n     \"") + "\")", TextKind::kPython),
              "private-key")
        << kind;
    EXPECT_EQ(rule_in("# " + key_block(kind, "\n# ")), "private-key") << kind;
  }
  const std::string dashes(5, '-');
  const std::string armour = dashes + "BEGIN PGP PRIVATE KEY BLOCK" + dashes + "\nVersion: GnuPG v2\n\n";
  EXPECT_EQ(rule_in(armour + base64_text(64)), "private-key");
  const std::string encrypted =
      dashes + "BEGIN RSA PRIVATE KEY" + dashes + "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES,00\n\n";
  EXPECT_EQ(rule_in(encrypted + base64_text(64)), "private-key");
  EXPECT_EQ(rule_in("data: " + encode_base64(key_block("RSA PRIVATE KEY"))), "private-key");
  EXPECT_EQ(rule_in("Private-Lines: 8\n" + base64_text(64)), "private-key");
}

TEST(SecretScanner, FindsKeyBlocksOfAFewCharacters) {
  const std::string dashes(5, '-');
  const std::string head = dashes + "BEGIN PRIVATE KEY" + dashes, tail = dashes + "END PRIVATE KEY" + dashes;
  for (const std::string body : {"MC4CAQ", "aB3d", "q83vEj==", "MC4CAQAwBQ"}) {
    EXPECT_EQ(rule_in(head + "\n" + body + "\n" + tail), "private-key") << body;
    EXPECT_EQ(rule_in("k = \"" + head + "\\n" + body + "\\n" + tail + "\"", TextKind::kPython), "private-key")
        << body;
    EXPECT_EQ(rule_in(head + "\n" + body + "\nand so on"), "none") << body;
    EXPECT_EQ(rule_in(head + "\n" + body + "...\n" + tail), "none") << body;
  }
  for (const std::string body :
       {"", "abc", "key", "base64", "contents", "PRIVATEKEY", "AAAAAAAA", "yourKey", "KEYDATA"})
    EXPECT_EQ(rule_in(head + "\n" + body + "\n" + tail), "none") << body;
}

TEST(SecretScanner, WritingAboutPrivateKeysIsNoSecret) {
  const std::string dashes(5, '-');
  const std::string head = dashes + "BEGIN PRIVATE KEY" + dashes, tail = dashes + "END PRIVATE KEY" + dashes;
  EXPECT_EQ(rule_in("if text.startswith(\"" + head + "\"):\n    return unencrypted_private_key_of(text)\n"),
            "none");
  EXPECT_EQ(rule_in(head + "\n...\n" + tail), "none");
  EXPECT_EQ(rule_in(head + "\n<your key>\n" + tail), "none");
  EXPECT_EQ(rule_in(head + "\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n" + tail), "none");
  EXPECT_EQ(rule_in(key_block("CERTIFICATE")), "none");
  EXPECT_EQ(rule_in(key_block("PUBLIC KEY")), "none");
  EXPECT_EQ(rule_in(encode_base64(key_block("CERTIFICATE"))), "none");
  EXPECT_EQ(rule_in(encode_base64(head + "\n")), "none");
}

TEST(SecretScanner, FindsConnectionStringsAndWebhooks) {
  const std::string key = base64_text(86) + "==";
  EXPECT_EQ(rule_in("AccountName=x;AccountKey=" + key + ";EndpointSuffix=y"), "azure-key");
  EXPECT_EQ(rule_in("Endpoint=sb://x;SharedAccessKey=" + base64_text(43) + "=\n"), "azure-key");
  EXPECT_EQ(rule_in("AccountKey=<your key>;"), "none");
  EXPECT_EQ(rule_in("AccountKey=" + std::string(86, 'A') + "=="), "none");
  const std::string hook = std::string("https://hooks.slack") + ".com/services/T01234567/B01234567/";
  EXPECT_EQ(rule_in(hook + random_text(24)), "webhook");
  EXPECT_EQ(rule_in(hook + "XXXXXXXXXXXXXXXXXXXXXXXX"), "none");
  EXPECT_EQ(rule_in("123456789:AA" + random_text(33)), "bot-token");
  EXPECT_EQ(rule_in("12:AA" + random_text(33)), "none");
}

// ---- secrets by their place

TEST(SecretScanner, FindsPasswordsInUrls) {
  for (const std::string scheme : {"https", "postgres", "mongodb+srv", "redis", "amqp"})
    EXPECT_EQ(rule_in("x " + scheme + "://ann:" + "9Tq" + "z!w7" + "@db.host:5432/x"), "url-password")
        << scheme;
  EXPECT_EQ(rule_in("redis://:" + random_text(20) + "@host"), "url-password");
  EXPECT_EQ(rule_in("https://ann:" + std::string("hunt") + "er2@host"), "url-password");
  for (const std::string text :
       {"https://host:8080/a@b", "https://user:password@host", "https://user:pass@host",
        "https://ann:ann@host", "https://${USER}:${PASSWORD}@host", "https://{user}:{password}@host",
        "https://%s:%s@host", "https://user:<password>@host", "https://user:********@host",
        "https://user:your-password-1@host", "(\\w+)://([^:]+):([^@]+)@(.*)", "https://user@host",
        "mailto:a@b.c", "see http://a/ and mail x:y1Z@host"})
    EXPECT_EQ(rule_in(text), "none") << text;
}

TEST(SecretScanner, FindsAssignedSecrets) {
  const std::string value = random_text(32), hex = random_text(32, kLowerHex);
  for (const std::string name :
       {"password", "DB_PASSWORD", "api_key", "API_KEY", "apiKey", "secret", "client_secret", "SECRET_KEY",
        "secretKey", "aws_secret_access_key", "auth_token", "GITHUB_TOKEN", "access-token", "_authToken",
        "api_key_prod", "token2", "encryption_key", "passphrase"}) {
    for (const std::string& text :
         {name + " = \"" + value + "\"", name + "='" + hex + "'", "\"" + name + "\": \"" + value + "\"",
          "config['" + name + "'] = '" + value + "'", name + ": str = \"" + value + "\"",
          "connect(" + name + "=b'" + value + "')", "\\\"" + name + "\\\": \\\"" + value + "\\\"",
          name + " := `" + value + "`", name + " => '" + value + "'",
          "x." + name + " = '''" + value + "'''"}) {
      EXPECT_EQ(rule_in(text, TextKind::kPython), "assigned-secret") << text;
      EXPECT_EQ(rule_in(text), "assigned-secret") << text;
    }
    for (const std::string& text :
         {name + ": " + value, "export " + name + "=" + hex, name + "=" + value + "==\n"}) {
      EXPECT_EQ(rule_in(text), "assigned-secret") << text;
      EXPECT_EQ(rule_in(text, TextKind::kPython), "none") << text;
    }
  }
  EXPECT_EQ(rule_in("token = '" + (std::string("gh") + "p_") + random_text(36) + "'"),
            "github-token");  // the closer rule
  EXPECT_EQ(rule_in("aws_secret_access_key = " + base64_text(40)), "assigned-secret");
  EXPECT_EQ(rule_in("password: '" + std::string("Tr0") + "ub4dor&3" + "'"), "assigned-password");
  EXPECT_EQ(rule_in("DB_PASSWORD=" + std::string("kX9") + "!mQ2z"), "assigned-password");
}

TEST(SecretScanner, PlaceholdersAndOrdinaryValuesAreNoSecrets) {
  const std::string value = random_text(32);
  for (const std::string text : {"password = \"changeme\"",
                                 "password = \"xxxxxxxxxxxxxxxxxxxxxxxx\"",
                                 "api_key = \"<your key>\"",
                                 "api_key = \"your-api-key-goes-here-123\"",
                                 "token = \"example-token-1234-abcd\"",
                                 "token = \"${CI_JOB_TOKEN_2}\"",
                                 "secret: $VAULT_SECRET_PATH_1",
                                 "password: {{ vault_db_password_2 }}",
                                 "password = os.environ['DB_PASSWORD_1']",
                                 "password = get_password_from_keyring_2(user)",
                                 "token = \"\"",
                                 "token = None",
                                 "secret = \"my_secret_name_v2\"",
                                 "token = \"<|begin_of_text|>\"",
                                 "eos_token: \"</s>\"",
                                 "token = 'abcdefghijklmnop0123456789'",
                                 "api_key = '0123456789abcdef'",
                                 "password = \"correct horse battery staple 1\"",
                                 "token = \"SomeLongClassName2\"",
                                 "password = 'password123'",
                                 "password: \"Enter your password 1\"",
                                 "secret_name = \"projects/42/secrets/name\"",
                                 "credentials = \"https://host.example/path/v1/x9\"",
                                 "next_page_token = \"CAUQAA9kXk2mLq3nZ8rT\"",
                                 "PASS: TestAddrStringAllocs/ipv4",
                                 "publicKeyToken=\"1fc8b3b9a1e18e3b\"",
                                 "password: PassWordMustBeAtLeast6Chars"})
    EXPECT_EQ(rule_in(text), "none") << text;
  for (const std::string name :
       {"sha256", "token_sha256", "public_key", "digest", "integrity", "id", "tokens", "key",
        "AWS::ApiGateway::ApiKey", "max_token_count", "tokenizer", "password_hash"})
    EXPECT_EQ(rule_in("\"" + name + "\": \"" + value + "\""), "none") << name;
  EXPECT_EQ(rule_in("if token != \"" + value + "\""), "none");
}

TEST(SecretScanner, FindsWeakPasswordsWhereOneIsCertainToStand) {
  const std::string mixed = std::string("hunt") + "er2", word = std::string("letm") + "ein";
  for (const std::string& value :
       {mixed, word, std::string("Sum") + "mer2024", std::string("drag") + "onfly!"}) {
    for (const std::string& text :
         {"password = \"" + value + "\"", "'db_password': '" + value + "'", "connect(passwd='" + value + "')",
          "PASSPHRASE: str = \"" + value + "\"", "\"password\": \"" + value + "\""})
      EXPECT_EQ(rule_in(text, TextKind::kPython), "assigned-password") << text;
    for (const std::string& text : {"DB_PASSWORD=" + value, "export PGPASSWORD=" + value + "\n",
                                    "mysql --password=" + value + " -u ann", "PASSWORD=" + value + ";"}) {
      EXPECT_EQ(rule_in(text), "assigned-password") << text;
      EXPECT_EQ(rule_in(text, TextKind::kPython), "none") << text;
    }
  }
  EXPECT_EQ(rule_in("db:\n  - password: " + mixed + "\n"), "assigned-password");
  EXPECT_EQ(rule_in("db:\n  password: " + word + "\n"), "none") << "it may be prose";
  EXPECT_EQ(rule_in("The password: " + mixed + "\n"), "none");
}

TEST(SecretScanner, OrdinaryCodeAboutPasswordsIsNoSecret) {
  for (const std::string text : {"password = get_password()",
                                 "password = getpass.getpass()",
                                 "password: str",
                                 "def f(password: str = \"\"):",
                                 "password = \"\"",
                                 "PASSWORD = os.environ[\"PASSWORD\"]",
                                 "password = \"<password>\"",
                                 "password = \"secret\"",
                                 "password = \"wrongpassword\"",
                                 "password='test1234'",
                                 "\"password\": \"string\"",
                                 "\"password\": \"Kennwort\"",
                                 "\"password\": \"required\"",
                                 "password = 'hashed_password'",
                                 "CHALLENGE_PASSWORD: \"challengePassword\"",
                                 "password = \"challengepassword\"",
                                 "password: \"SecretStr\"",
                                 "password = 'PASSWORD_HASHER'",
                                 "password = \"sha256\"",
                                 "connect(user=user, password=usersecretword, host=host)",
                                 "password=self.password,",
                                 "pwd = \"/home/ann/x1\"",
                                 "password = 'user.password1'",
                                 "password = \"123456\"",
                                 "password = \"20240131\"",
                                 "Password: minimum of six",
                                 "token = \"tokenizer1\"",
                                 "secret_word = \"mellon22\"",
                                 "password_hint = \"mellon22\"",
                                 "passwd:         files systemd",
                                 "input[type=\"password\"]",
                                 "--password PASSWORD",
                                 "password=$PASSWORD",
                                 "password=${DB_PASSWORD2}",
                                 "if not password:"})
    for (const TextKind kind : {TextKind::kPython, TextKind::kOther})
      EXPECT_EQ(rule_in(text, kind), "none") << text;
}

TEST(SecretScanner, FindsLoginsInHeaders) {
  EXPECT_EQ(rule_in("Authorization: Bearer " + random_text(40)), "authorization-header");
  EXPECT_EQ(rule_in("headers={\"Authorization\": \"token " + random_text(40) + "\"}", TextKind::kPython),
            "authorization-header");
  EXPECT_EQ(rule_in("-H 'Authorization: Basic " + encode_base64(std::string("ann:9Tq") + "z!w7pL") + "'"),
            "authorization-header");
  EXPECT_EQ(rule_in("\"auth\": \"" + encode_base64("ann:" + random_text(20)) + "\""), "registry-login");
  EXPECT_EQ(rule_in("Authorization: Bearer $TOKEN"), "none");
  EXPECT_EQ(rule_in("Authorization: Bearer <token>"), "none");
  EXPECT_EQ(rule_in("Authorization: Basic " + encode_base64("user:password")), "none");
}

// ---- positions, pieces, time

TEST(SecretScanner, NamesTheLineOfTheFirstSecret) {
  const std::string token = std::string("gh") + "p_" + random_text(36);
  EXPECT_EQ(scan(token)->line, 1u);
  EXPECT_EQ(scan("\n\n  " + token + "\n" + token)->line, 3u);
  EXPECT_EQ(scan(std::string(500'000, '\n') + token)->line, 500'001u);
  EXPECT_EQ(scan("a\nkey:\n" + key_block("PRIVATE KEY"))->line, 3u);
  EXPECT_FALSE(scan(""));
}

TEST(SecretScanner, FindsTheSameHoweverTheTextIsCut) {
  for (const ShapeCase& c : shape_cases()) {
    for (const size_t before : {0uz, 1uz, 100uz, 65'000uz, 65'536uz, 131'070uz}) {
      const std::string text =
          std::string(before, before % 2 == 0 ? ' ' : '\n') + c.prefix + c.tail + "\nmore\n";
      const auto whole = scan(text);
      ASSERT_TRUE(whole) << c.prefix;
      for (const size_t piece : {1uz, 7uz, 4096uz, 65'535uz, 70'000uz}) {
        if (piece == 1 && before > 100) continue;
        SecretScanner scanner(TextKind::kOther);
        for (size_t at = 0; at < text.size(); at += piece)
          scanner.push(std::string_view(text).substr(at, piece));
        const auto found = scanner.finish();
        ASSERT_TRUE(found) << c.prefix << " " << before << " " << piece;
        EXPECT_EQ(found->line, whole->line);
        EXPECT_EQ(found->rule, whole->rule);
      }
    }
  }
}

// Texts made to have every rule begin again and again: a scanner whose work grows with the square of a line
// would not come to an end here within the test's time limit.
TEST(SecretScanner, HostileTextsTakeLinearTime) {
  const std::string dashes(5, '-');
  const std::string head = dashes + "BEGIN PRIVATE KEY" + dashes;
  for (const std::string& unit : {std::string("a"),
                                  std::string("eyJ"),
                                  std::string("eyJa."),
                                  std::string("eyJa-"),
                                  std::string("gl") + "pat-",
                                  std::string("sk-"),
                                  std::string("sk-a "),
                                  head,
                                  head + "\n",
                                  head + "\nA: ",
                                  head + "\naB3d\n",
                                  std::string("password='hunte"),
                                  std::string(" - password: a1\n"),
                                  std::string("pwd="),
                                  std::string("pwd:"),
                                  std::string("pwd='"),
                                  std::string("pwd=\"pwd='"),
                                  std::string("pwd(\\"),
                                  std::string("x://a:"),
                                  std::string("://a:b@"),
                                  std::string("::::"),
                                  std::string("===="),
                                  std::string("----"),
                                  std::string("a: "),
                                  std::string("LS0tLS1CRUdJTi"),
                                  std::string("Authorization: Bearer "),
                                  std::string("auth: "),
                                  std::string("1234567890:AA"),
                                  std::string("AccountKey="),
                                  std::string("hooks.slack.com/services/"),
                                  std::string("S") + "G."}) {
    SecretScanner scanner(TextKind::kOther);
    std::string piece;
    while (piece.size() < 100'000) piece += unit;
    for (int i = 0; i < 20; i++) scanner.push(piece);
    scanner.finish();
  }
}

// ---- names

TEST(SecretFileRule, KnowsNamesThatHoldSecrets) {
  for (const std::string_view name : {".env",
                                      ".env.json",
                                      ".env.production",
                                      ".ENV.txt",
                                      "prod.env",
                                      "local.env.yaml",
                                      "id_rsa",
                                      "id_ed25519.txt",
                                      "id_ecdsa",
                                      "server.pem",
                                      "server.key",
                                      "server.key.txt",
                                      "cert.p12",
                                      "x.pfx",
                                      "store.jks",
                                      ".netrc",
                                      ".npmrc",
                                      ".pypirc",
                                      ".pgpass",
                                      ".htpasswd",
                                      "credentials",
                                      "credentials.json",
                                      "Credentials.yaml",
                                      "credentials-prod.json",
                                      "client_secret_42.json",
                                      "secrets.yaml",
                                      "secrets.json",
                                      "secrets.txt",
                                      "secret.json",
                                      "secrets.prod.yaml",
                                      ".git-credentials"})
    EXPECT_TRUE(secret_file_rule(name)) << name;
}

TEST(SecretFileRule, LeavesProgramsManualsAndTemplatesAlone) {
  for (const std::string_view name : {"secrets.py",
                                      "test_secrets.py",
                                      "credentials.py",
                                      "credentials.md",
                                      "environment.yaml",
                                      "env.py",
                                      "envs.json",
                                      "README.md",
                                      ".env.example.json",
                                      "secrets.sample.yaml",
                                      "credentials.template.json",
                                      "keys.json",
                                      "key.txt",
                                      "tokens.json",
                                      "my_secrets_guide.txt",
                                      "public.txt",
                                      "config.json",
                                      "id_rsa_howto.txt",
                                      "",
                                      ".",
                                      ".json"})
    EXPECT_FALSE(secret_file_rule(name)) << name;
}

// ---- literals

TEST(SecretLiterals, GeneratedValuesAreRandomAndWordsAreNot) {
  size_t found = 0;
  for (unsigned seed = 0; seed < 1000; seed++) {
    found += secrets::is_random(random_text(32, kAlnum, seed)) ? 1 : 0;
    found += secrets::is_random(random_text(32, kLowerHex, seed)) ? 1 : 0;
  }
  EXPECT_GT(found, 1980u);
  for (const std::string_view words :
       {"authentication_provider_name", "AuthenticationProviderFactory2", "com.company.product.Service1",
        "application/json;v=2", "us-east-1-production-cluster", "2024-01-01T00:00:00",
        "aaaaaaaaaaaaaaaaaaaa1"})
    EXPECT_FALSE(secrets::is_random(words)) << words;
}

TEST(SecretLiterals, Base64IsReadUpToItsEnd) {
  EXPECT_EQ(secrets::decode_base64(encode_base64("any bytes \x01\xff")), "any bytes \x01\xff");
  EXPECT_EQ(secrets::decode_base64("QUJD*REVG"), "ABC");
  EXPECT_EQ(secrets::decode_base64(""), "");
}

}  // namespace
}  // namespace pixellm
