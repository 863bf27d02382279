#include "cli/commands.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

namespace pixellm::cli {
namespace {

constexpr Command kCommands[] = {
    {"import", "store a GGUF file as a picture", cmd_import},
    {"export", "write the GGUF file again, bit for bit", cmd_export},
    {"info", "show what a picture or a GGUF file holds", cmd_info},
    {"verify", "check every bit of a picture and name the damage", cmd_verify},
    {"run", "continue a prompt", cmd_run},
    {"chat", "talk with a model", cmd_chat},
    {"tokenize", "print the token ids of a text", cmd_tokenize},
    {"detokenize", "write the bytes of token ids", cmd_detokenize},
    {"logits", "write the logits of given tokens as a NumPy file", cmd_logits},
    {"eval", "measure how well a model predicts a text", cmd_eval},
    {"bench", "measure speed beside the machine's limits", cmd_bench},
    {"thumbnail", "draw a small picture of a model", cmd_thumbnail},
};

// Edits (insert, delete, replace) that turn a into b.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 1; i <= a.size(); i++) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); j++) {
      const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::span<const Command> commands() { return kCommands; }

const Command* find_similar(std::string_view name) {
  const auto distance = [&](const Command& c) { return edit_distance(name, c.name); };
  const auto best = std::ranges::min_element(kCommands, {}, distance);
  return distance(*best) <= std::max<size_t>(1, best->name.size() / 3) ? best : nullptr;
}

}  // namespace pixellm::cli
