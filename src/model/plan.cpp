// The writer's decisions before the first byte: width of the picture, order and offsets of the tensors, the
// world. Spec: spec/pxi-llm.md, "Width of the picture", "Order of the tensors", "World rectangles".
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "model/format.h"
#include "model/head.h"
#include "model/model_writer.h"
#include "model/placement.h"
#include "model/text.h"

namespace pixellm {
namespace {

constexpr uint64_t kSmallLeftOver = 256;

// What a row may spend on its frame and left-over, as a share of its cells. Large models: so that the file is
// at most 1.02 x the GGUF. Small ones: a picture near a square matters more.
double overhead_budget(uint64_t payload_bytes) {
  if (payload_bytes >= 40'000'000) return 0.012;
  return payload_bytes >= 1'000'000 ? 0.05 : 0.25;
}

struct Width {
  uint64_t row_bytes = 0, left_over = 0;  // the worst one
  double overhead = 0, ribbon = 0;        // |log(width / height)|
};

// Every width that holds the largest cell and needs few enough rows.
std::vector<Width> possible_widths(std::span<const TensorType> types, uint64_t payload_bytes) {
  std::vector<Width> widths;
  for (uint64_t r = kFlatRowUnit; r <= kFlatMaxRowBytes; r += kFlatRowUnit) {
    Width w{.row_bytes = r};
    bool fits = true;
    for (const TensorType type : types) {
      w.left_over = std::max<uint64_t>(w.left_over, r % traits(type).cell_bytes);
      fits = fits && r >= traits(type).cell_bytes;
    }
    w.overhead = static_cast<double>(kFlatRowOverhead + w.left_over) /
                 static_cast<double>(r - std::min(r, w.left_over) + 1);
    const uint64_t rows = std::max<uint64_t>(1, ceil_div(payload_bytes, r));
    w.ribbon = std::abs(std::log(static_cast<double>(r / 3) / static_cast<double>(rows)));
    if (fits && rows <= kFlatMaxRows) widths.push_back(w);
  }
  return widths;
}

Result<void> check_tensors(const std::vector<TensorInfo>& tensors) {
  if (tensors.size() > kMaxTensors)
    return fail(ErrorCode::kTooLarge,
                fmt::format("pxim: {} tensors, at most {} are allowed", tensors.size(), kMaxTensors));
  for (size_t i = 0; i < tensors.size(); i++) {
    const TensorInfo& t = tensors[i];
    if (t.name.empty() || t.name.size() > kMaxNameBytes)
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("pxim: tensor {} has a name of {} bytes, 1 to {} are allowed", i, t.name.size(),
                              kMaxNameBytes));
    if (auto shape = check_shape(t); !shape) return fail_in("pxim: " + tensor_label(i, t), shape.error());
  }
  PIXELLM_CHECK(index_names(tensors));
  return {};
}

std::vector<TensorType> cell_types(const std::vector<TensorInfo>& tensors) {
  std::vector<TensorType> types;
  for (const TypeTraits& type : kTypes)
    if (std::ranges::any_of(tensors,
                            [&](const auto& t) { return t.layout == Layout::kCells && t.type == type.type; }))
      types.push_back(type.type);
  return types;
}

Result<void> check_row_bytes(uint64_t row_bytes, std::span<const TensorType> types) {
  uint64_t largest = 0;
  for (const TensorType type : types) largest = std::max<uint64_t>(largest, traits(type).cell_bytes);
  if (row_bytes % kFlatRowUnit == 0 && row_bytes > 0 && row_bytes >= largest && row_bytes <= kFlatMaxRowBytes)
    return {};
  return fail(
      ErrorCode::kInvalidArgument,
      fmt::format("pxim: rows of {} bytes; multiples of {} from {} to {} are allowed for these tensors",
                  row_bytes, kFlatRowUnit, std::max(largest, kFlatRowUnit), kFlatMaxRowBytes));
}

// Gives every tensor its offset; returns the end of the last one.
uint64_t place_in_payload(std::vector<TensorInfo>& tensors, std::span<const size_t> order, uint64_t begin,
                          uint64_t row_bytes) {
  uint64_t end = begin;
  for (const size_t i : order) {
    TensorInfo& t = tensors[i];
    t.offset = round_up(end, kSectionAlignment);
    const bool fits = t.layout == Layout::kLinear || tensor_extent(t, row_bytes).first_cells > 0;
    if (!fits) t.offset = round_up(t.offset, row_bytes);
    end = tensor_extent(t, row_bytes).end;
  }
  return end;
}

}  // namespace

uint64_t choose_row_bytes(std::span<const TensorType> types, uint64_t payload_bytes) {
  const std::vector<Width> widths = possible_widths(types, payload_bytes);
  if (widths.empty()) return kFlatMaxRowBytes;
  const auto best = [&](auto accept, auto cost) -> const Width* {
    const Width* found = nullptr;
    for (const Width& w : widths)
      if (accept(w) && (!found || cost(w) < cost(*found))) found = &w;
    return found;
  };
  const double budget = overhead_budget(payload_bytes);
  const auto is_small = [](const Width& w) { return w.left_over <= kSmallLeftOver; };
  const auto in_budget = [&](const Width& w) { return is_small(w) && w.overhead <= budget; };
  if (const Width* w = best(in_budget, [](const Width& c) { return c.ribbon; })) return w->row_bytes;
  if (const Width* w = best(is_small, [](const Width& c) { return c.overhead; })) return w->row_bytes;
  return best([](const Width&) { return true; },
              [](const Width& c) { return std::pair(c.left_over, c.ribbon); })
      ->row_bytes;
}

