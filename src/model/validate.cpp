// The checks that make a PXIM file lawful, in the order of the list in spec/pxi-llm.md, "Validation". What
// they accept is trusted everywhere else.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "model/format.h"
#include "model/placement.h"
#include "model/text.h"

namespace pixellm {
namespace {

std::unexpected<Error> corrupt(std::string message) {
  return fail(ErrorCode::kCorrupt, "pxim: " + std::move(message));
}

std::unexpected<Error> too_large(std::string message) {
  return fail(ErrorCode::kTooLarge, "pxim: " + std::move(message));
}

Result<void> check_equal(std::string_view field, uint64_t found, uint64_t needed) {
  if (found == needed) return {};
  return corrupt(fmt::format("{} is {}, the rest of the file needs {}", field, found, needed));
}

Result<void> check_tensor(const TensorInfo& t, uint64_t index, const ModelHeader& header,
                          uint64_t row_bytes) {
  const std::string label = tensor_label(index, t);
  if (auto shape = check_shape(t); !shape) return fail_in("pxim: " + label, shape.error());
  const auto stored = stored_bytes_of(t);
  if (!stored || *stored != t.stored_bytes)
    return corrupt(fmt::format("{} says {} stored bytes, its shape needs {}", label, t.stored_bytes,
                               stored ? std::to_string(*stored) : "more than any picture holds"));
  const uint64_t first = header.first_weight_row * row_bytes;
  if (t.offset % kSectionAlignment != 0 || t.offset < first || t.offset > header.model_size_bytes)
    return corrupt(fmt::format("{} begins at byte {}; multiples of {} from {} to {} are allowed", label,
                               t.offset, kSectionAlignment, first, header.model_size_bytes));
  const TensorExtent extent = tensor_extent(t, row_bytes);
  if (t.layout == Layout::kCells && extent.first_cells == 0)
    return corrupt(fmt::format("{} begins at byte {} of a row of {}, where no cell of {} bytes fits", label,
                               t.offset % row_bytes, row_bytes, traits(t.type).cell_bytes));
  if (extent.end > header.model_size_bytes)
    return corrupt(
        fmt::format("{} ends at byte {}, the model has {}", label, extent.end, header.model_size_bytes));
  const uint64_t n_groups = ceil_div(t.n_rows(), kCellRows);
  const bool splits = t.layout == Layout::kCells && t.world_parts != 0 && n_groups % t.world_parts == 0;
  if (t.world_parts != 1 && !splits)
    return corrupt(fmt::format("{} is shown in {} parts, which its {} rows do not give", label, t.world_parts,
                               t.n_rows()));
  return {};
}

// Tensors and the rest of the rows between them: ascending and apart; the last one ends the model.
Result<void> check_no_overlap(const ModelHeader& header, const std::vector<TensorInfo>& tensors,
                              uint64_t row_bytes) {
  std::vector<uint32_t> order(tensors.size());
  std::iota(order.begin(), order.end(), 0u);
  std::ranges::sort(order, {}, [&](uint32_t i) { return tensors[i].offset; });
  uint64_t end = header.first_weight_row * row_bytes;
  for (size_t n = 0; n < order.size(); n++) {
    const TensorInfo& t = tensors[order[n]];
    if (t.offset < end)
      return corrupt(fmt::format("{} begins at byte {}, inside {}, which ends at {}",
                                 tensor_label(order[n], t), t.offset,
                                 tensor_label(order[n - 1], tensors[order[n - 1]]), end));
    end = tensor_extent(t, row_bytes).end;
  }
  PIXELLM_CHECK(check_equal("model_size_bytes", header.model_size_bytes, end));
  return check_equal("total_height", header.height, ceil_div(end, row_bytes));
}

// Sizes follow from the stored bytes; rectangles lie in the world and do not overlap. One sweep downward over
// their tops and bottoms; `open` holds the x-intervals that the sweep line crosses.
Result<void> check_world(const ModelHeader& header, const std::vector<TensorInfo>& tensors) {
  struct Event {
    uint64_t y;
    bool opens;
    uint32_t tensor;
  };
  std::vector<Event> events;
  uint64_t width = 0, height = 0;
  for (uint32_t i = 0; i < tensors.size(); i++) {
    const TensorInfo& t = tensors[i];
    const Rect size = world_size(t.stored_bytes, t.world_parts);
    if (t.world.w != size.w || t.world.h != size.h)
      return corrupt(fmt::format("{} has a world rectangle of {} x {}, its bytes need {} x {}",
                                 tensor_label(i, t), t.world.w, t.world.h, size.w, size.h));
    const uint64_t right = uint64_t{t.world.x} + t.world.w, bottom = uint64_t{t.world.y} + t.world.h;
    if (right > kMaxWorldSide || bottom > kMaxWorldSide)
      return too_large(fmt::format("{} lies at {}, {} of the world, whose sides are at most {}",
                                   tensor_label(i, t), t.world.x, t.world.y, kMaxWorldSide));
    width = std::max(width, right);
    height = std::max(height, bottom);
    events.push_back({t.world.y, true, i});
    events.push_back({bottom, false, i});
  }
  PIXELLM_CHECK(check_equal("world_width", header.world_width, width));
  PIXELLM_CHECK(check_equal("world_height", header.world_height, height));
  std::ranges::sort(events, {}, [](const Event& e) { return std::tuple(e.y, e.opens, e.tensor); });
  std::map<uint64_t, uint32_t> open;  // left edge -> tensor
  for (const Event& e : events) {
    const Rect& r = tensors[e.tensor].world;
    if (!e.opens) {
      open.erase(r.x);
      continue;
    }
    const auto right = open.lower_bound(r.x);
    const TensorInfo* other = nullptr;
    if (right != open.end() && right->first < uint64_t{r.x} + r.w) other = &tensors[right->second];
    if (right != open.begin()) {
      const TensorInfo& left = tensors[std::prev(right)->second];
      if (left.world.x + left.world.w > r.x) other = &left;
    }
    if (other)
      return corrupt(fmt::format("the world rectangles of {} and {} overlap", quoted(tensors[e.tensor].name),
                                 quoted(other->name)));
    open.emplace(r.x, e.tensor);
  }
  return {};
}

}  // namespace

Result<void> check_shape(const TensorInfo& t) {
  if (t.n_dims < 1 || t.n_dims > 4)
    return fail(ErrorCode::kCorrupt, fmt::format("{} dimensions, 1 to 4 are allowed", t.n_dims));
  uint64_t elements = 1;
  for (uint32_t i = 0; i < 4; i++) {
    if (t.dims[i] == 0) return fail(ErrorCode::kCorrupt, fmt::format("dimension {} is 0", i));
    if (i >= t.n_dims && t.dims[i] != 1)
      return fail(ErrorCode::kCorrupt,
                  fmt::format("dimension {} is {} but only {} count", i, t.dims[i], t.n_dims));
    const auto product = checked_mul(elements, t.dims[i]);
    if (!product || *product > kMaxElements)
      return fail(ErrorCode::kTooLarge, fmt::format("more than {} elements", kMaxElements));
    elements = *product;
  }
  if (t.k() % traits(t.type).block_elements != 0)
    return fail(ErrorCode::kCorrupt, fmt::format("rows of {} elements, {} needs a multiple of {}", t.k(),
                                                 traits(t.type).name, traits(t.type).block_elements));
  return {};
}

std::optional<uint64_t> stored_bytes_of(const TensorInfo& t) {
  const TypeTraits& type = traits(t.type);
  std::optional<uint64_t> bytes;
  if (t.layout == Layout::kLinear) {
    bytes = checked_mul(t.n_elements() / type.block_elements, type.block_bytes);
  } else if (const auto cells =
                 checked_mul(ceil_div(t.n_rows(), kCellRows), ceil_div(t.k(), type.cell_columns))) {
    bytes = checked_mul(*cells, type.cell_bytes);
  }
  return bytes && *bytes <= kMaxPayloadBytes ? bytes : std::nullopt;
}

TensorExtent tensor_extent(const TensorInfo& t, uint64_t row_bytes) {
  if (t.layout == Layout::kLinear) return {.end = t.offset + t.stored_bytes};
  const uint64_t cell_bytes = traits(t.type).cell_bytes, n_cells = t.stored_bytes / cell_bytes;
  TensorExtent e{.cells_per_row = row_bytes / cell_bytes};
  e.first_cells = std::min(n_cells, (row_bytes - t.offset % row_bytes) / cell_bytes);
  if (e.first_cells == 0) return e;
  const uint64_t rest = n_cells - e.first_cells;
  if (rest == 0) {
    e.end = t.offset + e.first_cells * cell_bytes;
  } else {
    const uint64_t full_rows = (rest - 1) / e.cells_per_row, in_last = (rest - 1) % e.cells_per_row + 1;
    e.end = (t.offset / row_bytes + 1 + full_rows) * row_bytes + in_last * cell_bytes;
  }
  return e;
}

Result<void> validate_head(const ModelHeader& h, const PixelPlane& plane) {
  PIXELLM_CHECK(check_equal("total_width", h.width, plane.width()));
  PIXELLM_CHECK(check_equal("total_height", h.height, plane.rows()));
  const uint64_t payload = plane.payload_bytes();
  if (payload > kMaxPayloadBytes)
    return too_large(fmt::format("a picture of {} bytes, at most {} are allowed", payload, kMaxPayloadBytes));
  if (h.tensor_count > kMaxTensors)
    return too_large(fmt::format("{} tensors, at most {} are allowed", h.tensor_count, kMaxTensors));
  for (const auto& [field, bytes] : {std::pair("strings_bytes", h.strings_bytes),
                                     {"metadata_bytes", h.metadata_bytes},
                                     {"source_bytes", h.source_bytes}}) {
    if (bytes > payload) return corrupt(fmt::format("{} is {}, the picture holds {}", field, bytes, payload));
    if (bytes > kMaxHeadBytes)
      return too_large(fmt::format("{} is {}, at most {} are allowed", field, bytes, kMaxHeadBytes));
  }
  const HeadSections s(h.tensor_count, h.strings_bytes, h.metadata_bytes, h.source_bytes);
  PIXELLM_CHECK(check_equal("directory_offset", h.directory_offset, s.directory));
  PIXELLM_CHECK(check_equal("strings_offset", h.strings_offset, s.strings));
  PIXELLM_CHECK(check_equal("metadata_offset", h.metadata_offset, s.metadata));
  PIXELLM_CHECK(check_equal("source_offset", h.source_offset, s.source));
  if (s.end > payload)
    return corrupt(fmt::format("the head ends at byte {}, the picture holds {}", s.end, payload));
  if (s.end > kMaxHeadBytes)
    return too_large(fmt::format("a head of {} bytes, at most {} are allowed", s.end, kMaxHeadBytes));
  PIXELLM_CHECK(check_equal("first_weight_row", h.first_weight_row, ceil_div(s.end, plane.row_bytes())));
  if (h.model_size_bytes > payload)
    return corrupt(fmt::format("model_size_bytes is {}, the picture holds {}", h.model_size_bytes, payload));
  return {};
}

Result<void> validate_source(const SourceRecord& s, const std::vector<TensorInfo>& tensors,
                             uint64_t payload_bytes) {
  if (s.format == 0) return {};
  if (s.format != 1)
    return fail(ErrorCode::kUnsupported,
                fmt::format("pxim: source format {}, this program knows 1 (GGUF)", s.format));
  if (s.version != 2 && s.version != 3)
    return corrupt(fmt::format("source version {}, 2 and 3 are allowed", s.version));
  if (s.alignment == 0 || s.alignment % 8 != 0)
    return corrupt(fmt::format("source alignment {}, a multiple of 8 is needed", s.alignment));
  if (s.file_bytes > kSourceFactor * payload_bytes + kSourceSlack)
    return too_large(
        fmt::format("a source file of {} bytes for a picture of {}", s.file_bytes, payload_bytes));
  uint64_t end = 0;
  for (size_t i = 0; i < s.residues.size(); i++) {
    const SourceRecord::Residue& r = s.residues[i];
    if (r.bytes.empty() || r.offset < end || r.offset > s.file_bytes ||
        r.bytes.size() > s.file_bytes - r.offset)
      return corrupt(fmt::format("source residue {} of {} bytes at {}; from {} to {} is free", i,
                                 r.bytes.size(), r.offset, end, s.file_bytes));
    end = r.offset + r.bytes.size();
  }
  if (tensors.empty()) return {};
  if (s.data_offset > s.file_bytes)
    return corrupt(fmt::format("source data begins at byte {} of {}", s.data_offset, s.file_bytes));
  std::vector<uint32_t> order(tensors.size());
  std::iota(order.begin(), order.end(), 0u);
  std::ranges::sort(order, {}, [&](uint32_t i) { return tensors[i].source_offset; });
  end = 0;
  const uint64_t data_bytes = s.file_bytes - s.data_offset;
  for (const uint32_t i : order) {
    const TensorInfo& t = tensors[i];
    if (t.source_offset < end || t.source_offset > data_bytes ||
        t.source_bytes() > data_bytes - t.source_offset)
      return corrupt(fmt::format("{} has {} bytes at {} of the source's data; from {} to {} is free",
                                 tensor_label(i, t), t.source_bytes(), t.source_offset, end, data_bytes));
    end = t.source_offset + t.source_bytes();
  }
  return {};
}

Result<std::vector<uint32_t>> index_names(const std::vector<TensorInfo>& tensors) {
  std::vector<uint32_t> by_name(tensors.size());
  std::iota(by_name.begin(), by_name.end(), 0u);
  const auto name_of = [&](uint32_t i) -> std::string_view { return tensors[i].name; };
  std::ranges::sort(by_name, {}, name_of);
  const auto twice = std::ranges::adjacent_find(by_name, {}, name_of);
  if (twice != by_name.end())
    return corrupt(fmt::format("two tensors are named {}", quoted(name_of(*twice))));
  return by_name;
}

Result<void> validate_tensors(const ModelHeader& header, const std::vector<TensorInfo>& tensors,
                              uint64_t row_bytes, std::vector<uint32_t>& by_name) {
  by_name = PIXELLM_TRY(index_names(tensors));
  for (size_t i = 0; i < tensors.size(); i++) PIXELLM_CHECK(check_tensor(tensors[i], i, header, row_bytes));
  PIXELLM_CHECK(check_no_overlap(header, tensors, row_bytes));
  return check_world(header, tensors);
}

}  // namespace pixellm
