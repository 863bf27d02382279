#include "model/metadata.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "model/text.h"

namespace pixellm {
namespace {

constexpr uint64_t kMaxPairs = uint64_t{1} << 20;
constexpr uint64_t kMaxKeyBytes = 65535;
constexpr int kMaxArrayDepth = 4;
constexpr uint32_t kTypeCount = 13;
constexpr uint64_t kMinPairBytes = 8 + 1 + 4 + 1;  // key length, key, type, value

// Bytes of a value of fixed size; 0 for strings and arrays.
constexpr uint64_t fixed_bytes(MetadataType type) {
  constexpr uint8_t kBytes[kTypeCount] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return kBytes[static_cast<uint32_t>(type)];
}

std::string_view as_text(Bytes b) { return {reinterpret_cast<const char*>(b.data()), b.size()}; }

// Walks encoded pairs from front to back; every step is checked against what is left.
class PairWalker {
 public:
  explicit PairWalker(Bytes data) : data_(data) {}
  uint64_t position() const { return position_; }

  Result<Metadata::Entry> next(uint64_t index) {
    key_ = fmt::format("pair {}", index);
    Metadata::Entry entry{};
    uint64_t key_bytes = PIXELLM_TRY(integer<uint64_t>("key length"));
    if (key_bytes == 0 || key_bytes > kMaxKeyBytes)
      return wrong(fmt::format("a key of {} bytes, 1 to {} are allowed", key_bytes, kMaxKeyBytes));
    entry.key = as_text(PIXELLM_TRY(take(key_bytes, "key")));
    key_ = "key " + quoted(entry.key);
    entry.type = entry.element_type = PIXELLM_TRY(value_type());
    entry.count = 1;
    if (entry.type == MetadataType::kArray) {
      entry.element_type = PIXELLM_TRY(value_type());
      entry.count = PIXELLM_TRY(integer<uint64_t>("array length"));
      entry.value = PIXELLM_TRY(elements(entry.element_type, entry.count, 1));
    } else {
      entry.value = PIXELLM_TRY(elements(entry.type, 1, 0));
    }
    return entry;
  }

 private:
  std::unexpected<Error> wrong(const std::string& what) const {
    return fail(ErrorCode::kCorrupt, fmt::format("metadata: {}: {}", key_, what));
  }

  Result<Bytes> take(uint64_t n, std::string_view field) {
    const uint64_t left = data_.size() - position_;
    if (n > left) return wrong(fmt::format("{} needs {} bytes, {} are left", field, n, left));
    position_ += n;
    return data_.subspan(position_ - n, n);
  }

  template <class T>
  Result<T> integer(std::string_view field) {
    return load_le<T>(PIXELLM_TRY(take(sizeof(T), field)).data());
  }

  Result<MetadataType> value_type() {
    const uint32_t id = PIXELLM_TRY(integer<uint32_t>("type"));
    if (id >= kTypeCount) return wrong(fmt::format("type {}, 0 to {} exist", id, kTypeCount - 1));
    return static_cast<MetadataType>(id);
  }

  // Checks `count` values of one type and returns their bytes. `depth` counts the arrays around them.
  Result<Bytes> elements(MetadataType type, uint64_t count, int depth) {
    const uint64_t begin = position_;
    if (const uint64_t size = fixed_bytes(type); size != 0) {
      const auto bytes = checked_mul(count, size);
      if (!bytes) return wrong(fmt::format("an array of {} elements", count));
      const Bytes value = PIXELLM_TRY(take(*bytes, depth ? "array" : "value"));
      if (type == MetadataType::kBool && std::ranges::any_of(value, [](uint8_t b) { return b > 1; }))
        return wrong("a bool that is neither 0 nor 1");
      return value;
    }
    // Every element takes bytes of its own, so the data's end bounds both loops.
    if (type == MetadataType::kString) {
      for (uint64_t i = 0; i < count; i++) {
        const uint64_t length = PIXELLM_TRY(integer<uint64_t>("string length"));
        PIXELLM_CHECK(take(length, "string"));
      }
    } else {
      if (depth == kMaxArrayDepth)
        return wrong(fmt::format("arrays nested more than {} deep", kMaxArrayDepth));
      for (uint64_t i = 0; i < count; i++) {
        const MetadataType inner = PIXELLM_TRY(value_type());
        const uint64_t inner_count = PIXELLM_TRY(integer<uint64_t>("array length"));
        PIXELLM_CHECK(elements(inner, inner_count, depth + 1));
      }
    }
    return data_.subspan(begin, position_ - begin);
  }

