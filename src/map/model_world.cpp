#include "map/model_world.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <tuple>

#include "model/text.h"
#include "tensor/element_bytes.h"

namespace pixellm {
namespace {

constexpr uint32_t kPiecesAcross = 8;
constexpr uint32_t kSamples = 3;  // bytes of a pixel

// The pieces of a tensor, each `w` by `h` pixels, in a grid.
struct Pieces {
  uint32_t n, across, w, h;
  uint64_t bytes;  // stored bytes of each

  explicit Pieces(const TensorInfo& t)
      : n(t.world_parts),
        across(std::min<uint32_t>(kPiecesAcross, n)),
        w(t.world.w / across),
        h(static_cast<uint32_t>(t.world.h / ceil_div(n, kPiecesAcross))),
        bytes(t.stored_bytes / n) {}

  Rect area(const TensorInfo& t, uint32_t piece) const {
    return {.x = t.world.x + piece % across * w, .y = t.world.y + piece / across * h, .w = w, .h = h};
  }
};

Rect common_part(const Rect& a, const Rect& b) {
  const uint64_t x = std::max(a.x, b.x), y = std::max(a.y, b.y);
  const uint64_t right = std::min(uint64_t{a.x} + a.w, uint64_t{b.x} + b.w);
  const uint64_t bottom = std::min(uint64_t{a.y} + a.h, uint64_t{b.y} + b.h);
  if (right <= x || bottom <= y) return {};
  return {.x = static_cast<uint32_t>(x),
          .y = static_cast<uint32_t>(y),
          .w = static_cast<uint32_t>(right - x),
          .h = static_cast<uint32_t>(bottom - y)};
}

std::vector<Rect> rects_of(const Model& model) {
  std::vector<Rect> rects;
  for (const TensorInfo& t : model.tensors()) rects.push_back(t.world);
  return rects;
}

}  // namespace

Result<ModelWorld> ModelWorld::create(Model model) {
  const std::string& path = model.plane().path();
  if (model.header().version_major != 2)
    return fail(ErrorCode::kUnsupported,
                fmt::format("{}: a version {} picture has no world: it says nowhere where its tensors lie",
                            path, model.header().version_major));
  if (model.header().world_width == 0 || model.header().world_height == 0)
    return fail(ErrorCode::kUnsupported, path + ": the model has no tensors, so nothing of it can be seen");
  return ModelWorld(std::move(model));
}

ModelWorld::ModelWorld(Model model) : model_(std::move(model)), tree_(rects_of(model_)) {}

// ---- pixels

// Stored bytes [position, position + out.size()): in runs, one for every row of the picture that holds some.
void ModelWorld::copy_stored(const TensorInfo& t, uint64_t position, MutableBytes out) const {
  const PixelPlane& plane = model_.plane();
  const uint64_t row_bytes = plane.row_bytes(), column = t.offset % row_bytes;
  // What fits into a row: whole cells, or every byte of a linear tensor.
  const uint64_t unit = t.layout == Layout::kCells ? traits(t.type).cell_bytes : 1;
  const uint64_t first_run = (row_bytes - column) / unit * unit, run = row_bytes / unit * unit;
  uint64_t row = t.offset / row_bytes, start = column, left = first_run;
  if (position >= first_run) {
    position -= first_run;
    row += 1 + position / run;
    start = 0, left = run;
    position %= run;
  }
  while (!out.empty()) {
    const uint64_t n = std::min<uint64_t>(out.size(), left - position);
    std::memcpy(out.data(), plane.row(row).data() + start + position, n);
    out = out.subspan(n);
    row++;
    position = start = 0, left = run;
  }
}

// The part of the piece at `area` that lies in `part`: one run of stored bytes for every row of pixels.
void ModelWorld::read_piece(const TensorInfo& t, uint64_t piece, const Rect& area, const Rect& part,
                            uint8_t* out, uint64_t out_stride) const {
  const Rect common = common_part(area, part);
  const uint64_t piece_bytes = t.stored_bytes / t.world_parts;
  for (uint64_t y = common.y; y < uint64_t{common.y} + common.h; y++) {
    const uint64_t first = ((y - area.y) * area.w + (common.x - area.x)) * kSamples;
    if (first >= piece_bytes) break;
    const uint64_t n = std::min<uint64_t>(uint64_t{common.w} * kSamples, piece_bytes - first);
    uint8_t* target = out + (y - part.y) * out_stride + uint64_t{common.x - part.x} * kSamples;
    copy_stored(t, piece * piece_bytes + first, {target, n});
  }
}

void ModelWorld::read(const Rect& part, uint8_t* out, uint64_t out_stride) const {
  for (uint64_t y = 0; y < part.h; y++) std::memset(out + y * out_stride, 0, uint64_t{part.w} * kSamples);
  for (const uint32_t index : tree_.meeting(part)) {
    const TensorInfo& t = model_.tensors()[index];
    const Pieces pieces(t);
    const Rect common = common_part(t.world, part);
    const uint32_t left = (common.x - t.world.x) / pieces.w;
    const uint32_t right = (common.x + common.w - 1 - t.world.x) / pieces.w;
    const uint32_t top = (common.y - t.world.y) / pieces.h;
    const uint32_t bottom = (common.y + common.h - 1 - t.world.y) / pieces.h;
    for (uint32_t v = top; v <= bottom; v++)
      for (uint32_t u = left; u <= right; u++)
        if (const uint32_t piece = v * pieces.across + u; piece < pieces.n)
          read_piece(t, piece, pieces.area(t, piece), part, out, out_stride);
  }
}

std::vector<Rect> ModelWorld::occupied(const Rect& part) const {
  std::vector<Rect> rects;
  for (const uint32_t index : tree_.meeting(part))
    rects.push_back(common_part(model_.tensors()[index].world, part));
  return rects;
}

// ---- weights

std::optional<ModelWorld::Weights> ModelWorld::weights_at(uint32_t x, uint32_t y) const {
  const auto found = tree_.meeting({.x = x, .y = y, .w = 1, .h = 1});
  if (found.empty()) return std::nullopt;
  const TensorInfo& t = model_.tensors()[found.front()];
  const Pieces pieces(t);
  const uint32_t u = (x - t.world.x) / pieces.w, v = (y - t.world.y) / pieces.h;
  const uint64_t piece = uint64_t{v} * pieces.across + u;
  const uint64_t pixel = uint64_t{(y - t.world.y) % pieces.h} * pieces.w + (x - t.world.x) % pieces.w;
  const uint64_t first = pixel * kSamples;
  if (piece >= pieces.n || first >= pieces.bytes) return std::nullopt;
  return Weights{.tensor = &t,
                 .elements = elements_at(t, piece * pieces.bytes + first,
                                         std::min<uint64_t>(kSamples, pieces.bytes - first))};
}

// The elements that stored bytes [position, position + n) bear on, with their values.
std::vector<ElementAt> ModelWorld::elements_at(const TensorInfo& t, uint64_t position, uint64_t n) const {
  const TypeTraits& type = traits(t.type);
  std::vector<ElementAt> elements;
  std::array<float, 256> values;  // of a block
  const auto add_block = [&](uint64_t row, uint64_t first_column, const uint8_t* block, uint32_t byte) {
    dequantize_blocks(t.type, type.block_elements, block, values.data());
    elements_of_byte(t.type, byte).for_each([&](uint32_t e) {
      elements.push_back({.row = row, .column = first_column + e, .value = values[e]});
    });
  };
  for (uint64_t p = position; p < position + n; p++) {
    if (t.layout == Layout::kLinear) {
      std::array<uint8_t, 256> block;
      const uint64_t index = p / type.block_bytes;
      copy_stored(t, index * type.block_bytes, MutableBytes(block).first(type.block_bytes));
      add_block(0, index * type.block_elements, block.data(), static_cast<uint32_t>(p % type.block_bytes));
      continue;
    }
    const CellMatrixView view = model_.matrix(t);
    const uint64_t cell = p / type.cell_bytes, along_k = view.cells_along_k();
    const auto at = block_byte_at(t.type, static_cast<uint32_t>(p % type.cell_bytes));
    if (!at) continue;
    const uint64_t row = cell / along_k * kCellRows + at->row,
                   cell_column = cell % along_k * type.cell_columns;
    const uint64_t column = cell_column + uint64_t{at->block} * type.block_elements;
    if (row >= t.n_rows() || column >= t.k()) continue;
    // The cell as if it were a matrix of its own, row by row.
    const uint64_t k = std::min<uint64_t>(type.cell_columns, t.k() - cell_column);
    const uint64_t row_bytes = gguf_row_bytes(t.type, k);
    std::array<uint8_t, 256 * kCellRows> rows;
    unpack_cell(t.type, k, 0, view.cell(cell), kCellRows, rows.data(), row_bytes);
    add_block(row, column, rows.data() + at->row * row_bytes + at->block * type.block_bytes, at->byte);
  }
  const auto key = [](const ElementAt& e) { return std::tuple(e.row, e.column); };
  std::ranges::sort(elements, {}, key);
  const auto twice = std::ranges::unique(elements, {}, key);
  elements.erase(twice.begin(), twice.end());
  return elements;
}

Result<std::pair<uint32_t, uint32_t>> ModelWorld::place_of(const TensorInfo& t, uint64_t row,
                                                           uint64_t column) const {
  if (row >= t.n_rows() || column >= t.k())
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("{}: row {}, column {} of tensor {}, which has {} rows and {} columns, counted from 0",
                    model_.plane().path(), row, column, pixellm::quoted(t.name), t.n_rows(), t.k()));
  const TypeTraits& type = traits(t.type);
  const auto element = static_cast<uint32_t>(column % type.block_elements);
  const uint32_t byte = byte_of_element(t.type, element);
  uint64_t position;
  if (t.layout == Layout::kLinear) {
    position = column / type.block_elements * type.block_bytes + byte;
  } else {
    const uint64_t cell = row / kCellRows * ceil_div(t.k(), type.cell_columns) + column / type.cell_columns;
    const auto block = static_cast<uint32_t>(column % type.cell_columns / type.block_elements);
    const auto row_in_cell = static_cast<uint32_t>(row % kCellRows);
    position =
        cell * type.cell_bytes + cell_byte_of(t.type, {.row = row_in_cell, .block = block, .byte = byte});
  }
  const Pieces pieces(t);
  const Rect area = pieces.area(t, static_cast<uint32_t>(position / pieces.bytes));
  const uint64_t pixel = position % pieces.bytes / kSamples;
  return std::pair(static_cast<uint32_t>(area.x + pixel % area.w),
                   static_cast<uint32_t>(area.y + pixel / area.w));
}

}  // namespace pixellm
