// Small models for tests: every type, shapes that do not fill cells, a source record with residues.
#pragma once
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "base/file.h"
#include "model/model.h"
#include "model/model_writer.h"
#include "model/test_pairs.h"
#include "pixel/pxif.h"

namespace pixellm {

// A folder of its own, gone at the end.
class TestFolder {
 public:
  TestFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "pixellm-model-XXXXXX").string();
    PIXELLM_ASSERT(::mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
  }
  ~TestFolder() { std::filesystem::remove_all(folder_); }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  bool is_empty() const { return std::filesystem::is_empty(folder_); }

 private:
  std::filesystem::path folder_;
};

class TestModel {
 public:
  std::vector<TensorInfo> tensors;
  std::vector<std::vector<uint8_t>> data;  // GGUF bytes of each
  Pairs pairs;
  SourceRecord source{
      .format = 1, .version = 3, .alignment = 32, .file_bytes = 0, .data_offset = 4096, .residues = {}};

  explicit TestModel(std::string_view arch = "llama", uint32_t n_heads = 2, uint32_t n_kv_heads = 1,
                     uint32_t n_layers = 1) {
    const std::string a(arch);
    pairs.string("general.architecture", arch)
        .u32(a + ".block_count", n_layers)
        .u32(a + ".embedding_length", 64);
    pairs.u32(a + ".attention.head_count", n_heads).u32(a + ".attention.head_count_kv", n_kv_heads);
    pairs.u32(a + ".feed_forward_length", 96).u32(a + ".context_length", 128);
    pairs.array("tokenizer.ggml.tokens", MetadataType::kString, 3).text("<s>").text("a").text("\xc3\xa9");
  }

  // dims in GGUF order: columns first. The bytes are a pattern whose f16 and f32 values are finite.
  TestModel& add(std::string name, TensorType type, std::vector<uint64_t> dims) {
    TensorInfo t;
    t.name = std::move(name);
    t.type = type;
    t.n_dims = static_cast<uint32_t>(dims.size());
    std::copy(dims.begin(), dims.end(), t.dims.begin());
    t.source_offset =
        round_up(source.file_bytes > source.data_offset ? source.file_bytes - source.data_offset : 0, 32);
    source.file_bytes = source.data_offset + t.source_offset + t.source_bytes();
    std::vector<uint8_t> bytes(t.source_bytes());
    uint32_t x = static_cast<uint32_t>(tensors.size()) * 7919 + 1;
    for (uint8_t& b : bytes) b = static_cast<uint8_t>((x = x * 1664525u + 1013904223u) >> 24 & 0xBF);
    data.push_back(std::move(bytes));
    tensors.push_back(std::move(t));
    return *this;
  }

  // One matrix of every type, vectors, three dimensions, heads, a layer.
  static TestModel every_type() {
    TestModel m;
    m.add("blk.0.attn_norm.weight", TensorType::kF32, {64}).add("output_norm.weight", TensorType::kF32, {64});
    for (const TypeTraits& t : kTypes) {
      const uint64_t k = t.block_elements == 256 ? 512 : t.block_elements == 32 ? 96 : 67;
      m.add("types." + std::string(t.name), t.type, {k, 19});
    }
    m.add("token_embd.weight", TensorType::kQ8_0, {64, 33})
        .add("blk.0.attn_q.weight", TensorType::kQ4_0, {64, 64});
    m.add("blk.0.attn_k.weight", TensorType::kQ4_0, {64, 32})
        .add("blk.0.attn_output.weight", TensorType::kQ4_1, {64, 64});
    m.add("blk.0.ffn_down.weight", TensorType::kF16, {96, 64}).add("cube", TensorType::kF16, {5, 3, 7});
    m.add("row", TensorType::kF32, {70, 1}).add("rope_freqs.weight", TensorType::kF32, {3});
    m.add("vector.Q8_0", TensorType::kQ8_0, {64})
        .add("vector.F16", TensorType::kF16, {9})
        .add("long", TensorType::kF32, {6000});
    m.source.file_bytes += 40;
    m.source.residues = {{4000, {1, 2, 3}}, {m.source.file_bytes - 2, {9, 8}}};
    return m;
  }

  // The model of spec/fixtures/pxi-llm-2.0.png and of the spec's hexdump.
  static TestModel smallest() {
    TestModel m;
    m.add("blk.0.attn_q.weight", TensorType::kQ4_0, {64, 32})
        .add("blk.0.attn_norm.weight", TensorType::kF32, {64});
    m.source.residues = {{4000, {1, 2, 3}}};
    return m;
  }

  Result<ModelPlan> plan(std::optional<uint64_t> row_bytes = {}) const {
    return plan_model(tensors, pairs.parse(), source, row_bytes);
  }

  Result<void> write(const std::string& path, std::optional<uint64_t> row_bytes = {}) const {
    ModelPlan made = PIXELLM_TRY(plan(row_bytes));
    auto writer = PIXELLM_TRY(ModelWriter::create(path, std::move(made)));
    for (const size_t i : std::vector<size_t>(writer.order()))
      PIXELLM_CHECK(writer.write_tensor(i, [&](uint64_t offset, MutableBytes out) -> Result<void> {
        PIXELLM_ASSERT(offset + out.size() <= data[i].size());
        std::memcpy(out.data(), data[i].data() + offset, out.size());
        return {};
      }));
    return writer.finish();
  }

  // The payload of the picture written to a file.
  std::vector<uint8_t> payload(std::optional<uint64_t> row_bytes = {}) const {
    const TestFolder folder;
    PIXELLM_ASSERT(write(folder.path("m.png"), row_bytes));
    const auto plane = PixelPlane::open(folder.path("m.png"));
    PIXELLM_ASSERT(plane);
    std::vector<uint8_t> bytes(plane->payload_bytes());
    PIXELLM_ASSERT(plane->read(0, bytes));
    return bytes;
  }
};

// A PXIF container around a payload: a plane whose bytes tests may change freely.
inline std::vector<uint8_t> wrap_in_pxif(Bytes payload, uint64_t row_bytes) {
  const uint64_t rows = ceil_div(payload.size(), row_bytes);
  PxifHeader header{.original_size = payload.size(),
                    .width = static_cast<uint32_t>(row_bytes / 3),
                    .height = static_cast<uint32_t>(rows),
                    .checksum = sha256(payload)};
  std::array<uint8_t, PxifHeader::kEncodedLength> encoded;
  header.encode(encoded);
  std::vector<uint8_t> file(PxifHeader::kEncodedLength + rows * row_bytes);
  std::ranges::copy(encoded, file.begin());
  std::ranges::copy(payload, file.begin() + PxifHeader::kEncodedLength);
  return file;
}

// `file` must outlive the model.
inline Result<Model> open_wrapped(const std::vector<uint8_t>& file) {
  auto plane = PIXELLM_TRY(PixelPlane::open_bytes(file, "test"));
  return Model::from_plane(std::move(plane));
}

inline std::vector<uint8_t> source_bytes(const Model& model, const TensorInfo& t, bool release = false) {
  std::vector<uint8_t> out;
  const auto keep = [&](Bytes b) -> Result<void> {
    return out.insert(out.end(), b.begin(), b.end()), Result<void>();
  };
  PIXELLM_ASSERT(model.read_source_bytes(t, keep, release));
  return out;
}

}  // namespace pixellm
