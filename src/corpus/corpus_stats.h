// Statistics of a corpus and their JSON file (spec/corpus.md, section 5): the keys, order and layout of the
// original.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace pixellm {

struct FileStats {
  std::string path;
  std::string suffix;
  uint64_t characters = 0;  // code points
  uint64_t lines = 0;       // newlines + 1
};

class CorpusStats {
 public:
  void add(FileStats file);
  uint64_t files() const { return files_.size(); }
  uint64_t characters() const { return total_.characters; }
  uint64_t lines() const { return total_.lines; }

  // Appends the JSON text, piece by piece.
  Result<void> write(AtomicFile& out) const;

 private:
  struct Sum {
    uint64_t files = 0, characters = 0, lines = 0;
  };
  Sum total_;
  std::vector<std::pair<std::string, Sum>> by_suffix_;  // in the order of first appearance
  std::vector<FileStats> files_;
};

}  // namespace pixellm
