#include "convert/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <string_view>

#include "base/hash.h"
#include "model/text.h"

namespace pixellm {
namespace {

// Limits. The GGUF text knows none for counts and lengths; these are far above every published model and keep
// a damaged file from costing memory. Names: the text says at most 64 bytes.
constexpr uint64_t kMaxTensors = uint64_t{1} << 18;
constexpr uint64_t kMaxPairs = uint64_t{1} << 20;
constexpr uint64_t kMaxMetadataBytes = uint64_t{256} << 20;
constexpr uint64_t kMaxNameBytes = 64;
constexpr uint64_t kMaxKeyBytes = 65535;
constexpr uint32_t kMaxDims = 4;
constexpr int kMaxArrayDepth = 4;

constexpr std::array<uint8_t, 4> kMagic = {'G', 'G', 'U', 'F'};
constexpr size_t kBufferBytes = 65536;

// Bytes of a value by metadata type; 0: string and array, whose length stands before them.
constexpr std::array<uint8_t, 13> kValueBytes = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
constexpr auto kStringType = static_cast<uint32_t>(MetadataType::kString);
constexpr auto kArrayType = static_cast<uint32_t>(MetadataType::kArray);

std::unexpected<Error> corrupt(std::string_view message) {
  return fail(ErrorCode::kCorrupt, fmt::format("gguf: {}", message));
}

// Reads a source from front to back through one buffer. `what` names the field for the error at the file's
// end.
class Cursor {
 public:
  explicit Cursor(const ByteSource& source) : source_(source) {}
  uint64_t position() const { return position_; }

  Result<void> skip(uint64_t n, std::string_view what) {
    if (n > source_.size() - position_)
      return corrupt(fmt::format("the file ends at byte {} inside {}, which needs {} bytes from {} on",
                                 source_.size(), what, n, position_));
    position_ += n;
    return {};
  }

  Result<Bytes> take(uint64_t n, std::string_view what) {  // n <= kBufferBytes; valid until the next call
    const uint64_t begin = position_;
    PIXELLM_CHECK(skip(n, what));
    if (begin < start_ || position_ > start_ + have_) {
      start_ = begin;
      have_ = std::min<uint64_t>(kBufferBytes, source_.size() - begin);
      PIXELLM_CHECK(source_.read_at(begin, MutableBytes(buffer_).first(have_)));
    }
    return Bytes(buffer_).subspan(begin - start_, n);
  }

  template <class T>
  Result<T> integer(std::string_view what) {
    return load_le<T>(PIXELLM_TRY(take(sizeof(T), what)).data());
  }

  Result<std::string> string(uint64_t limit, std::string_view what) {
    const uint64_t length = PIXELLM_TRY(integer<uint64_t>(what));
    if (length > limit)
      return corrupt(fmt::format("{} has {} bytes, at most {} are allowed", what, length, limit));
    const Bytes bytes = PIXELLM_TRY(take(length, what));
    return std::string(bytes.begin(), bytes.end());
  }

