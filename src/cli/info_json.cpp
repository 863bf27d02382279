#include <fmt/format.h>

#include <cstdlib>

#include "cli/info_report.h"

namespace pixellm::cli {
namespace {

using Json = nlohmann::ordered_json;

// 1e-05f is 9.999999747378752e-06 as a double; people and programs want the digits that were meant.
Json float_json(float value) { return std::strtod(fmt::format("{}", value).c_str(), nullptr); }

// Reads one value of `type` at `p` and moves p behind it. The metadata was validated when it was parsed.
Json scalar_json(MetadataType type, const uint8_t*& p) {
  const auto next = [&]<class T>(T) {
    const T value = load_le<T>(p);
    p += sizeof(T);
    return value;
  };
  switch (type) {
    case MetadataType::kUint8:
      return next(uint8_t{});
    case MetadataType::kInt8:
      return next(int8_t{});
    case MetadataType::kUint16:
      return next(uint16_t{});
    case MetadataType::kInt16:
      return next(int16_t{});
    case MetadataType::kUint32:
      return next(uint32_t{});
    case MetadataType::kInt32:
      return next(int32_t{});
    case MetadataType::kUint64:
      return next(uint64_t{});
    case MetadataType::kInt64:
      return next(int64_t{});
    case MetadataType::kFloat32:
      return float_json(next(float{}));
    case MetadataType::kFloat64:
      return next(double{});
    case MetadataType::kBool:
      return next(uint8_t{}) != 0;
    case MetadataType::kString: {
      const uint64_t length = next(uint64_t{});
      const auto* text = reinterpret_cast<const char*>(p);
      p += length;
      return std::string(text, length);
    }
    case MetadataType::kArray:
      break;
  }
  return nullptr;
}

Json array_json(MetadataType element, uint64_t count, const uint8_t*& p, uint64_t limit) {
  Json out = Json::array();
  for (uint64_t i = 0; i < count && i < limit; i++) {
    if (element != MetadataType::kArray) {
      out.push_back(scalar_json(element, p));
      continue;
    }
    const auto inner = static_cast<MetadataType>(load_le<uint32_t>(p));
    const uint64_t inner_count = load_le<uint64_t>(p + 4);
    p += 12;
    out.push_back(array_json(inner, inner_count, p, ~uint64_t{0}));
  }
  return out;
}

Json metadata_json(const Metadata& metadata) {
  Json out = Json::object();
  for (const Metadata::Entry& entry : metadata.entries()) out[std::string(entry.key)] = value_json(entry);
  return out;
}

Json plane_json(const PixelPlane& plane) {
  return {{"kind", plane_kind_name(plane.kind())},
          {"base", plane.base_offset()},
          {"row_bytes", plane.row_bytes()},
          {"row_stride", plane.row_stride()},
          {"rows", plane.rows()},
          {"width", plane.width()}};
}

Json shape_json(const TensorInfo& t) {
  Json out = Json::array();
  for (uint32_t i = 0; i < t.n_dims; i++) out.push_back(t.dims[i]);
  return out;
}

Json header_json(const ModelHeader& h) {
  Json out = {{"version", fmt::format("{}.{}", h.version_major, h.version_minor)},
              {"architecture", architecture_name(h.architecture)},
              {"model_size_bytes", h.model_size_bytes},
              {"vocab_size", h.vocab_size},
              {"num_layers", h.n_layers},
              {"embed_dim", h.embedding_length},
              {"num_heads", h.n_heads},
              {"hidden_dim", h.feed_forward_length},
              {"context_length", h.context_length},
              {"weight_encoding", h.weight_encoding},
              {"precision", h.precision},
              {"tile_size", h.tile_size},
              {"total_width", h.width},
              {"total_height", h.height},
              {"weights_sha256", to_hex(h.weights_sha256)}};
  if (h.version_major < 2) return out;
  out.update({{"directory_count", h.tensor_count},
              {"directory_offset", h.directory_offset},
              {"strings_offset", h.strings_offset},
              {"strings_bytes", h.strings_bytes},
              {"metadata_offset", h.metadata_offset},
              {"metadata_bytes", h.metadata_bytes},
              {"metadata_count", h.metadata_count},
              {"source_offset", h.source_offset},
              {"source_bytes", h.source_bytes},
              {"first_weight_row", h.first_weight_row},
              {"world_width", h.world_width},
              {"world_height", h.world_height},
              {"head_sha256", to_hex(h.head_sha256)}});
  return out;
}

Json tensor_json(const Model& model, const TensorInfo& t) {
  const auto [first, last] = model.picture_rows(t);
  Json out = {{"name", t.name},
              {"type", traits(t.type).name},
              {"shape", shape_json(t)},
              {"offset", t.offset},
              {"bytes", t.stored_bytes},
              {"source_bytes", t.source_bytes()},
              {"rows", {first, last}},
              {"world", {{"x", t.world.x}, {"y", t.world.y}, {"w", t.world.w}, {"h", t.world.h}}},
              {"world_parts", t.world_parts},
              {"layout", t.layout == Layout::kCells ? "cells" : "linear"},
              {"layer_type", layer_type_name(t.layer_type)},
              {"sha256", to_hex(t.sha256)}};
  if (t.layer != kNoLayer) out["layer"] = t.layer;
  return out;
}

void add_model(Json& out, const Model& model) {
  out["header"] = header_json(model.header());
  out["tensors"] = Json::array();
  for (const TensorInfo& t : model.tensors()) out["tensors"].push_back(tensor_json(model, t));
  out["metadata"] = metadata_json(model.metadata());
  const SourceRecord& source = model.source();
  if (source.format == 1)
    out["source"] = {{"format", "gguf"},
                     {"version", source.version},
                     {"alignment", source.alignment},
                     {"bytes", source.file_bytes},
                     {"data_offset", source.data_offset},
                     {"residues", source.residues.size()}};
  const Overhead o = overhead_of(model);
  out["overhead"] = {{"source_bytes", o.source_bytes},
                     {"padding_bytes", o.padding_bytes},
                     {"head_bytes", o.head_bytes},
                     {"leftover_bytes", o.leftover_bytes},
                     {"container_bytes", o.container_bytes}};
}

void add_gguf(Json& out, const GgufFile& gguf) {
  out["gguf"] = {{"version", gguf.version}, {"alignment", gguf.alignment}, {"data_offset", gguf.data_offset}};
  out["tensors"] = Json::array();
  for (const TensorInfo& t : gguf.tensors)
    out["tensors"].push_back({{"name", t.name},
                              {"type", traits(t.type).name},
                              {"shape", shape_json(t)},
                              {"offset", t.source_offset},
                              {"bytes", t.source_bytes()}});
  out["metadata"] = metadata_json(gguf.metadata);
}

}  // namespace

nlohmann::ordered_json info_json(const AnyFile& file) {
  Json out = {{"file", {{"path", file.path}, {"bytes", file.file_bytes}}}};
  if (file.gguf) {
    add_gguf(out, *file.gguf);
    return out;
  }
  out["plane"] = plane_json(file.plane());
  if (file.model) add_model(out, *file.model);
  if (file.model_error) out["model_error"] = file.model_error->message;
  return out;
}

std::string dump_json(const nlohmann::ordered_json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

nlohmann::ordered_json value_json(const Metadata::Entry& entry, uint64_t limit) {
  const uint8_t* p = entry.value.data();
  if (entry.type == MetadataType::kArray) return array_json(entry.element_type, entry.count, p, limit);
  return scalar_json(entry.type, p);
}

std::string_view layer_type_name(LayerType type) {
  constexpr std::string_view kNames[] = {"embed", "attention", "feed-forward", "output", "norm", "other"};
  const auto i = static_cast<size_t>(type);
  return i < std::size(kNames) ? kNames[i] : "unknown";
}

std::string_view architecture_name(uint16_t id) {
  constexpr std::string_view kNames[] = {"gpt2", "llama", "qwen2", "qwen3", "gemma3", "mlp"};
  return id < std::size(kNames) ? kNames[id] : "other";
}

Overhead overhead_of(const Model& model) {
  const PixelPlane& plane = model.plane();
  Overhead o;
  uint64_t stored = 0;
  for (const TensorInfo& t : model.tensors()) {
    o.source_bytes += t.source_bytes();
    stored += t.stored_bytes;
  }
  // A version 1 picture need not fill these in as version 2 does.
  const auto minus = [](uint64_t a, uint64_t b) { return a > b ? a - b : 0; };
  o.padding_bytes = minus(stored, o.source_bytes);
  o.head_bytes = model.header().first_weight_row * plane.row_bytes();
  o.leftover_bytes = minus(plane.payload_bytes(), o.head_bytes + stored);
  o.container_bytes = minus(plane.file_bytes(), plane.payload_bytes());
  return o;
}

}  // namespace pixellm::cli