Result<ModelPlan> plan_model(std::vector<TensorInfo> tensors, const Metadata& metadata, SourceRecord source,
                             std::optional<uint64_t> row_bytes) {
  PIXELLM_CHECK(check_tensors(tensors));
  ModelPlan plan;
  uint64_t strings_bytes = 0, weights_bytes = 0;
  for (size_t i = 0; i < tensors.size(); i++) {
    TensorInfo& t = tensors[i];
    t.layout = t.n_dims == 1 ? Layout::kLinear : Layout::kCells;
    const auto stored = stored_bytes_of(t);
    if (!stored || (weights_bytes += *stored) > kMaxPayloadBytes)
      return fail(ErrorCode::kTooLarge, fmt::format("pxim: with {} the weights exceed {} bytes",
                                                    tensor_label(i, t), kMaxPayloadBytes));
    t.stored_bytes = *stored;
    t.world_parts = world_parts_of(t, metadata);
    strings_bytes += t.name.size();
  }
  plan.order = order_tensors(tensors);
  const WorldExtent world = PIXELLM_TRY(place_in_world(tensors, plan.order));

  const uint64_t source_bytes = encode_source(source).size();
  for (const uint64_t bytes : {uint64_t{strings_bytes}, uint64_t{metadata.encoded().size()}, source_bytes})
    if (bytes > kMaxHeadBytes / 4)
      return fail(ErrorCode::kTooLarge,
                  fmt::format("pxim: {} bytes of names, metadata or source record, at most {} are allowed",
                              bytes, kMaxHeadBytes / 4));
  const HeadSections sections(tensors.size(), strings_bytes, metadata.encoded().size(), source_bytes);
  const std::vector<TensorType> types = cell_types(tensors);
  plan.row_bytes = row_bytes.value_or(choose_row_bytes(types, sections.end + weights_bytes));
  PIXELLM_CHECK(check_row_bytes(plan.row_bytes, types));

  ModelHeader& h = plan.header;
  fill_from_metadata(h, metadata);
  h.tensor_count = static_cast<uint32_t>(tensors.size());
  h.directory_offset = sections.directory;
  h.strings_offset = sections.strings;
  h.strings_bytes = strings_bytes;
  h.metadata_offset = sections.metadata;
  h.metadata_bytes = metadata.encoded().size();
  h.metadata_count = static_cast<uint32_t>(metadata.entries().size());
  h.source_offset = sections.source;
  h.source_bytes = source_bytes;
  h.first_weight_row = static_cast<uint32_t>(ceil_div(sections.end, plan.row_bytes));
  h.world_width = static_cast<uint32_t>(world.width);
  h.world_height = static_cast<uint32_t>(world.height);
  h.model_size_bytes =
      place_in_payload(tensors, plan.order, h.first_weight_row * plan.row_bytes, plan.row_bytes);
  plan.rows = ceil_div(h.model_size_bytes, plan.row_bytes);
  if (plan.rows > kFlatMaxRows)
    return fail(ErrorCode::kTooLarge,
                fmt::format("pxim: the picture would have {} rows of {} bytes, at most {} are allowed",
                            plan.rows, plan.row_bytes, kFlatMaxRows));
  h.width = static_cast<uint32_t>(plan.row_bytes / 3);
  h.height = static_cast<uint32_t>(plan.rows);
  if (auto lawful = validate_source(source, tensors, plan.rows * plan.row_bytes); !lawful)
    return std::unexpected(std::move(lawful).error());
  plan.tensors = std::move(tensors);
  plan.metadata.assign(metadata.encoded().begin(), metadata.encoded().end());
  plan.source = std::move(source);
  return plan;
}

std::vector<uint8_t> encode_head(const ModelPlan& plan) {
  const ModelHeader& h = plan.header;
  std::vector<uint8_t> head(h.first_weight_row * plan.row_bytes);
  std::array<uint8_t, ModelHeader::kEncodedLength> header;
  h.encode(header);
  std::ranges::copy(header, head.begin());
  uint64_t name_offset = 0;
  for (size_t i = 0; i < plan.tensors.size(); i++) {
    const TensorInfo& t = plan.tensors[i];
    encode_entry(t, name_offset, &head[h.directory_offset + i * kDirectoryEntryBytes]);
    std::ranges::copy(t.name, head.begin() + static_cast<ptrdiff_t>(h.strings_offset + name_offset));
    name_offset += t.name.size();
  }
  std::ranges::copy(plan.metadata, head.begin() + static_cast<ptrdiff_t>(h.metadata_offset));
  std::ranges::copy(encode_source(plan.source), head.begin() + static_cast<ptrdiff_t>(h.source_offset));
  return head;
}

}  // namespace pixellm