 private:
  const ByteSource& source_;
  uint64_t position_ = 0;
  std::vector<uint8_t> buffer_ = std::vector<uint8_t>(kBufferBytes);
  uint64_t start_ = 0, have_ = 0;
};

Result<void> skip_value(Cursor& cursor, uint32_t type, int depth, const std::string& what);

Result<void> skip_array(Cursor& cursor, int depth, const std::string& what) {
  if (depth == kMaxArrayDepth)
    return corrupt(fmt::format("{} nests arrays more than {} deep", what, kMaxArrayDepth));
  const auto type = PIXELLM_TRY(cursor.integer<uint32_t>(what));
  const auto count = PIXELLM_TRY(cursor.integer<uint64_t>(what));
  if (type < kValueBytes.size() && kValueBytes[type] != 0) {
    const auto bytes = checked_mul(count, kValueBytes[type]);
    if (!bytes) return corrupt(fmt::format("{} counts {} elements", what, count));
    return cursor.skip(*bytes, what);
  }
  // Every element takes at least its own length field, so the file's end bounds the loop.
  for (uint64_t i = 0; i < count; i++) PIXELLM_CHECK(skip_value(cursor, type, depth + 1, what));
  return {};
}

Result<void> skip_value(Cursor& cursor, uint32_t type, int depth, const std::string& what) {
  if (type >= kValueBytes.size())
    return corrupt(fmt::format("{} has type {}, the last one is 12", what, type));
  if (type == kArrayType) return skip_array(cursor, depth, what);
  if (type != kStringType) return cursor.skip(kValueBytes[type], what);
  return cursor.skip(PIXELLM_TRY(cursor.integer<uint64_t>(what)), what);
}

// Finds the end of the pairs, reads them as one piece and has them checked.
Result<Metadata> read_metadata(const ByteSource& source, Cursor& cursor, uint64_t count) {
  const uint64_t begin = cursor.position();
  for (uint64_t i = 0; i < count; i++) {
    const auto key = PIXELLM_TRY(cursor.string(kMaxKeyBytes, fmt::format("key {}", i)));
    const std::string what = fmt::format("metadata {}", quoted(key));
    const auto type = PIXELLM_TRY(cursor.integer<uint32_t>(what));
    PIXELLM_CHECK(skip_value(cursor, type, 0, what));
    if (cursor.position() - begin > kMaxMetadataBytes)
      return fail(ErrorCode::kTooLarge,
                  fmt::format("gguf: the metadata has more than {} bytes", kMaxMetadataBytes));
  }
  std::vector<uint8_t> encoded(cursor.position() - begin);
  PIXELLM_CHECK(source.read_at(begin, encoded));
  return Metadata::parse(std::move(encoded), count);
}

Result<uint32_t> read_alignment(const Metadata& metadata) {
  const Metadata::Entry* entry = metadata.find("general.alignment");
  if (!entry) return 32;
  if (entry->type != MetadataType::kUint32) return corrupt("general.alignment is not a uint32");
  const auto alignment = load_le<uint32_t>(entry->value.data());
  if (alignment == 0 || alignment % 8 != 0)
    return corrupt(fmt::format("general.alignment is {}, a multiple of 8 is needed", alignment));
  return alignment;
}

// Sizes of one tensor that would not fit 64 bits or do not fill whole blocks.
Result<void> check_shape(const TensorInfo& t) {
  uint64_t elements = 1;
  for (uint32_t i = 0; i < t.n_dims; i++) {
    if (t.dims[i] == 0) return corrupt(fmt::format("tensor {}: dimension {} is 0", quoted(t.name), i));
    const auto product = checked_mul(elements, t.dims[i]);
    // Four bytes an element is the most, so this keeps the bytes inside 63 bits as well.
    if (!product || *product > uint64_t{1} << 60)
      return corrupt(
          fmt::format("tensor {}: its dimensions multiply to more than 2^60 elements", quoted(t.name)));
    elements = *product;
  }
  const TypeTraits& type = traits(t.type);
  if (t.k() % type.block_elements != 0)
    return corrupt(fmt::format("tensor {}: rows of {} elements, {} needs a multiple of {}", quoted(t.name),
                               t.k(), type.name, type.block_elements));
  return {};
}

Result<TensorInfo> read_tensor_info(Cursor& cursor, uint64_t index, uint32_t alignment) {
  const std::string number = fmt::format("tensor {}", index);
  TensorInfo t;
  t.name = PIXELLM_TRY(cursor.string(kMaxNameBytes, number + "'s name"));
  if (t.name.empty()) return corrupt(number + " has an empty name");
  const std::string what = fmt::format("tensor {}", quoted(t.name));
  t.n_dims = PIXELLM_TRY(cursor.integer<uint32_t>(what));
  if (t.n_dims == 0 || t.n_dims > kMaxDims)
    return fail(ErrorCode::kUnsupported,
                fmt::format("gguf: {} has {} dimensions, 1 to {} are supported", what, t.n_dims, kMaxDims));
  for (uint32_t i = 0; i < t.n_dims; i++) t.dims[i] = PIXELLM_TRY(cursor.integer<uint64_t>(what));
  const auto type_id = PIXELLM_TRY(cursor.integer<uint32_t>(what));
  const auto type = type_from_id(type_id);
  if (!type) {
    const auto name = ggml_type_name(type_id);
    return fail(ErrorCode::kUnsupported,
                fmt::format("gguf: {} has type {}, which this program does not store", what,
                            name.empty() ? fmt::format("{}", type_id) : std::string(name)));
  }
  t.type = *type;
  t.source_offset = PIXELLM_TRY(cursor.integer<uint64_t>(what));
  if (t.source_offset % alignment != 0)
    return corrupt(
        fmt::format("{} is at offset {}, a multiple of {} is needed", what, t.source_offset, alignment));
  PIXELLM_CHECK(check_shape(t));
  return t;
}

// Names once each, data inside the file and nowhere twice.
Result<void> check_tensors(const GgufFile& gguf, uint64_t file_bytes) {
  const auto& tensors = gguf.tensors;
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), 0);
  const auto name_of = [&](size_t i) -> std::string_view { return tensors[i].name; };
  std::ranges::sort(order, {}, name_of);
  const auto twice = std::ranges::adjacent_find(order, {}, name_of);
  if (twice != order.end())
    return corrupt(fmt::format("two tensors have the name {}", quoted(tensors[*twice].name)));

