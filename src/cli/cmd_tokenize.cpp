// pixellm tokenize: the ids of a file's text.
#include <cstdio>
#include <string>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/runtime.h"

namespace pixellm::cli {
namespace {

constexpr uint64_t kMaxTextBytes = uint64_t{1} << 30;

std::string json_array(const std::vector<TokenId>& ids) {
  std::string out = "[";
  for (const TokenId id : ids) out += (out.size() > 1 ? ", " : "") + std::to_string(id);
  return out + "]";
}

}  // namespace

int cmd_tokenize(int argc, char** argv) {
  CLI::App app("Prints the token ids of a file as a JSON array.");
  std::string path, file;
  bool special = false, count = false, json = false;
  ModelFlags flags;
  app.add_option("MODEL", path, "picture of a model")->required();
  app.add_option("FILE", file, "text, any bytes (-: standard input)")->required();
  app.add_flag("--special", special, "recognise special tokens in the text");
  app.add_flag("--count", count, "print only how many there are");
  app.add_flag("--json", json, "JSON, which the output is anyway");
  flags.add_to(app);
  app.footer(
      "No start token is added. As in llama.cpp, byte-level vocabularies read what is not UTF-8 as U+FFFD;\n"
      "characters that the vocabulary has no token for are dropped, with a warning.\n\n"
      "Example:\n  pixellm tokenize model.png README.md --count");
  if (auto status = parse(app, argc, argv)) return *status;
  const auto text = read_file(file, kMaxTextBytes);
  if (!text) return report(text.error());
  const auto tokenizer = open_tokenizer(path, flags);
  if (!tokenizer) return report(tokenizer.error());
  const auto ids =
      encode_text(*tokenizer, {reinterpret_cast<const char*>(text->data()), text->size()}, special);
  const std::string out = (count ? std::to_string(ids.size()) : json_array(ids)) + "\n";
  std::fwrite(out.data(), 1, out.size(), stdout);
  return 0;
}

}  // namespace pixellm::cli
