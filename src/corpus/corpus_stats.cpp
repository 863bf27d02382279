#include "corpus/corpus_stats.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/bytes.h"

namespace pixellm {
namespace {

constexpr size_t kPiece = size_t{1} << 20;

// As Python's json writes a string: everything but ASCII escaped.
std::string quoted(const std::string& text) { return nlohmann::json(text).dump(-1, ' ', true); }

Bytes bytes_of(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

}  // namespace

void CorpusStats::add(FileStats file) {
  auto sum = std::ranges::find(by_suffix_, file.suffix, &std::pair<std::string, Sum>::first);
  if (sum == by_suffix_.end()) sum = by_suffix_.insert(sum, {file.suffix, {}});
  for (Sum* s : {&total_, &sum->second}) {
    s->files++;
    s->characters += file.characters;
    s->lines += file.lines;
  }
  files_.push_back(std::move(file));
}

Result<void> CorpusStats::write(AtomicFile& out) const {
  std::string text =
      fmt::format("{{\n  \"total_files\": {},\n  \"total_chars\": {},\n  \"total_lines\": {},\n", files(),
                  characters(), lines());
  text += "  \"by_extension\": {";
  for (size_t i = 0; i < by_suffix_.size(); i++) {
    const auto& [suffix, sum] = by_suffix_[i];
    text +=
        fmt::format("{}\n    {}: {{\n      \"files\": {},\n      \"chars\": {},\n      \"lines\": {}\n    }}",
                    i > 0 ? "," : "", quoted(suffix), sum.files, sum.characters, sum.lines);
  }
  text += fmt::format("{}}},\n  \"files\": [", by_suffix_.empty() ? "" : "\n  ");
  for (size_t i = 0; i < files_.size(); i++) {
    const FileStats& f = files_[i];
    text += fmt::format(
        "{}\n    {{\n      \"path\": {},\n      \"extension\": {},\n      \"chars\": {},\n      \"lines\": "
        "{}\n    }}",
        i > 0 ? "," : "", quoted(f.path), quoted(f.suffix), f.characters, f.lines);
    if (text.size() < kPiece) continue;
    PIXELLM_CHECK(out.write(bytes_of(text)));
    text.clear();
  }
  text += files_.empty() ? "]\n}" : "\n  ]\n}";
  return out.write(bytes_of(text));
}

}  // namespace pixellm
