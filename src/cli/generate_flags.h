// The flags of generation that `run` and `chat` share.
#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/common.h"
#include "infer/generate.h"

namespace pixellm::cli {

struct GenerateFlags {
  GenerateOptions options;  // defaults shown in the help; filled by parsing and finish()
  std::optional<uint64_t> seed;
  std::vector<std::string> bias;  // "ID=V"
  std::string system;
  std::optional<std::string> template_name;
  SessionOptions session;  // batch: set by finish()
  std::optional<std::string> speculate, draft;  // "ngram[:N]"; a model's picture
  uint32_t longest_draft = 0;                   // N; 0: no look-up

  void add_to(CLI::App& app);

  // After parsing: reads --bias and --speculate and checks ranges; an error is wrong usage. Without --seed, and where chance
  // plays a part, draws a seed and says it on stderr.
  Result<void> finish();
};

}  // namespace pixellm::cli
