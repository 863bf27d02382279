// Test helper: builds GGUF files in memory, lawful ones and, where a test asks, unlawful ones.
//
//   GgufBuilder b;
//   b.string("general.architecture", "llama").tensor("a.weight", TensorType::kQ8_0, {64, 17});
//   std::vector<uint8_t> bytes = b.build();
#pragma once
#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "model/metadata.h"
#include "tensor/dtype.h"

namespace pixellm {

class GgufBuilder {
 public:
  uint32_t version = 3;
  uint32_t alignment = 32;                           // also written as general.alignment when not 32
  std::optional<uint64_t> tensor_count, pair_count;  // instead of the true ones
  bool pad_end = true;                               // fill the data section to a multiple of the alignment
  std::vector<uint8_t> trailing;                     // behind everything
  uint8_t padding = 0;                               // value of the bytes between the tensors
  uint64_t seed = 1;

  // ---- metadata
  GgufBuilder& string(std::string_view key, std::string_view value) {
    begin(key, MetadataType::kString);
    append_string(pairs_, value);
    return *this;
  }
  template <class T>
  GgufBuilder& scalar(std::string_view key, T value) {
    begin(key, type_of<T>());
    append<T>(pairs_, value);
    return *this;
  }
  GgufBuilder& boolean(std::string_view key, bool value) {
    return raw(key, MetadataType::kBool, {uint8_t{value}});
  }
  GgufBuilder& strings(std::string_view key, const std::vector<std::string>& values) {
    begin_array(key, MetadataType::kString, values.size());
    for (const auto& v : values) append_string(pairs_, v);
    return *this;
  }
  template <class T>
  GgufBuilder& array(std::string_view key, const std::vector<T>& values) {
    begin_array(key, type_of<T>(), values.size());
    for (const T v : values) append<T>(pairs_, v);
    return *this;
  }
  GgufBuilder& raw(std::string_view key, MetadataType type, const std::vector<uint8_t>& value) {
    begin(key, type);
    pairs_.insert(pairs_.end(), value.begin(), value.end());
    return *this;
  }

  // ---- tensors
  struct Tensor {
    std::string name;
    uint32_t type;
    std::vector<uint64_t> dims;
    uint64_t bytes;
    std::optional<uint64_t> offset;      // instead of the next free one
    std::vector<uint8_t> contents = {};  // instead of random bytes
  };
  std::vector<Tensor> tensors;

  GgufBuilder& tensor(std::string name, TensorType type, std::vector<uint64_t> dims,
                      std::optional<uint64_t> offset = {}) {
    const auto& t = traits(type);
    uint64_t elements = 1;
    for (const uint64_t d : dims) elements *= d;
    tensors.push_back({std::move(name),
                       static_cast<uint32_t>(type),
                       std::move(dims),
                       elements / t.block_elements * t.block_bytes,
                       offset,
                       {}});
    return *this;
  }

  template <class T>
  static void append(std::vector<uint8_t>& out, T value) {
    out.resize(out.size() + sizeof(T));
    store_le<T>(out.data() + out.size() - sizeof(T), value);
  }
  static void append_string(std::vector<uint8_t>& out, std::string_view text) {
    append<uint64_t>(out, text.size());
    out.insert(out.end(), text.begin(), text.end());
  }

  // Weights are random bytes of `seed`: conversion must not look at values.
  std::vector<uint8_t> build() const {
    GgufBuilder copy = *this;
    if (alignment != 32) copy.scalar<uint32_t>("general.alignment", alignment);
    return copy.encode();
  }

 private:
  template <class T>
  static constexpr MetadataType type_of() {
    if constexpr (std::is_same_v<T, uint8_t>) return MetadataType::kUint8;
    if constexpr (std::is_same_v<T, int8_t>) return MetadataType::kInt8;
    if constexpr (std::is_same_v<T, uint16_t>) return MetadataType::kUint16;
    if constexpr (std::is_same_v<T, int16_t>) return MetadataType::kInt16;
    if constexpr (std::is_same_v<T, uint32_t>) return MetadataType::kUint32;
    if constexpr (std::is_same_v<T, int32_t>) return MetadataType::kInt32;
    if constexpr (std::is_same_v<T, float>) return MetadataType::kFloat32;
    if constexpr (std::is_same_v<T, uint64_t>) return MetadataType::kUint64;
    if constexpr (std::is_same_v<T, int64_t>) return MetadataType::kInt64;
    if constexpr (std::is_same_v<T, double>) return MetadataType::kFloat64;
  }
  void begin(std::string_view key, MetadataType type) {
    append_string(pairs_, key);
    append<uint32_t>(pairs_, static_cast<uint32_t>(type));
    n_pairs_++;
  }
  void begin_array(std::string_view key, MetadataType element, uint64_t count) {
    begin(key, MetadataType::kArray);
    append<uint32_t>(pairs_, static_cast<uint32_t>(element));
    append<uint64_t>(pairs_, count);
  }

  std::vector<uint8_t> encode() const {
    std::vector<uint8_t> out = {'G', 'G', 'U', 'F'};
    append<uint32_t>(out, version);
    append<uint64_t>(out, tensor_count.value_or(tensors.size()));
    append<uint64_t>(out, pair_count.value_or(n_pairs_));
    out.insert(out.end(), pairs_.begin(), pairs_.end());
    std::vector<uint64_t> offsets;
    uint64_t next = 0;
    for (const Tensor& t : tensors) {
      offsets.push_back(t.offset.value_or(next));
      append_string(out, t.name);
      append<uint32_t>(out, static_cast<uint32_t>(t.dims.size()));
      for (const uint64_t d : t.dims) append<uint64_t>(out, d);
      append<uint32_t>(out, t.type);
      append<uint64_t>(out, offsets.back());
      next = std::max(next, round_up(offsets.back() + t.bytes, std::max(alignment, 1u)));
    }
    if (!tensors.empty() || pad_end) out.resize(round_up(out.size(), std::max(alignment, 1u)), padding);
    const uint64_t data = out.size();
    std::mt19937_64 random(seed);
    for (size_t i = 0; i < tensors.size(); i++) {
      const uint64_t begin = data + offsets[i], end = begin + tensors[i].bytes;
      if (out.size() < end) out.resize(end, padding);
      const auto& contents = tensors[i].contents;
      for (uint64_t p = begin; p < end; p++)
        out[p] = p - begin < contents.size() ? contents[p - begin] : static_cast<uint8_t>(random());
    }
    if (pad_end) out.resize(round_up(out.size(), std::max(alignment, 1u)), padding);
    out.insert(out.end(), trailing.begin(), trailing.end());
    return out;
  }

  std::vector<uint8_t> pairs_;
  uint64_t n_pairs_ = 0;
};

}  // namespace pixellm
