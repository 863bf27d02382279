#include "model/pair_writer.h"

#include "base/bytes.h"

namespace pixellm {

template <class T>
void PairWriter::put(T value) {
  const size_t at = bytes_.size();
  bytes_.resize(at + sizeof value);
  store_le<T>(bytes_.data() + at, value);
}

void PairWriter::put_text(std::string_view value) {
  put<uint64_t>(value.size());
  bytes_.insert(bytes_.end(), value.begin(), value.end());
}

void PairWriter::begin(std::string_view key, MetadataType type) {
  put_text(key);
  put(static_cast<uint32_t>(type));
  count_++;
}

void PairWriter::text(std::string_view key, std::string_view value) {
  begin(key, MetadataType::kString);
  put_text(value);
}

void PairWriter::integer(std::string_view key, uint32_t value) {
  begin(key, MetadataType::kUint32);
  put(value);
}

void PairWriter::number(std::string_view key, float value) {
  begin(key, MetadataType::kFloat32);
  put(value);
}

void PairWriter::flag(std::string_view key, bool value) {
  begin(key, MetadataType::kBool);
  put<uint8_t>(value);
}

void PairWriter::texts(std::string_view key, const std::vector<std::string>& values) {
  begin(key, MetadataType::kArray);
  put(static_cast<uint32_t>(MetadataType::kString));
  put<uint64_t>(values.size());
  for (const std::string& value : values) put_text(value);
}

void PairWriter::integers(std::string_view key, const std::vector<int32_t>& values) {
  begin(key, MetadataType::kArray);
  put(static_cast<uint32_t>(MetadataType::kInt32));
  put<uint64_t>(values.size());
  for (const int32_t value : values) put(value);
}

}  // namespace pixellm
