// A file that a person names: the picture of a model, another picture, or a GGUF. Told apart by content.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "convert/gguf.h"
#include "model/model.h"
#include "pixel/plane.h"

namespace pixellm::cli {

struct AnyFile {
  std::string path;
  uint64_t file_bytes = 0;
  std::optional<GgufFile> gguf;            // exactly one of these three is set
  std::optional<Model> model;
  std::optional<PixelPlane> other_plane;
  std::optional<Error> model_error;        // why a plane that begins as a model does is not one

  const PixelPlane& plane() const { return model ? model->plane() : *other_plane; }   // requires !gguf

  // kCorrupt names what is damaged. Requires !gguf.
  Result<void> check(VerifyLevel level, ThreadPool& pool) const;

  // Validates structure; verifies no checksum.
  static Result<AnyFile> open(const std::string& path);
};

// "row N" / "rows A-B" lines for a plane that is no model, then the other damage.
std::vector<std::string> describe_rows(const PlaneDamage& damage);

}  // namespace pixellm::cli
