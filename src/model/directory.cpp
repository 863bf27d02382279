// The directory, the names and the source record: bytes to structures and back.
#include <fmt/format.h>

#include <algorithm>

#include "model/format.h"
#include "model/text.h"

namespace pixellm {
namespace {

// A directory entry's fields at their offsets, once for both directions. Spec: "Directory entry".
struct RawEntry {
  uint64_t offset, stored_bytes, name_offset, source_offset;
  Rect world;
  uint8_t layer_type, layout;
  uint16_t layer, n_dims, world_parts;
  uint32_t type, name_length;
  std::array<uint64_t, 4> dims;
  Digest sha256;

  template <class Entry, class Visitor>
  static void visit(Entry& e, const Visitor& field) {
    field(0x00, e.offset);
    field(0x08, e.world.w);
    field(0x0C, e.world.h);
    field(0x10, e.layer_type);
    field(0x11, e.layout);
    field(0x12, e.layer);
    field(0x14, e.type);
    field(0x18, e.world.x);
    field(0x1C, e.world.y);
    field(0x20, e.stored_bytes);
    field(0x28, e.n_dims);
    field(0x2A, e.world_parts);
    field(0x2C, e.name_length);
    field(0x30, e.name_offset);
    for (size_t i = 0; i < 4; i++) field(0x38 + 8 * i, e.dims[i]);
    field(0x58, e.source_offset);
    field(0x60, e.sha256);
  }
};

std::unexpected<Error> corrupt(std::string message) {
  return fail(ErrorCode::kCorrupt, "pxim: " + std::move(message));
}

Result<TensorInfo> to_tensor(const RawEntry& e, uint64_t index, std::string name) {
  TensorInfo t{.name = std::move(name),
               .layout = static_cast<Layout>(e.layout),
               .layer_type = static_cast<LayerType>(e.layer_type),
               .layer = e.layer,
               .world_parts = e.world_parts,
               .n_dims = e.n_dims,
               .dims = e.dims,
               .offset = e.offset,
               .stored_bytes = e.stored_bytes,
               .source_offset = e.source_offset,
               .world = e.world,
               .sha256 = e.sha256};
  const auto type = type_from_id(e.type);
  if (!type) {
    const std::string_view known = ggml_type_name(e.type);
    return fail(ErrorCode::kUnsupported,
                fmt::format("pxim: {} has type {} ({}), which pictures do not hold", tensor_label(index, t),
                            e.type, known.empty() ? "unknown" : known));
  }
  t.type = *type;
  if (e.layer_type > static_cast<uint8_t>(LayerType::kOther))
    return corrupt(fmt::format("{} has layer type {}, 0 to 5 exist", tensor_label(index, t), e.layer_type));
  if (e.layout != static_cast<uint8_t>(e.n_dims == 1 ? Layout::kLinear : Layout::kCells))
    return corrupt(
        fmt::format("{} has layout {} and {} dimensions", tensor_label(index, t), e.layout, e.n_dims));
  return t;
}

}  // namespace

std::string tensor_label(uint64_t index, const TensorInfo& t) {
  return fmt::format("tensor {} {}", index, quoted(t.name));
}

void encode_entry(const TensorInfo& t, uint64_t name_offset, uint8_t* out) {
  const RawEntry e{.offset = t.offset,
                   .stored_bytes = t.stored_bytes,
                   .name_offset = name_offset,
                   .source_offset = t.source_offset,
                   .world = t.world,
                   .layer_type = static_cast<uint8_t>(t.layer_type),
                   .layout = static_cast<uint8_t>(t.layout),
                   .layer = t.layer,
                   .n_dims = static_cast<uint16_t>(t.n_dims),
                   .world_parts = t.world_parts,
                   .type = static_cast<uint32_t>(t.type),
                   .name_length = static_cast<uint32_t>(t.name.size()),
                   .dims = t.dims,
                   .sha256 = t.sha256};
  RawEntry::visit(e, [out]<class T>(size_t offset, const T& value) {
    if constexpr (std::is_same_v<T, Digest>)
      std::ranges::copy(value, out + offset);
    else
      store_le<T>(out + offset, value);
  });
}

Result<std::vector<TensorInfo>> decode_directory(Bytes entries, Bytes strings) {
  std::vector<TensorInfo> tensors;
  tensors.reserve(entries.size() / kDirectoryEntryBytes);
  uint64_t name_end = 0;
  for (uint64_t i = 0; i < entries.size() / kDirectoryEntryBytes; i++) {
    const uint8_t* b = &entries[i * kDirectoryEntryBytes];
    RawEntry e{};
    RawEntry::visit(e, [b]<class T>(size_t offset, T& value) {
      if constexpr (std::is_same_v<T, Digest>)
        std::copy_n(b + offset, value.size(), value.begin());
      else
        value = load_le<T>(b + offset);
    });
    if (e.name_length == 0 || e.name_length > kMaxNameBytes)
      return corrupt(fmt::format("tensor {} has a name of {} bytes, 1 to {} are allowed", i, e.name_length,
                                 kMaxNameBytes));
    if (e.name_offset != name_end || e.name_length > strings.size() - name_end)
      return corrupt(fmt::format(
          "tensor {}: its name stands at byte {} of the strings, {} bytes long; byte {} of {} is next", i,
          e.name_offset, e.name_length, name_end, strings.size()));
    const Bytes name = strings.subspan(name_end, e.name_length);
    name_end += e.name_length;
    tensors.push_back(PIXELLM_TRY(to_tensor(e, i, std::string(name.begin(), name.end()))));
  }
  if (name_end != strings.size())
    return corrupt(fmt::format("the names use {} bytes of {} in the strings", name_end, strings.size()));
  return tensors;
}

// ---- source record

std::vector<uint8_t> encode_source(const SourceRecord& source) {
  if (source.format == 0) return {};
  std::vector<uint8_t> out(kSourceRecordBytes);
  store_le<uint32_t>(&out[0], source.format);
  store_le<uint32_t>(&out[4], source.version);
  store_le<uint32_t>(&out[8], source.alignment);
  store_le<uint32_t>(&out[12], static_cast<uint32_t>(source.residues.size()));
  store_le<uint64_t>(&out[16], source.file_bytes);
  store_le<uint64_t>(&out[24], source.data_offset);
  for (const SourceRecord::Residue& r : source.residues) {
    const size_t at = out.size();
    out.resize(at + 16);
    store_le<uint64_t>(&out[at], r.offset);
    store_le<uint64_t>(&out[at + 8], r.bytes.size());
    out.insert(out.end(), r.bytes.begin(), r.bytes.end());
  }
  return out;
}

Result<SourceRecord> decode_source(Bytes b) {
  SourceRecord source;
  if (b.empty()) return source;
  if (b.size() < kSourceRecordBytes)
    return corrupt(
        fmt::format("the source record has {} bytes, {} are needed", b.size(), kSourceRecordBytes));
  source.format = load_le<uint32_t>(&b[0]);
  source.version = load_le<uint32_t>(&b[4]);
  source.alignment = load_le<uint32_t>(&b[8]);
  const auto n_residues = load_le<uint32_t>(&b[12]);
  source.file_bytes = load_le<uint64_t>(&b[16]);
  source.data_offset = load_le<uint64_t>(&b[24]);
  b = b.subspan(kSourceRecordBytes);
  for (uint32_t i = 0; i < n_residues; i++) {
    if (b.size() < 16)
      return corrupt(fmt::format("source residue {} of {} begins after the record's end", i, n_residues));
    const auto offset = load_le<uint64_t>(&b[0]), size = load_le<uint64_t>(&b[8]);
    b = b.subspan(16);
    if (size > b.size())
      return corrupt(fmt::format("source residue {} has {} bytes, {} are left", i, size, b.size()));
    source.residues.push_back({offset, {b.begin(), b.begin() + static_cast<ptrdiff_t>(size)}});
    b = b.subspan(size);
  }
  if (!b.empty()) return corrupt(fmt::format("{} bytes stand behind the source record", b.size()));
  return source;
}

}  // namespace pixellm
