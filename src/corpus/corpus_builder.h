// Collects the texts of a folder into one file to train on (spec/corpus.md): Python, Markdown, JSON, YAML and
// plain text, in a fixed order, each under a title with its path. Files that hold secrets stay out, and what
// stays out is named. Memory does not grow with the size of a file, only with the number of files (their
// statistics). Thread-safe: calls share nothing.
//
//   CorpusOptions options{.output = "corpus.txt", .stats = "corpus.json"};
//   options.on_left_out = [](const LeftOut& l) { ... };
//   auto summary = PIXELLM_TRY(build_corpus("project", options));
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "base/error.h"
#include "corpus/left_out.h"

namespace pixellm {

struct CorpusOptions {
  std::string output = {};    // "-": standard output
  std::string stats = {};     // empty: none
  bool keep_secrets = false;  // no secret filter
  std::function<void(uint64_t done_bytes, uint64_t total_bytes)> progress = {};
  std::function<void(const LeftOut&)> on_left_out = {};  // in the walk's order
};

struct CorpusSummary {
  uint64_t files = 0, characters = 0, lines = 0;  // of the texts, as in the statistics
  uint64_t bytes = 0;                             // of the whole output
  uint64_t unreadable = 0;                        // left out because the system refused them
};

// Writes the corpus, and the statistics if asked for. Both files are as before on any error, and left alone
// when there is nothing to collect (kNotFound). kInvalidArgument when output and statistics are the same
// file, or one of them would replace a text of the folder that is not empty and no earlier output.
Result<CorpusSummary> build_corpus(const std::string& folder, const CorpusOptions& options);

}  // namespace pixellm
