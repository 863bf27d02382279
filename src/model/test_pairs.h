// Builds GGUF-encoded key/value pairs for tests.
#pragma once
#include <string_view>
#include <vector>

#include "model/metadata.h"

namespace pixellm {

class Pairs {
 public:
  uint64_t count = 0;
  std::vector<uint8_t> bytes;

  template <class T>
  Pairs& raw(std::type_identity_t<T> value) {
    bytes.resize(bytes.size() + sizeof(T));
    store_le<T>(bytes.data() + bytes.size() - sizeof(T), value);
    return *this;
  }
  Pairs& text(std::string_view s) {
    raw<uint64_t>(s.size());
    bytes.insert(bytes.end(), s.begin(), s.end());
    return *this;
  }
  // A key and its value's type; the value follows with raw() or text().
  Pairs& key(std::string_view name, MetadataType type) {
    count++;
    return text(name).raw<uint32_t>(static_cast<uint32_t>(type));
  }
  Pairs& array(std::string_view name, MetadataType element, uint64_t n) {
    return key(name, MetadataType::kArray).raw<uint32_t>(static_cast<uint32_t>(element)).raw<uint64_t>(n);
  }
  Pairs& string(std::string_view name, std::string_view value) {
    return key(name, MetadataType::kString).text(value);
  }
  Pairs& u32(std::string_view name, uint32_t value) {
    return key(name, MetadataType::kUint32).raw<uint32_t>(value);
  }

  Metadata parse() const {
    auto m = Metadata::parse(bytes, count);
    PIXELLM_ASSERT(m);
    return *m;
  }
};

}  // namespace pixellm
