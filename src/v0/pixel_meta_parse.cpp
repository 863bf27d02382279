// Reading meta.json: the validation list of spec/v0.md, section 6.3.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "base/bytes.h"
#include "v0/network.h"
#include "v0/pixel_meta.h"

namespace pixellm::v0 {
namespace {

using Json = nlohmann::json;

// A field of a foreign file for a message: short, and what a terminal can show is not our concern here. Only
// flat arrays are written out: writing is recursive, and a file may nest as deep as it is long.
std::string shown(const Json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array() && std::ranges::any_of(value, &Json::is_structured))
    return fmt::format("an array of {}", value.size());
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

std::unexpected<Error> wrong(std::string_view path, const Json& found, std::string_view wanted) {
  return fail(ErrorCode::kCorrupt, fmt::format("meta: {} is {}; {} is needed", path, shown(found), wanted));
}

// One object of the file. `where` is its path for messages, with a final dot, or empty.
class Fields {
 public:
  Fields(const Json& object, std::string where) : object_(object), where_(std::move(where)) {}

  Result<const Json*> find(const char* key) const {
    const auto it = object_.find(key);
    if (it == object_.end())
      return fail(ErrorCode::kCorrupt, fmt::format("meta: {}{} is missing", where_, key));
    return &*it;
  }

  Result<std::string> text(const char* key) const {
    const Json& v = *PIXELLM_TRY(find(key));
    if (!v.is_string()) return wrong(where_ + key, v, "a string");
    return v.get<std::string>();
  }

  // The string must be `only`.
  Result<void> expect(const char* key, std::string_view only) const {
    const std::string found = PIXELLM_TRY(text(key));
    if (found == only) return {};
    return fail(ErrorCode::kUnsupported,
                fmt::format("meta: {}{} is {}; \"{}\" is read", where_, key, shown(found), only));
  }

  Result<uint64_t> count(const char* key, uint64_t smallest, uint64_t largest) const {
    const Json& v = *PIXELLM_TRY(find(key));
    if (!v.is_number_unsigned() || v.get<uint64_t>() < smallest || v.get<uint64_t>() > largest)
      return wrong(where_ + key, v, fmt::format("a whole number from {} to {}", smallest, largest));
    return v.get<uint64_t>();
  }

  // Finite in float32.
  Result<double> number(const char* key) const {
    const Json& v = *PIXELLM_TRY(find(key));
    const double largest = std::numeric_limits<float>::max();
    if (!v.is_number() || !(std::abs(v.get<double>()) <= largest))
      return wrong(where_ + key, v, "a float32 number");
    return v.get<double>();
  }

