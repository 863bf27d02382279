// pixellm detokenize: the bytes of token ids.
#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/runtime.h"

namespace pixellm::cli {
namespace {

constexpr uint64_t kMaxJsonBytes = uint64_t{1} << 30;

Result<std::vector<TokenId>> read_ids(const std::string& path, uint32_t vocab_size) {
  const auto text = PIXELLM_TRY(read_file(path, kMaxJsonBytes));
  const auto json = nlohmann::json::parse(text.begin(), text.end(), nullptr, false);
  if (!json.is_array())
    return fail(ErrorCode::kCorrupt, printable(path) + ": expected a JSON array of token ids");
  std::vector<TokenId> ids;
  ids.reserve(json.size());
  for (size_t i = 0; i < json.size(); i++) {
    const auto& value = json[i];
    if (!value.is_number_unsigned() || value.get<uint64_t>() >= vocab_size)
      return fail(
          ErrorCode::kInvalidArgument,
          fmt::format("{}: element {} is {}, expected a token id from 0 to {}", printable(path), i,
                      value.is_structured() ? value.type_name() : value.dump(-1, ' ', true), vocab_size - 1));
    ids.push_back(value.get<TokenId>());
  }
  return ids;
}

}  // namespace

int cmd_detokenize(int argc, char** argv) {
  CLI::App app("Writes the bytes of token ids to standard output, nothing added.");
  std::string path, file;
  bool special = false;
  ModelFlags flags;
  app.add_option("MODEL", path, "picture of a model")->required();
  app.add_option("IDS.json", file, "JSON array of token ids (-: standard input)")->required();
  app.add_flag("--special", special, "write the texts of special tokens too");
  flags.add_to(app);
  app.footer("Example:\n  pixellm tokenize model.png a.txt | pixellm detokenize model.png -");
  if (auto status = parse(app, argc, argv)) return *status;
  const auto tokenizer = open_tokenizer(path, flags);
  if (!tokenizer) return report(tokenizer.error());
  const auto ids = read_ids(file, tokenizer->vocab_size());
  if (!ids) return report(ids.error());
  const std::string bytes = tokenizer->decode(*ids, special);
  std::fwrite(bytes.data(), 1, bytes.size(), stdout);
  return 0;
}

}  // namespace pixellm::cli
