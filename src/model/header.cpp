#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "model/format.h"

namespace pixellm {
namespace {

constexpr std::array<uint8_t, 4> kMagic = {'P', 'X', 'I', 'M'};
constexpr size_t kReservedOffset = 0xC0;

// The fields at their offsets, once for both directions. Spec: "Header".
template <class Header, class Visitor>
void visit_fields(Header& h, const Visitor& field) {
  field(0x04, h.version_major);
  field(0x05, h.version_minor);
  field(0x06, h.architecture);
  field(0x08, h.model_size_bytes);
  field(0x10, h.vocab_size);
  field(0x14, h.n_layers);
  field(0x18, h.embedding_length);
  field(0x1C, h.n_heads);
  field(0x20, h.feed_forward_length);
  field(0x24, h.context_length);
  field(0x28, h.weight_encoding);
  field(0x29, h.precision);
  field(0x2A, h.tile_size);
  field(0x2C, h.width);
  field(0x30, h.height);
  field(0x34, h.weights_sha256);
  field(0x54, h.tensor_count);
  field(0x58, h.directory_offset);
  field(0x60, h.strings_offset);
  field(0x68, h.strings_bytes);
  field(0x70, h.metadata_offset);
  field(0x78, h.metadata_bytes);
  field(0x80, h.metadata_count);
  field(0x84, h.first_weight_row);
  field(0x88, h.source_offset);
  field(0x90, h.source_bytes);
  field(0x98, h.world_width);
  field(0x9C, h.world_height);
  field(kHeadDigestOffset, h.head_sha256);
}

std::unexpected<Error> wrong(ErrorCode code, std::string_view field, uint64_t found, uint64_t allowed) {
  return fail(code, fmt::format("pxim: {} is {}, version 2.0 has {}", field, found, allowed));
}

uint32_t architecture_id(std::string_view name) {
  constexpr std::string_view kNames[] = {"gpt2", "llama", "qwen2", "qwen3", "gemma3", "mlp"};
  const auto* const it = std::ranges::find(kNames, name);
  return it == std::end(kNames) ? 0xffff : static_cast<uint32_t>(it - std::begin(kNames));
}

}  // namespace

void ModelHeader::encode(std::array<uint8_t, kEncodedLength>& out) const {
  out.fill(0);
  std::ranges::copy(kMagic, out.begin());
  visit_fields(*this, [&out]<class T>(size_t offset, const T& value) {
    if constexpr (std::is_same_v<T, Digest>)
      std::ranges::copy(value, out.begin() + static_cast<ptrdiff_t>(offset));
    else
      store_le<T>(&out[offset], value);
  });
}

Result<ModelHeader> ModelHeader::decode(Bytes b) {
  if (b.size() < kEncodedLength)
    return fail(ErrorCode::kCorrupt,
                fmt::format("pxim: the header has {} bytes, {} are needed", b.size(), kEncodedLength));
  if (!std::equal(kMagic.begin(), kMagic.end(), b.begin()))
    return fail(ErrorCode::kUnsupported,
                "pxim: the picture does not begin with the letters PXIM: it is a picture, but not a model");
  ModelHeader h;
  visit_fields(h, [&b]<class T>(size_t offset, T& value) {
    if constexpr (std::is_same_v<T, Digest>)
      std::copy_n(b.begin() + static_cast<ptrdiff_t>(offset), value.size(), value.begin());
    else
      value = load_le<T>(&b[offset]);
  });
  if (h.version_major != 2 || h.version_minor != 0)
    return fail(ErrorCode::kUnsupported, fmt::format("pxim: version {}.{}, this program reads 1.0 and 2.0",
                                                     h.version_major, h.version_minor));
  if (h.weight_encoding != 4) return wrong(ErrorCode::kCorrupt, "weight_encoding", h.weight_encoding, 4);
  if (h.precision != 255) return wrong(ErrorCode::kCorrupt, "precision", h.precision, 255);
  if (h.tile_size != 64) return wrong(ErrorCode::kCorrupt, "tile_size", h.tile_size, 64);
  const Bytes reserved = b.subspan(kReservedOffset, kEncodedLength - kReservedOffset);
  if (std::ranges::any_of(reserved, [](uint8_t v) { return v != 0; }))
    return fail(ErrorCode::kCorrupt,
                fmt::format("pxim: reserved header bytes from 0x{:X} on are not zero", kReservedOffset));
  return h;
}

void fill_from_metadata(ModelHeader& header, const Metadata& metadata) {
  const std::string arch(metadata.string("general.architecture").value_or(""));
  header.architecture = static_cast<uint16_t>(architecture_id(arch));
  const auto field = [&](std::string_view key) -> uint32_t {
    const auto value = metadata.integer(arch + "." + std::string(key));
    return value && *value >= 0 && *value <= UINT32_MAX ? static_cast<uint32_t>(*value) : 0;
  };
  header.n_layers = field("block_count");
  header.embedding_length = field("embedding_length");
  header.n_heads = field("attention.head_count");
  header.feed_forward_length = field("feed_forward_length");
  header.context_length = field("context_length");
  const Metadata::Entry* tokens = metadata.find("tokenizer.ggml.tokens");
  const bool is_list = tokens && tokens->type == MetadataType::kArray && tokens->count <= UINT32_MAX;
  header.vocab_size = is_list ? static_cast<uint32_t>(tokens->count) : arch == "mlp" ? field("vocab_size") : 0;
}

Digest head_digest(Bytes head) {
  constexpr Digest kZero{};
  Sha256 sha;
  sha.update(head.first(kHeadDigestOffset));
  sha.update(kZero);
  sha.update(head.subspan(kHeadDigestOffset + kZero.size()));
  return sha.finish();
}

}  // namespace pixellm