  Bytes data_;
  uint64_t position_ = 0;
  std::string key_;  // of the current pair, for messages
};

Result<void> check_count(Bytes data, uint64_t count) {
  if (count > kMaxPairs)
    return fail(ErrorCode::kTooLarge,
                fmt::format("metadata: {} pairs, at most {} are allowed", count, kMaxPairs));
  if (count <= data.size() / kMinPairBytes) return {};
  return fail(ErrorCode::kCorrupt, fmt::format("metadata: {} pairs in {} bytes", count, data.size()));
}

// The integer at `p`; nullopt for other types and for what int64 cannot hold.
std::optional<int64_t> integer_at(MetadataType type, const uint8_t* p) {
  switch (type) {
    case MetadataType::kUint8:
      return *p;
    case MetadataType::kInt8:
      return static_cast<int8_t>(*p);
    case MetadataType::kUint16:
      return load_le<uint16_t>(p);
    case MetadataType::kInt16:
      return load_le<int16_t>(p);
    case MetadataType::kUint32:
      return load_le<uint32_t>(p);
    case MetadataType::kInt32:
      return load_le<int32_t>(p);
    case MetadataType::kInt64:
      return load_le<int64_t>(p);
    case MetadataType::kUint64: {
      const auto v = load_le<uint64_t>(p);
      return v > INT64_MAX ? std::nullopt : std::optional(static_cast<int64_t>(v));
    }
    default:
      return std::nullopt;
  }
}

}  // namespace

Result<Metadata> Metadata::parse(std::vector<uint8_t> encoded, uint64_t count) {
  Metadata m;
  m.encoded_ = std::make_shared<const std::vector<uint8_t>>(std::move(encoded));
  PIXELLM_CHECK(check_count(*m.encoded_, count));
  m.entries_.reserve(count);
  PairWalker walker(*m.encoded_);
  for (uint64_t i = 0; i < count; i++) m.entries_.push_back(PIXELLM_TRY(walker.next(i)));
  if (walker.position() != m.encoded_->size())
    return fail(ErrorCode::kCorrupt, fmt::format("metadata: {} pairs end at byte {} of {}", count,
                                                 walker.position(), m.encoded_->size()));
  m.by_key_.resize(count);
  std::iota(m.by_key_.begin(), m.by_key_.end(), 0u);
  const auto key_of = [&m](uint32_t i) { return m.entries_[i].key; };
  std::ranges::sort(m.by_key_, {}, key_of);
  const auto twice = std::ranges::adjacent_find(m.by_key_, {}, key_of);
  if (twice != m.by_key_.end())
    return fail(ErrorCode::kCorrupt, fmt::format("metadata: key {} stands twice", quoted(key_of(*twice))));
  return m;
}

Result<uint64_t> Metadata::measure(Bytes data, uint64_t count) {
  PIXELLM_CHECK(check_count(data, count));
  PairWalker walker(data);
  for (uint64_t i = 0; i < count; i++) PIXELLM_CHECK(walker.next(i));
  return walker.position();
}

const Metadata::Entry* Metadata::find(std::string_view key) const {
  const auto key_of = [this](uint32_t i) { return entries_[i].key; };
  const auto it = std::ranges::lower_bound(by_key_, key, {}, key_of);
  return it != by_key_.end() && key_of(*it) == key ? &entries_[*it] : nullptr;
}

std::optional<std::string_view> Metadata::string(std::string_view key) const {
  const Entry* e = find(key);
  if (!e || e->type != MetadataType::kString) return std::nullopt;
  return as_text(e->value.subspan(8));
}

std::optional<int64_t> Metadata::integer(std::string_view key) const {
  const Entry* e = find(key);
  return e ? integer_at(e->type, e->value.data()) : std::nullopt;
}

std::optional<double> Metadata::number(std::string_view key) const {
  const Entry* e = find(key);
  if (!e) return std::nullopt;
  if (e->type == MetadataType::kFloat32) return load_le<float>(e->value.data());
  if (e->type == MetadataType::kFloat64) return load_le<double>(e->value.data());
  if (e->type == MetadataType::kUint64) return static_cast<double>(load_le<uint64_t>(e->value.data()));
  const auto i = integer_at(e->type, e->value.data());
  return i ? std::optional(static_cast<double>(*i)) : std::nullopt;
}

std::optional<bool> Metadata::boolean(std::string_view key) const {
  const Entry* e = find(key);
  if (!e || e->type != MetadataType::kBool) return std::nullopt;
  return e->value[0] != 0;
}

std::optional<std::vector<std::string_view>> Metadata::strings(std::string_view key) const {
  const Entry* e = find(key);
  if (!e || e->type != MetadataType::kArray || e->element_type != MetadataType::kString) return std::nullopt;
  std::vector<std::string_view> out(e->count);
  const uint8_t* p = e->value.data();
  for (std::string_view& s : out) {
    s = {reinterpret_cast<const char*>(p) + 8, load_le<uint64_t>(p)};
    p += 8 + s.size();
  }
  return out;
}

std::optional<std::vector<int64_t>> Metadata::integers(std::string_view key) const {
  const Entry* e = find(key);
  if (!e || e->type != MetadataType::kArray) return std::nullopt;
  const MetadataType type = e->element_type == MetadataType::kBool ? MetadataType::kUint8 : e->element_type;
  const uint64_t size = fixed_bytes(type);
  if (size == 0) return std::nullopt;
  std::vector<int64_t> out(e->count);
  for (uint64_t i = 0; i < e->count; i++) {
    const auto v = integer_at(type, e->value.data() + i * size);
    if (!v) return std::nullopt;
    out[i] = *v;
  }
  return out;
}

std::optional<std::vector<float>> Metadata::floats(std::string_view key) const {
  const Entry* e = find(key);
  if (!e || e->type != MetadataType::kArray) return std::nullopt;
  const bool wide = e->element_type == MetadataType::kFloat64;
  if (!wide && e->element_type != MetadataType::kFloat32) return std::nullopt;
  std::vector<float> out(e->count);
  for (uint64_t i = 0; i < e->count; i++)
    out[i] = wide ? static_cast<float>(load_le<double>(e->value.data() + 8 * i))
                  : load_le<float>(e->value.data() + 4 * i);
  return out;
}

}  // namespace pixellm