  std::ranges::sort(order, {}, [&](size_t i) { return tensors[i].source_offset; });
  for (size_t i = 0; i < order.size(); i++) {
    const TensorInfo& t = tensors[order[i]];
    const auto end = checked_add(t.source_offset, t.source_bytes());
    const auto end_in_file = end ? checked_add(gguf.data_offset, *end) : std::nullopt;
    if (!end_in_file || *end_in_file > file_bytes)
      return corrupt(
          fmt::format("tensor {} has {} bytes at offset {} of the data that begins at byte {}, the file "
                      "ends at byte {}",
                      quoted(t.name), t.source_bytes(), t.source_offset, gguf.data_offset, file_bytes));
    if (i + 1 < order.size() && *end > tensors[order[i + 1]].source_offset)
      return corrupt(
          fmt::format("tensors {} and {} overlap", quoted(t.name), quoted(tensors[order[i + 1]].name)));
  }
  return {};
}

Result<void> check_magic_and_version(const ByteSource& source, Cursor& cursor, uint32_t& version) {
  if (source.size() == 0) return fail(ErrorCode::kCorrupt, "is empty, not a GGUF file");
  const Bytes magic = PIXELLM_TRY(cursor.take(std::min<uint64_t>(4, source.size()), "the magic"));
  if (!looks_like_gguf(magic))
    return fail(ErrorCode::kCorrupt,
                fmt::format("is not a GGUF file (begins with {} in hexadecimal)", to_hex(magic)));
  version = PIXELLM_TRY(cursor.integer<uint32_t>("the version"));
  if (version != 0 && (version & 0xffff) == 0)
    return fail(ErrorCode::kUnsupported,
                "gguf: the file is big-endian, only little-endian ones are supported");
  if (version != 2 && version != 3)
    return fail(ErrorCode::kUnsupported,
                fmt::format("gguf: version {}, this program reads 2 and 3", version));
  return {};
}

Result<GgufFile> parse(const ByteSource& source) {
  Cursor cursor(source);
  GgufFile gguf;
  PIXELLM_CHECK(check_magic_and_version(source, cursor, gguf.version));
  const auto n_tensors = PIXELLM_TRY(cursor.integer<uint64_t>("the tensor count"));
  const auto n_pairs = PIXELLM_TRY(cursor.integer<uint64_t>("the metadata count"));
  if (n_tensors > kMaxTensors)
    return fail(ErrorCode::kTooLarge,
                fmt::format("gguf: {} tensors, at most {} are allowed", n_tensors, kMaxTensors));
  if (n_pairs > kMaxPairs)
    return fail(ErrorCode::kTooLarge,
                fmt::format("gguf: {} metadata pairs, at most {} are allowed", n_pairs, kMaxPairs));

  gguf.metadata = PIXELLM_TRY(read_metadata(source, cursor, n_pairs));
  gguf.alignment = PIXELLM_TRY(read_alignment(gguf.metadata));
  for (uint64_t i = 0; i < n_tensors; i++)
    gguf.tensors.push_back(PIXELLM_TRY(read_tensor_info(cursor, i, gguf.alignment)));
  gguf.head_bytes = cursor.position();
  gguf.data_offset = round_up(gguf.head_bytes, gguf.alignment);
  PIXELLM_CHECK(check_tensors(gguf, source.size()));
  return gguf;
}

}  // namespace

bool looks_like_gguf(Bytes first_4) {
  return first_4.size() >= kMagic.size() && std::ranges::equal(first_4.first(kMagic.size()), kMagic);
}

Result<GgufFile> GgufFile::read(const ByteSource& source) {
  auto gguf = parse(source);
  // Errors of the system name the file themselves.
  if (!gguf && gguf.error().code != ErrorCode::kIo) return fail_in(source.name(), std::move(gguf).error());
  return gguf;
}

}  // namespace pixellm
