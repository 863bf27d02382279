#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <optional>

#include "convert/npz.h"
#include "model/text.h"

namespace pixellm {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kMaxDims = 32;            // NumPy's own limit before 2.0
constexpr size_t kMaxHeaderBytes = 65535;  // what version 1.0 can hold
constexpr size_t kAlignment = 64;
constexpr size_t kGrowthDigits = 21;  // NumPy leaves room for the first dimension to become so long

std::unexpected<Error> error_in(std::string_view name, ErrorCode code, std::string_view message) {
  return fail(code, fmt::format("npy: {}: {}", quoted(name), message));
}

struct Header {
  std::string descr;
  bool fortran_order = false;
  std::vector<uint64_t> shape;
};

// The header's dictionary: a Python literal with exactly the keys descr, fortran_order and shape. Anything
// else in it is refused, so nothing can nest or run.
class LiteralParser {
 public:
  explicit LiteralParser(std::string_view text) : text_(text) {}

  // nullopt: not such a dictionary, and why() says where.
  std::optional<Header> parse() {
    Header h;
    bool seen[3] = {};
    if (!expect('{', "'{'")) return std::nullopt;
    while (!take('}')) {
      const auto key = string();
      if (!key || !expect(':', "':'")) return std::nullopt;
      const auto index = static_cast<size_t>(std::ranges::find(kKeys, *key) - kKeys.begin());
      if (index == kKeys.size()) return refuse("the key " + quoted(*key));
      if (std::exchange(seen[index], true)) return refuse("the key " + quoted(*key) + " twice");
      if (!value(index, h)) return std::nullopt;
      if (!take(',') && peek() != '}') return refuse("something else than ',' or '}'");
    }
    skip_space();
    if (at_ != text_.size()) return refuse("text behind the dictionary");
    for (size_t i = 0; i < kKeys.size(); i++)
      if (!seen[i]) return refuse(fmt::format("no key '{}'", kKeys[i]));
    return h;
  }
  const std::string& why() const { return why_; }

 private:
  static constexpr std::array<std::string_view, 3> kKeys = {"descr", "fortran_order", "shape"};

  std::nullopt_t refuse(std::string_view found) {
    if (why_.empty()) why_ = fmt::format("the header has {} at byte {}", found, at_);
    return std::nullopt;
  }
  void skip_space() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").contains(text_[at_])) at_++;
  }
  char peek() {
    skip_space();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(char c) {
    if (peek() != c) return false;
    at_++;
    return true;
  }
  bool expect(char c, std::string_view name) {
    if (take(c)) return true;
    refuse(fmt::format("no {}", name));
    return false;
  }
  bool take_word(std::string_view word) {
    skip_space();
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  std::optional<std::string> string() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') return refuse("no string where one must be");
    const size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) return refuse("a string without an end");
    const std::string_view body = text_.substr(at_ + 1, end - at_ - 1);
    if (body.contains('\\')) return refuse("a string with a backslash");
    at_ = end + 1;
    return std::string(body);
  }
  bool value(size_t key, Header& h) {
    if (key == 0 && peek() == '[') {
      h.descr.assign(1, '[');  // a structured type: refused by name later, so what follows does not matter
      return skip_list();
    }
    if (key == 0) {
      auto s = string();
      if (s) h.descr = std::move(*s);
      return s.has_value();
    }
    if (key == 2) return tuple(h.shape);
    h.fortran_order = take_word("True");
    if (h.fortran_order || take_word("False")) return true;
    refuse("neither True nor False");
    return false;
  }
  bool skip_list() {
    size_t depth = 0;
    for (; at_ < text_.size(); at_++) {
      if (text_[at_] == '[') depth++;
      if (text_[at_] == ']' && --depth == 0) {
        at_++;
        return true;
      }
    }
    refuse("a list without an end");
    return false;
  }
  bool tuple(std::vector<uint64_t>& shape) {
    if (!expect('(', "'('")) return false;
    while (!take(')')) {
      skip_space();
      uint64_t n = 0;
      const char* begin = text_.data() + at_;
      const auto [next, error] = std::from_chars(begin, text_.data() + text_.size(), n);
      if (error != std::errc()) return refuse("a dimension that is no number from 0 to 2^64 - 1"), false;
      at_ += static_cast<size_t>(next - begin);
      if (at_ < text_.size() && text_[at_] == 'L') at_++;  // Python 2 wrote long integers so
      if (shape.size() == kMaxDims) return refuse(fmt::format("more than {} dimensions", kMaxDims)), false;
      shape.push_back(n);
      if (!take(',') && (peek() != ')' || shape.size() == 1))
        return refuse("no ',' behind a dimension"), false;
    }
    return true;
  }

