#include <fmt/format.h>

#include "cli/common.h"
#include "cli/info_report.h"

namespace pixellm::cli {
namespace {

constexpr uint64_t kShownElements = 8;  // of an array that has more than kWholeElements
constexpr uint64_t kWholeElements = 64;
constexpr size_t kShownText = 240;  // bytes of a value

std::string type_name(const Metadata::Entry& entry) {
  constexpr std::string_view kNames[] = {"uint8", "int8",   "uint16", "int16",  "uint32", "int32",  "float32",
                                         "bool",  "string", "array",  "uint64", "int64",  "float64"};
  const std::string_view element = kNames[static_cast<size_t>(entry.element_type)];
  if (entry.type == MetadataType::kArray) return fmt::format("{}[{}]", element, entry.count);
  return std::string(element);
}

// One line, cut where it grows long.
std::string value_text(const Metadata::Entry& entry) {
  const bool whole = entry.type != MetadataType::kArray || entry.count <= kWholeElements;
  std::string text = value_json(entry, whole ? kWholeElements : kShownElements)
                         .dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  if (!whole) text.back() = ',';
  if (text.size() <= kShownText) return whole ? text : text + " ...]";
  text.resize(kShownText);
  while ((static_cast<uint8_t>(text.back()) & 0xc0) == 0x80) text.pop_back();
  if (static_cast<uint8_t>(text.back()) >= 0xc0) text.pop_back();
  return text + " ...";
}

void print_metadata(const Metadata& metadata) {
  std::cout << "\nmetadata\n";
  size_t key_width = 0, type_width = 0;
  for (const Metadata::Entry& entry : metadata.entries()) {
    key_width = std::max(key_width, printable(entry.key).size());
    type_width = std::max(type_width, type_name(entry).size());
  }
  for (const Metadata::Entry& entry : metadata.entries())
    std::cout << fmt::format("  {:<{}}  {:<{}}  {}\n", printable(entry.key), key_width, type_name(entry),
                             type_width, printable(value_text(entry)));
}

std::string shape_text(const TensorInfo& t) {
  std::string out = std::to_string(t.dims[0]);
  for (uint32_t i = 1; i < t.n_dims; i++) out += " x " + std::to_string(t.dims[i]);
  return out;
}

uint64_t count_elements(const std::vector<TensorInfo>& tensors) {
  uint64_t n = 0;
  for (const TensorInfo& t : tensors) n += t.n_elements();
  return n;
}

std::string million(uint64_t n) { return fmt::format("{:.1f} million", static_cast<double>(n) / 1e6); }

void print_gguf(const AnyFile& file) {
  const GgufFile& gguf = *file.gguf;
  std::cout << fmt::format(
      "{}: GGUF version {}, {}, {} tensors, {} weights\ndata begins at byte {}, alignment {}\n", file.path,
      gguf.version, human_bytes(file.file_bytes), gguf.tensors.size(), million(count_elements(gguf.tensors)),
      gguf.data_offset, gguf.alignment);
  print_metadata(gguf.metadata);
  std::cout << fmt::format(
      "\ntensors (shape: fastest dimension first)\n  {:<40} {:<5} {:<24} {:>12} {:>14}\n", "name", "type",
      "shape", "bytes", "offset");
  for (const TensorInfo& t : gguf.tensors)
    std::cout << fmt::format("  {:<40} {:<5} {:<24} {:>12} {:>14}\n", printable(t.name), traits(t.type).name,
                             shape_text(t), t.source_bytes(), t.source_offset);
}

void print_plane(const AnyFile& file) {
  const PixelPlane& plane = file.plane();
  std::cout << fmt::format("plane: {}, {} x {} pixels, {} bytes a row, stride {}, row 0 at byte {}\n",
                           plane_kind_name(plane.kind()), plane.width(), plane.rows(), plane.row_bytes(),
                           plane.row_stride(), plane.base_offset());
}

void print_model(const AnyFile& file) {
  const Model& model = *file.model;
  const ModelHeader& h = model.header();
  std::cout << fmt::format("{}: PXI-LLM {}.{}, {}, {}, {} tensors, {} weights\n", file.path, h.version_major,
                           h.version_minor, architecture_name(h.architecture), human_bytes(file.file_bytes),
                           model.tensors().size(), million(count_elements(model.tensors())));
  print_plane(file);
  std::cout << fmt::format(
      "header: vocabulary {}, layers {}, embedding {}, heads {}, feed-forward {}, context {}\n", h.vocab_size,
      h.n_layers, h.embedding_length, h.n_heads, h.feed_forward_length, h.context_length);
  const Overhead o = overhead_of(model);
  const SourceRecord& source = model.source();
  if (source.format == 1)
    std::cout << fmt::format("source: GGUF version {}, {} bytes; the picture is {:.4f} times that\n",
                             source.version, source.file_bytes,
                             static_cast<double>(file.file_bytes) / static_cast<double>(source.file_bytes));
  std::cout << fmt::format(
      "bytes: weights {}, padding of cells {}, head and metadata {}, left over in rows {}, PNG framing {}\n"
      "world: {} x {} pixels\n",
      o.source_bytes, o.padding_bytes, o.head_bytes, o.leftover_bytes, o.container_bytes, h.world_width,
      h.world_height);
  print_metadata(model.metadata());
  std::cout << fmt::format(
      "\ntensors (shape: fastest dimension first; rows of the picture; world: x, y, width x height)\n"
      "  {:<40} {:<5} {:<24} {:>12}  {:<13} {}\n",
      "name", "type", "shape", "bytes", "rows", "world");
  for (const TensorInfo& t : model.tensors()) {
    const auto [first, last] = model.picture_rows(t);
    std::cout << fmt::format("  {:<40} {:<5} {:<24} {:>12}  {:<13} {}, {}, {} x {}\n", printable(t.name),
                             traits(t.type).name, shape_text(t), t.stored_bytes,
                             fmt::format("{}-{}", first, last), t.world.x, t.world.y, t.world.w, t.world.h);
  }
}

}  // namespace

void print_info(const AnyFile& file) {
  if (file.gguf) return print_gguf(file);
  if (file.model) return print_model(file);
  std::cout << fmt::format("{}: a picture, {}\n", file.path, human_bytes(file.file_bytes));
  print_plane(file);
}

}  // namespace pixellm::cli
