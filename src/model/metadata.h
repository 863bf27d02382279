// The model's metadata: key/value pairs kept byte for byte as they stood in the GGUF, with typed access.
//
//   metadata.string("general.architecture")           // std::optional<std::string_view>
//   metadata.integer("llama.block_count")             // any integer type, as int64; nullopt when absent or not one
//   metadata.strings("tokenizer.ggml.tokens")         // std::optional<std::vector<std::string_view>>
// Views live as long as the Metadata or a copy of it (copies share the bytes). Thread-safe: immutable after parse().
// Spec: spec/pxi-llm.md, "Metadata".
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"

namespace pixellm {

enum class MetadataType : uint32_t {
  kUint8 = 0, kInt8, kUint16, kInt16, kUint32, kInt32, kFloat32, kBool, kString, kArray, kUint64, kInt64, kFloat64
};

class Metadata {
 public:
  struct Entry {
    std::string_view key;
    MetadataType type;           // of the value; kArray: see element_type
    MetadataType element_type;   // of an array's elements, else = type
    uint64_t count;              // elements of an array, else 1
    Bytes value;                 // the encoded value; for an array its elements, without type and count
  };

  Metadata() = default;

  // Takes the encoded pairs (GGUF v2/v3 encoding). Checks every length, type, bool and duplicate key; `count` pairs must
  // use up `encoded` exactly. Keys of 1 to 65,535 bytes; arrays at most 4 deep. kCorrupt names key and field.
  static Result<Metadata> parse(std::vector<uint8_t> encoded, uint64_t count);

  // Length of the encoded pairs at the start of `data`, found by the same checks (for a GGUF, whose pairs come first).
  static Result<uint64_t> measure(Bytes data, uint64_t count);

  Bytes encoded() const { return encoded_ ? Bytes(*encoded_) : Bytes(); }
  const std::vector<Entry>& entries() const { return entries_; }
  const Entry* find(std::string_view key) const;

  std::optional<std::string_view> string(std::string_view key) const;
  std::optional<int64_t> integer(std::string_view key) const;       // a uint64 above int64's range is nullopt
  std::optional<double> number(std::string_view key) const;         // float or integer
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::vector<std::string_view>> strings(std::string_view key) const;
  std::optional<std::vector<int64_t>> integers(std::string_view key) const;   // array of any integer or bool type
  std::optional<std::vector<float>> floats(std::string_view key) const;

 private:
  std::shared_ptr<const std::vector<uint8_t>> encoded_;
  std::vector<Entry> entries_;
  std::vector<uint32_t> by_key_;   // entry indices sorted by key
};

}  // namespace pixellm
