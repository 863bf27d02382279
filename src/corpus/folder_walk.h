// Walks a folder as a corpus does (spec/corpus.md, section 2): recursively, sorted by path components, never
// through a symbolic link, below skip-listed folders not at all. Each folder stays open while it is walked
// and names are looked up in it, so that a path exchanged meanwhile leads nowhere else. Memory grows with the
// largest folder, not with the tree.
//
//   PIXELLM_CHECK(walk_folder("src", {.on_file = [&](const WalkedFile& f) { ... return Result<void>{}; },
//                                     .on_left_out = [](LeftOut) {}}));
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "corpus/left_out.h"

namespace pixellm {

// A regular file whose name ends with one of the corpus's suffixes. Views live as long as the call.
struct WalkedFile {
  int folder;  // descriptor to open `name` in
  const std::string& name;
  const std::string& path;  // relative to the walk's root
  std::string_view suffix;  // ".py", part of `name`
  uint64_t size;            // when it was looked up
};

struct WalkVisitor {
  std::function<Result<void>(const WalkedFile&)> on_file;  // an error ends the walk
  std::function<void(LeftOut)> on_left_out;                // what would have been taken otherwise
  std::function<void(const std::string& path, const std::string& name)> on_other = {};  // other regular files
};

// kNotFound, kInvalidArgument or kIo when `root` cannot be opened as a folder; `root` itself may be a link.
Result<void> walk_folder(const std::string& root, const WalkVisitor& visitor);

// The suffix by which a name is taken for a corpus; empty: none.
std::string_view corpus_suffix(std::string_view name);

}  // namespace pixellm
