// Version 1 of the header: what the mission's text fixes is read, what it leaves open is refused by name. The
// text states neither byte order, nor the number of directory entries, their size (its fields sum to 28, it
// says 32) or what their pixel offsets count from. A reading is taken only when the SHA-256 of the weights
// proves it. Spec: spec/pxi-llm.md, "Version 1".
#include <fmt/format.h>

#include <algorithm>

#include "model/format.h"

namespace pixellm {
namespace {

constexpr uint64_t kEntrySizes[] = {28, 32};
constexpr uint64_t kMaxEntries = 65536;

std::unexpected<Error> unsupported(std::string message) {
  return fail(ErrorCode::kUnsupported, "pxim 1.0: " + std::move(message));
}

template <class T>
T load(const uint8_t* p, bool is_big) {
  return is_big ? load_be<T>(p) : load_le<T>(p);
}

ModelHeader decode_header(const uint8_t* b, bool is_big) {
  ModelHeader h;
  h.version_major = b[4];
  h.version_minor = b[5];
  h.architecture = load<uint16_t>(b + 0x06, is_big);
  h.model_size_bytes = load<uint64_t>(b + 0x08, is_big);
  h.vocab_size = load<uint32_t>(b + 0x10, is_big);
  h.n_layers = load<uint32_t>(b + 0x14, is_big);
  h.embedding_length = load<uint32_t>(b + 0x18, is_big);
  h.n_heads = load<uint32_t>(b + 0x1C, is_big);
  h.feed_forward_length = load<uint32_t>(b + 0x20, is_big);
  h.context_length = load<uint32_t>(b + 0x24, is_big);
  h.weight_encoding = b[0x28];
  h.precision = b[0x29];
  h.tile_size = load<uint16_t>(b + 0x2A, is_big);
  h.width = load<uint32_t>(b + 0x2C, is_big);
  h.height = load<uint32_t>(b + 0x30, is_big);
  std::copy_n(b + 0x34, h.weights_sha256.size(), h.weights_sha256.begin());
  return h;
}

struct Run {
  uint64_t offset = 0, bytes = 0;  // payload
  uint8_t type = 0;
  bool operator==(const Run&) const = default;
};

// The entries under one reading: as many as follow each other without a gap. `base` is added to their pixel
// offsets.
std::vector<Run> read_entries(const PixelPlane& plane, uint64_t entry_bytes, bool is_relative) {
  const uint64_t pixels = plane.payload_bytes() / 3;
  std::vector<Run> runs;
  std::array<uint8_t, 32> e{};
  for (uint64_t i = 0; i < kMaxEntries; i++) {
    if (!plane.read(ModelHeader::kEncodedLength + i * entry_bytes, MutableBytes(e).first(entry_bytes))) break;
    const auto offset = load_le<uint64_t>(&e[0]);
    const uint64_t area = uint64_t{load_le<uint32_t>(&e[8])} * load_le<uint32_t>(&e[12]);
    if (area < 2 || area > pixels || offset > pixels || e[16] > 3) break;
    if (i > 0 ? offset * 3 != runs.back().offset + runs.back().bytes : is_relative && offset != 0) break;
    runs.push_back({offset * 3, area * 3, e[16]});
  }
  const uint64_t directory_end = ModelHeader::kEncodedLength + runs.size() * entry_bytes;
  const uint64_t base = is_relative ? round_up(directory_end, 3) : 0;
  for (Run& r : runs) r.offset += base;
  const bool fits = !runs.empty() && runs.front().offset >= directory_end &&
                    runs.back().offset + runs.back().bytes <= plane.payload_bytes();
  if (!fits) runs.clear();
  return runs;
}

Digest hash_runs(const PixelPlane& plane, const std::vector<Run>& runs) {
  Sha256 sha;
  const uint64_t row_bytes = plane.row_bytes(), end = runs.back().offset + runs.back().bytes;
  for (uint64_t at = runs.front().offset; at < end;) {
    const uint64_t n = std::min(end - at, row_bytes - at % row_bytes);
    sha.update(plane.row(at / row_bytes).subspan(at % row_bytes, n));
    at += n;
  }
  return sha.finish();
}

std::vector<TensorInfo> to_tensors(const std::vector<Run>& runs, TensorType type) {
  constexpr std::pair<std::string_view, LayerType> kKinds[] = {{"embed", LayerType::kEmbedding},
                                                               {"attn", LayerType::kAttention},
                                                               {"ffn", LayerType::kFeedForward},
                                                               {"output", LayerType::kOutput}};
  std::vector<TensorInfo> tensors;
  for (size_t i = 0; i < runs.size(); i++) {
    const uint64_t element_bytes = traits(type).block_bytes, n = runs[i].bytes / element_bytes;
    TensorInfo t;
    t.name = fmt::format("layer.{}.{}", i, kKinds[runs[i].type].first);
    t.type = type;
    t.layout = Layout::kLinear;
    t.layer_type = kKinds[runs[i].type].second;
    t.n_dims = 1;
    t.dims[0] = n;
    t.offset = runs[i].offset;
    t.stored_bytes = n * element_bytes;
    tensors.push_back(std::move(t));
  }
  return tensors;
}

}  // namespace

Result<Version1> read_version1(const PixelPlane& plane) {
  std::array<uint8_t, ModelHeader::kEncodedLength> b{};
  PIXELLM_CHECK(plane.read(0, b));
  if (b[5] != 0) return unsupported(fmt::format("version 1.{} was never written down", b[5]));
  ModelHeader h = decode_header(b.data(), false);
  const auto matches = [&](const ModelHeader& c) {
    return c.width == plane.width() && c.height == plane.rows();
  };
  if (!matches(h)) {
    if (matches(decode_header(b.data(), true)))
      return unsupported(
          "the header is big-endian, and the text does not state the byte order of the weights");
    return fail(ErrorCode::kCorrupt,
                fmt::format("pxim 1.0: total_width x total_height is {} x {}, the picture has {} x {}",
                            h.width, h.height, plane.width(), plane.rows()));
  }
  if (h.weight_encoding == 2)
    return unsupported(
        "weight_encoding is 2 (minimum and maximum), and no field stores the minimum and the maximum");
  if (h.weight_encoding != 1 && h.weight_encoding != 3)
    return fail(ErrorCode::kCorrupt,
                fmt::format("pxim 1.0: weight_encoding is {}, 1 to 3 exist", h.weight_encoding));
  const bool is_f32 = h.weight_encoding == 1;
  if (h.precision != (is_f32 ? 0 : 1))
    return unsupported(
        fmt::format("weight_encoding {} with precision {}: one of them decides the type of the weights, the "
                    "text does not say which",
                    h.weight_encoding, h.precision));
  std::vector<Run> proven;
  for (const uint64_t entry_bytes : kEntrySizes)
    for (const bool is_relative : {false, true}) {
      std::vector<Run> runs = read_entries(plane, entry_bytes, is_relative);
      if (runs.empty() || runs == proven || hash_runs(plane, runs) != h.weights_sha256) continue;
      if (!proven.empty()) return unsupported("two readings of the directory have the weights' SHA-256");
      proven = std::move(runs);
    }
  if (!proven.empty()) {
    h.tensor_count = static_cast<uint32_t>(proven.size());
    return Version1{h, to_tensors(proven, is_f32 ? TensorType::kF32 : TensorType::kF16)};
  }
  return unsupported(
      "the directory cannot be decided: neither the number of entries, nor their size (28 or 32), nor the "
      "storage order is stored, and no reading of them has the weights' SHA-256");
}

}  // namespace pixellm
