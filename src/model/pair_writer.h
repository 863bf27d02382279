// Writing metadata: key/value pairs in GGUF's encoding, for models that come from somewhere else.
//
//   PairWriter pairs;
//   pairs.text("general.architecture", "mlp");
//   pairs.integer("mlp.block_count", 1);
//   Metadata metadata = PIXELLM_TRY(pairs.metadata());
// Spec: spec/pxi-llm.md, "Metadata". One thread at a time.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/metadata.h"

namespace pixellm {

class PairWriter {
 public:
  void text(std::string_view key, std::string_view value);
  void integer(std::string_view key, uint32_t value);
  void number(std::string_view key, float value);
  void flag(std::string_view key, bool value);
  void texts(std::string_view key, const std::vector<std::string>& values);
  void integers(std::string_view key, const std::vector<int32_t>& values);

  const std::vector<uint8_t>& bytes() const { return bytes_; }
  uint64_t count() const { return count_; }

  // The pairs, checked as those of a file: a key that is empty, too long or there twice is kCorrupt.
  Result<Metadata> metadata() const { return Metadata::parse(bytes_, count_); }

 private:
  void begin(std::string_view key, MetadataType type);
  void put_text(std::string_view value);
  template <class T>
  void put(T value);

  std::vector<uint8_t> bytes_;
  uint64_t count_ = 0;
};

}  // namespace pixellm