  std::string_view text_;
  size_t at_ = 0;
  std::string why_;
};

// "int64" for "<i8", for messages.
std::string type_name(std::string_view descr) {
  if (descr.starts_with('[')) return "a structured type";
  std::string_view body = descr;
  if (!body.empty() && std::string_view("<>|=").contains(body.front())) body.remove_prefix(1);
  const char kind = body.empty() ? '\0' : body.front();
  unsigned size = 0;
  if (!body.empty()) std::from_chars(body.data() + 1, body.data() + body.size(), size);
  switch (kind) {
    case 'i':
      return fmt::format("int{}", size * 8);
    case 'u':
      return fmt::format("uint{}", size * 8);
    case 'f':
      return fmt::format("float{}", size * 8);
    case 'c':
      return fmt::format("complex{}", size * 8);
    case 'b':
      return "bool";
    case 'O':
      return "Python objects (pickle)";
    case 'U':
      return "text";
    case 'S':
    case 'a':
      return "byte strings";
    case 'V':
      return "raw bytes";
    case 'M':
      return "dates";
    case 'm':
      return "time spans";
    default:
      return quoted(descr);
  }
}

struct ElementType {
  uint64_t bytes = 4;
  bool big_endian = false;
};

Result<ElementType> element_type(std::string_view name, const std::string& descr) {
  const std::string_view body = descr.empty() ? std::string_view() : std::string_view(descr).substr(1);
  if ((body == "f4" || body == "f8") && std::string_view("<>=").contains(descr.front()))
    return ElementType{.bytes = body == "f4" ? 4u : 8u, .big_endian = descr.front() == '>'};
  return error_in(name, ErrorCode::kUnsupported,
                  fmt::format("holds {}, arrays of float32 and float64 are read", type_name(descr)));
}

// The i-th element in the file's order; infinite when a finite float64 does not fit.
float load_element(const uint8_t* p, const ElementType& type, bool& overflow) {
  if (type.bytes == 4) {
    const auto bits = type.big_endian ? load_be<uint32_t>(p) : load_le<uint32_t>(p);
    return std::bit_cast<float>(bits);
  }
  const auto d = std::bit_cast<double>(type.big_endian ? load_be<uint64_t>(p) : load_le<uint64_t>(p));
  const auto f = static_cast<float>(d);
  overflow |= std::isinf(f) && !std::isinf(d);
  return f;
}

// Calls put(i, j): element i in C order is element j in Fortran order.
template <class Put>
void for_each_fortran(std::span<const uint64_t> shape, uint64_t count, const Put& put) {
  std::vector<uint64_t> index(shape.size());
  uint64_t j = 0;
  for (uint64_t i = 0; i < count; i++) {
    put(i, j);
    uint64_t stride_after = count;
    for (size_t d = shape.size(); d-- > 0;) {  // the last index moves first
      const uint64_t stride = stride_after / shape[d];
      j += stride;
      if (++index[d] < shape[d]) break;
      j -= stride * shape[d];
      index[d] = 0;
      stride_after = stride;
    }
  }
}

Result<NpyArray> read_values(std::string_view name, Bytes data, Header h, const ElementType& type,
                             uint64_t count) {
  NpyArray out;
  out.values.resize(count);
  bool overflow = false;
  const auto put = [&](uint64_t i, uint64_t j) {
    out.values[i] = load_element(&data[j * type.bytes], type, overflow);
  };
  if (h.fortran_order && h.shape.size() > 1) {
    for_each_fortran(h.shape, count, put);
  } else {
    for (uint64_t i = 0; i < count; i++) put(i, i);
  }
  if (overflow) return error_in(name, ErrorCode::kUnsupported, "a float64 is too large for float32");
  out.shape = std::move(h.shape);
  return out;
}

