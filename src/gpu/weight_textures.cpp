#include "gpu/weight_textures.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>

namespace pixellm::gpu {
namespace {

// Rows of one layer that go up together.
struct Step {
  uint32_t texture, layer, row_in_layer, n_rows;
  uint64_t first_row;  // of the picture
};

Result<void> check_ranges(const PixelPlane& plane, std::span<const RowRange> ranges, const Limits& limits,
                          uint32_t rows_per_layer) {
  const uint64_t row_bytes = plane.row_bytes();
  if (row_bytes % 16 != 0)
    return fail(ErrorCode::kUnsupported,
                fmt::format("{}: a row has {} bytes; a texture takes multiples of 16 ({} pixels)",
                            plane.path(), row_bytes, 16));
  const uint64_t most = max_texture_rows(limits, row_bytes, rows_per_layer);
  for (const auto& [first, end] : ranges) {
    if (first >= end || end > plane.rows())
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("{}: rows {} to {} of {} asked for", plane.path(), first, end, plane.rows()));
    if (end - first > most)
      return fail(
          ErrorCode::kTooLarge,
          fmt::format(
              "{}: {} rows of {} bytes in one texture asked for, in layers of {}; this device allows {}",
              plane.path(), end - first, row_bytes, rows_per_layer, most));
  }
  return {};
}

// Cuts at layers and at the step's size; a layer that fits into one step goes up whole, which spares clearing
// it first.
std::vector<Step> steps_of(std::span<const RowRange> ranges, uint32_t rows_per_layer,
                           uint64_t rows_per_step) {
  std::vector<Step> steps;
  for (uint32_t t = 0; t < ranges.size(); t++) {
    for (uint64_t row = ranges[t].first; row < ranges[t].end;) {
      const uint64_t in_texture = row - ranges[t].first, y = in_texture % rows_per_layer;
      const uint64_t n = std::min({rows_per_step, rows_per_layer - y, ranges[t].end - row});
      steps.push_back({t, static_cast<uint32_t>(in_texture / rows_per_layer), static_cast<uint32_t>(y),
                       static_cast<uint32_t>(n), row});
      row += n;
    }
  }
  return steps;
}

}  // namespace

Result<WeightTextures> upload_rows(Device& device, const PixelPlane& plane, std::span<const RowRange> ranges,
                                   const UploadOptions& options) {
  PIXELLM_CHECK(check_ranges(plane, ranges, device.limits(), options.rows_per_layer));
  const uint64_t row_bytes = plane.row_bytes();
  WeightTextures result;
  result.rows_per_layer = options.rows_per_layer;
  for (const auto& [first, end] : ranges) {
    const auto height = static_cast<uint32_t>(std::min<uint64_t>(end - first, options.rows_per_layer));
    const auto layers = static_cast<uint32_t>(ceil_div(end - first, options.rows_per_layer));
    result.textures.push_back(PIXELLM_TRY(device.texture(static_cast<uint32_t>(row_bytes / 16), height,
                                                         layers, fmt::format("rows {} to {}", first, end))));
    result.bytes += row_bytes * height * layers;
  }

  // Two halves of a step are on their way at a time: the library copies one into its own memory while the
  // device takes the other, and the rows after them are being read from disk.
  const uint64_t rows_per_step = std::max<uint64_t>(1, options.step_bytes / 2 / row_bytes);
  const std::vector<Step> steps = steps_of(ranges, options.rows_per_layer, rows_per_step);
  std::deque<Submission> flying;
  uint64_t done = 0, total = 0;
  for (const auto& [first, end] : ranges) total += (end - first) * row_bytes;
  for (size_t i = 0; i < steps.size(); i++) {
    const Step& s = steps[i];
    PIXELLM_CHECK(plane.populate_rows(s.first_row, s.n_rows));
    if (i + 1 < steps.size()) plane.prefetch_rows(steps[i + 1].first_row, steps[i + 1].n_rows);
    if (flying.size() == 2) {
      PIXELLM_CHECK(device.wait(flying.front()));
      flying.pop_front();
    }
    PIXELLM_CHECK(device.write_rows(result.textures[s.texture], s.layer, s.row_in_layer, s.n_rows,
                                    plane.base() + s.first_row * plane.row_stride(), plane.row_stride()));
    flying.push_back(PIXELLM_TRY(device.submit({})));
    if (options.release_pages) plane.release_rows(s.first_row, s.n_rows);
    done += s.n_rows * row_bytes;
    if (options.progress) options.progress(done, total);
  }
  PIXELLM_CHECK(device.wait());
  return result;
}

}  // namespace pixellm::gpu
