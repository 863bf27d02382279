// Numbers of the PXI-LLM format that several files of this folder need. Spec: spec/pxi-llm.md.
#pragma once
#include <cstdint>
#include <optional>

#include "model/model.h"
#include "pixel/flat_png.h"

namespace pixellm {

inline constexpr uint64_t kSectionAlignment = 64;  // of every part of the head and of every tensor
inline constexpr uint64_t kDirectoryEntryBytes = 128;
inline constexpr uint64_t kSourceRecordBytes = 32;  // without residues
inline constexpr size_t kHeadDigestOffset = 0xA0;   // head_sha256 in the header

// Limits ("Limits" in the spec).
inline constexpr uint64_t kMaxTensors = uint64_t{1} << 18;
inline constexpr uint64_t kMaxNameBytes = 1024;
inline constexpr uint64_t kMaxElements = uint64_t{1} << 60;
inline constexpr uint64_t kMaxHeadBytes = uint64_t{1} << 30;
inline constexpr uint64_t kMaxPayloadBytes = kFlatMaxRowBytes * kFlatMaxRows;
inline constexpr uint64_t kMaxWorldSide = uint64_t{1} << 31;
// A source file may be larger than the payload only by paddings: at most this factor and this many bytes.
inline constexpr uint64_t kSourceFactor = 4, kSourceSlack = uint64_t{64} << 20;

// Where the parts of the head begin; every offset follows from the sizes. Requires sizes of at most
// kMaxHeadBytes each.
struct HeadSections {
  uint64_t directory, strings, metadata, source, end;  // end: after the source record

  HeadSections(uint64_t tensor_count, uint64_t strings_bytes, uint64_t metadata_bytes, uint64_t source_bytes)
      : directory(ModelHeader::kEncodedLength),
        strings(round_up(directory + tensor_count * kDirectoryEntryBytes, kSectionAlignment)),
        metadata(round_up(strings + strings_bytes, kSectionAlignment)),
        source(round_up(metadata + metadata_bytes, kSectionAlignment)),
        end(source + source_bytes) {}
};

// The tensor's place in rows of `row_bytes`. Requires a valid shape and stored_bytes of at most
// kMaxPayloadBytes.
struct TensorExtent {
  uint64_t end = 0;          // payload byte after its last one
  uint64_t first_cells = 0;  // cells in the row where it begins; 0 of a cell tensor: not even one fits
  uint64_t cells_per_row = 0;
};
TensorExtent tensor_extent(const TensorInfo& t, uint64_t row_bytes);

// Bytes that the tensor takes in the picture by its shape; nullopt when they are more than kMaxPayloadBytes.
std::optional<uint64_t> stored_bytes_of(const TensorInfo& t);

// Checks n_dims, dims and blocks: k a multiple of the block, all dims at least 1, the product at most
// kMaxElements.
Result<void> check_shape(const TensorInfo& t);

// "tensor 3 'blk.0.attn_q.weight'".
std::string tensor_label(uint64_t index, const TensorInfo& t);

// The header's fields that repeat the metadata: architecture, vocab_size, n_layers and so on.
void fill_from_metadata(ModelHeader& header, const Metadata& metadata);

// SHA-256 of the head with the digest's own bytes taken as zero.
Digest head_digest(Bytes head);

// ---- directory and source record (directory.cpp)

void encode_entry(const TensorInfo& t, uint64_t name_offset, uint8_t* out);  // kDirectoryEntryBytes

// Entries and their names, which must stand in `strings` one after the other and use it up. Types must be
// known, the layout the one that n_dims asks for; sizes are not compared with anything yet.
Result<std::vector<TensorInfo>> decode_directory(Bytes entries, Bytes strings);

std::vector<uint8_t> encode_source(const SourceRecord& source);  // empty for format 0
Result<SourceRecord> decode_source(Bytes bytes);

// ---- the list of checks (validate.cpp)

// Header against plane, before anything else of the head is read.
Result<void> validate_head(const ModelHeader& header, const PixelPlane& plane);

// Source record against itself and the tensors. `payload_bytes` bounds the file that an export would write.
Result<void> validate_source(const SourceRecord& source, const std::vector<TensorInfo>& tensors,
                             uint64_t payload_bytes);

// Everything else that the spec's list names. `by_name` receives tensor indices sorted by name.
Result<void> validate_tensors(const ModelHeader& header, const std::vector<TensorInfo>& tensors,
                              uint64_t row_bytes, std::vector<uint32_t>& by_name);

// Indices sorted by name; kCorrupt when two tensors share one.
Result<std::vector<uint32_t>> index_names(const std::vector<TensorInfo>& tensors);

// ---- version 1 (version1.cpp)

struct Version1 {
  ModelHeader header;
  std::vector<TensorInfo> tensors;
};
Result<Version1> read_version1(const PixelPlane& plane);

}  // namespace pixellm