struct HeaderText {
  std::string_view text;
  uint64_t data_offset = 0;
};

Result<HeaderText> header_text(Bytes file, std::string_view name) {
  const auto corrupt = [&](std::string_view message) { return error_in(name, ErrorCode::kCorrupt, message); };
  if (file.size() < kMagic.size() + 4)
    return corrupt(fmt::format("has {} bytes, which is no npy file", file.size()));
  if (std::string_view(reinterpret_cast<const char*>(file.data()), kMagic.size()) != kMagic)
    return corrupt("does not begin with \\x93NUMPY: not an npy file");
  const uint8_t major = file[6], minor = file[7];
  if (major < 1 || major > 3 || minor != 0)
    return error_in(name, ErrorCode::kUnsupported,
                    fmt::format("npy version {}.{}, 1.0, 2.0 and 3.0 are read", major, minor));
  const uint64_t begin = major == 1 ? 10 : 12;
  if (file.size() < begin) return corrupt("ends inside its header");
  const uint64_t size = major == 1 ? load_le<uint16_t>(&file[8]) : load_le<uint32_t>(&file[8]);
  if (size > kMaxHeaderBytes)
    return error_in(name, ErrorCode::kTooLarge,
                    fmt::format("a header of {} bytes, at most {} are allowed", size, kMaxHeaderBytes));
  if (size > file.size() - begin)
    return corrupt(
        fmt::format("ends at byte {} inside its header, which needs {}", file.size(), begin + size));
  return HeaderText{.text = {reinterpret_cast<const char*>(file.data()) + begin, size},
                    .data_offset = begin + size};
}

}  // namespace

Result<NpyArray> read_npy(Bytes file, std::string_view name, uint64_t limit) {
  const HeaderText text = PIXELLM_TRY(header_text(file, name));
  LiteralParser parser(text.text);
  auto header = parser.parse();
  if (!header) return error_in(name, ErrorCode::kCorrupt, parser.why());
  const ElementType type = PIXELLM_TRY(element_type(name, header->descr));
  uint64_t count = 1;
  for (const uint64_t n : header->shape) {
    const auto product = checked_mul(count, n);
    if (!product || *product > limit)
      return error_in(name, ErrorCode::kTooLarge, fmt::format("more than {} elements", limit));
    count = *product;
  }
  const auto needed = checked_mul(count, type.bytes);
  const Bytes data = file.subspan(text.data_offset);
  if (!needed || *needed != data.size())
    return error_in(
        name, ErrorCode::kCorrupt,
        fmt::format("{} elements of {} bytes, but {} bytes of data", count, type.bytes, data.size()));
  return read_values(name, data, std::move(*header), type, count);
}

std::vector<uint8_t> npy_header(std::span<const uint64_t> shape) {
  PIXELLM_ASSERT(shape.size() <= kMaxDims);
  std::string text = "{'descr': '<f4', 'fortran_order': False, 'shape': (";
  for (size_t d = 0; d < shape.size(); d++) text += (d == 0 ? "" : ", ") + std::to_string(shape[d]);
  text += shape.size() == 1 ? ",), }" : "), }";
  if (!shape.empty()) text.append(kGrowthDigits - std::to_string(shape[0]).size(), ' ');
  // A header that is already aligned gets a whole unit more: NumPy's rule.
  constexpr size_t kPrefix = 10;
  const size_t size = (kPrefix + text.size() + 1) / kAlignment * kAlignment + kAlignment - kPrefix;
  text.resize(size - 1, ' ');
  text += '\n';
  std::vector<uint8_t> out(kPrefix + size);
  std::ranges::copy(kMagic, out.begin());
  out[6] = 1;
  store_le<uint16_t>(&out[8], static_cast<uint16_t>(size));
  std::ranges::copy(text, out.begin() + kPrefix);
  return out;
}

std::vector<uint8_t> write_npy(const NpyArray& array) {
  std::vector<uint8_t> out = npy_header(array.shape);
  const size_t begin = out.size();
  out.resize(begin + array.values.size() * sizeof(float));
  for (size_t i = 0; i < array.values.size(); i++)
    store_le<float>(&out[begin + i * sizeof(float)], array.values[i]);
  return out;
}

}  // namespace pixellm
