// Names of containers in a store: relative, UTF-8, and never outside the root. Spec: spec/pixelfs.md,
// section 5.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace pixellm {

inline constexpr std::string_view kPxifSuffix = ".pxi";
inline constexpr std::string_view kTrashFolder = ".trash";

struct StoreName {
  std::vector<std::string> folders;  // below the root, outermost first
  std::string file;                  // with the suffix

  std::string path() const;  // "a/b.pxi"
  std::string name() const;  // "a/b"

  // kInvalidArgument: not a lawful name; the message says why.
  static Result<StoreName> parse(std::string_view name);
};

}  // namespace pixellm