 private:
  const Json& object_;
  std::string where_;
};

Result<void> parse_architecture(const Json& json, PixelMeta& meta) {
  if (!json.is_object()) return wrong("architecture", json, "an object");
  const Fields fields(json, "architecture.");
  PIXELLM_CHECK(fields.expect("type", "mlp"));
  meta.vocab_size = static_cast<uint32_t>(PIXELLM_TRY(fields.count("vocab_size", 1, kMaxVocabSize)));
  meta.model_dim = static_cast<uint32_t>(PIXELLM_TRY(fields.count("model_dim", 1, kMaxModelDim)));
  const Json& layers = *PIXELLM_TRY(fields.find("layers"));
  const Json wanted = {"embed", "hidden", "out"};
  if (layers != wanted)
    return fail(ErrorCode::kUnsupported,
                fmt::format("meta: architecture.layers is {}; {} is read", shown(layers), wanted.dump()));
  return {};
}

Result<PixelTensor> parse_tensor(const Json& json, size_t index, const PixelMeta& meta) {
  const std::string where = fmt::format("tensors[{}].", index);
  if (!json.is_object()) return wrong(where.substr(0, where.size() - 1), json, "an object");
  const Fields fields(json, where);
  PixelTensor t;
  t.name = PIXELLM_TRY(fields.text("name"));
  t.shape = tensor_shape(t.name, meta.vocab_size, meta.model_dim);
  if (t.shape.empty())
    return fail(ErrorCode::kUnsupported,
                fmt::format("meta: {}name is {}; embed, hidden, b_hidden, out and b_out are read", where,
                            shown(t.name)));
  PIXELLM_CHECK(fields.expect("dtype", "float32"));
  const Json& shape = *PIXELLM_TRY(fields.find("shape"));
  // JSON's 4.0 equals 4, and is no size.
  const auto is_count = [](const Json& n) { return n.is_number_unsigned(); };
  if (shape != Json(t.shape) || !std::ranges::all_of(shape, is_count))
    return wrong(where + "shape", shape, Json(t.shape).dump());
  uint64_t elements = 1;
  for (const uint64_t n : t.shape) elements *= n;  // at most kMaxVocabSize * kMaxModelDim
  t.offset = PIXELLM_TRY(fields.count("offset", 0, std::numeric_limits<uint32_t>::max()));
  t.length = PIXELLM_TRY(fields.count("length", 0, std::numeric_limits<uint32_t>::max()));
  if (t.length != elements)
    return fail(ErrorCode::kCorrupt, fmt::format("meta: tensor {}: length {}, its shape has {} elements",
                                                 t.name, t.length, elements));
  t.w_min = PIXELLM_TRY(fields.number("w_min"));
  t.w_max = PIXELLM_TRY(fields.number("w_max"));
  if (t.w_min > t.w_max || !std::isfinite(static_cast<float>(t.w_max - t.w_min)))
    return fail(ErrorCode::kCorrupt,
                fmt::format("meta: tensor {}: w_min {} to w_max {} is no range of float32", t.name, t.w_min,
                            t.w_max));
  return t;
}

// Every name once, no byte twice, nothing behind total_bytes.
Result<void> check_tensors(const PixelMeta& meta) {
  std::vector<const PixelTensor*> by_offset;
  for (const PixelTensor& t : meta.tensors) {
    if (std::ranges::count(meta.tensors, t.name, &PixelTensor::name) > 1)
      return fail(ErrorCode::kCorrupt, fmt::format("meta: tensor {} stands there twice", t.name));
    by_offset.push_back(&t);
  }
  std::ranges::sort(by_offset, {}, &PixelTensor::offset);
  uint64_t end = 0, elements = 0;
  for (const PixelTensor* t : by_offset) {
    if (t->offset < end)
      return fail(ErrorCode::kCorrupt,
                  fmt::format("meta: tensor {} begins at byte {}, inside the tensor before it, "
                              "which ends at {}",
                              t->name, t->offset, end));
    end = t->offset + t->length;
    elements += t->length;
  }
  if (end > meta.total_bytes)
    return fail(ErrorCode::kCorrupt, fmt::format("meta: tensor {} ends at byte {}, total_bytes is {}",
                                                 by_offset.back()->name, end, meta.total_bytes));
  if (meta.total_params != elements)
    return fail(ErrorCode::kCorrupt,
                fmt::format("meta: total_params is {}, the tensors have {}", meta.total_params, elements));
  return {};
}

Result<void> parse_tensors(const Json& json, PixelMeta& meta) {
  constexpr size_t kTensors = 5;
  if (!json.is_array() || json.size() != kTensors)
    return fail(
        ErrorCode::kCorrupt,
        fmt::format("meta: tensors is {}; an array of {} is needed",
                    json.is_array() ? fmt::format("an array of {}", json.size()) : shown(json), kTensors));
  for (size_t i = 0; i < kTensors; i++) meta.tensors.push_back(PIXELLM_TRY(parse_tensor(json[i], i, meta)));
  return check_tensors(meta);
}

// The file as JSON in which no object has a name twice: of two values, programs take different ones.
Result<Json> parse_json(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf"))
    return fail(ErrorCode::kCorrupt, "meta: begins with a byte order mark, which JSON has not");
  std::vector<std::set<std::string>> names;  // of the objects that are open
  std::optional<std::string> twice;
  const auto watch = [&](int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) names.emplace_back();
    if (event == Json::parse_event_t::object_end) names.pop_back();
    if (event == Json::parse_event_t::key && !names.back().insert(parsed.get<std::string>()).second && !twice)
      twice = shown(parsed);
    return true;
  };
  Json json = Json::parse(text, watch, /*allow_exceptions=*/false);
  if (json.is_discarded()) return fail(ErrorCode::kCorrupt, "meta: is not JSON");
  if (twice)
    return fail(ErrorCode::kCorrupt, fmt::format("meta: the name {} stands twice in one object", *twice));
  if (!json.is_object()) return wrong("the file", json, "an object");
  return json;
}

}  // namespace

Result<PixelMeta> PixelMeta::parse(std::string_view text) {
  if (text.size() > kMaxMetaBytes)
    return fail(ErrorCode::kTooLarge,
                fmt::format("meta: {} bytes, {} are allowed", text.size(), kMaxMetaBytes));
  const Json json = PIXELLM_TRY(parse_json(text));
  const Fields fields(json, "");
  PixelMeta meta;
  meta.model_name = PIXELLM_TRY(fields.text("model_name"));
  meta.version = PIXELLM_TRY(fields.text("version"));
  meta.image_path = PIXELLM_TRY(fields.text("image_path"));
  PIXELLM_CHECK(fields.expect("quantization", "uint8_per_tensor"));
  const Json& architecture = *PIXELLM_TRY(fields.find("architecture"));
  PIXELLM_CHECK(parse_architecture(architecture, meta));
  meta.total_params = PIXELLM_TRY(fields.count("total_params", 1, kMaxParameters));
  meta.total_bytes = PIXELLM_TRY(fields.count("total_bytes", 1, 2 * kMaxParameters));
  if (meta.total_bytes % 3 != 0)
    return fail(ErrorCode::kCorrupt,
                fmt::format("meta: total_bytes is {}; a multiple of 3 is needed, the padding included",
                            meta.total_bytes));
  constexpr uint64_t kMaxSide = 0x7fffffff;
  meta.image_width = static_cast<uint32_t>(PIXELLM_TRY(fields.count("image_width", 1, kMaxSide)));
  meta.image_height = static_cast<uint32_t>(PIXELLM_TRY(fields.count("image_height", 1, kMaxSide)));
  const uint64_t rows = ceil_div(meta.total_bytes / 3, meta.image_width);
  if (rows != meta.image_height)
    return fail(ErrorCode::kCorrupt,
                fmt::format("meta: {} bytes fill {} rows of {} pixels, image_height is {}", meta.total_bytes,
                            rows, meta.image_width, meta.image_height));
  const Json& tensors = *PIXELLM_TRY(fields.find("tensors"));
  PIXELLM_CHECK(parse_tensors(tensors, meta));
  return meta;
}

}  // namespace pixellm::v0
