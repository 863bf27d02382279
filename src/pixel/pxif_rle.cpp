#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "pixel/pxif_block.h"

namespace pixellm {
namespace {

enum class Op : uint8_t { kLiteral = 0, kBytes = 1, kPixels = 2 };

constexpr size_t kShortLength = 63;   // what the first byte can say alone
constexpr size_t kMaxLength = 65599;  // 64 + 65535
constexpr size_t kMinByteRun = 4;     // bytes
constexpr size_t kMinPixelRun = 3;    // pixels

class RleEncoder {
 public:
  RleEncoder(Bytes in, MutableBytes out) : in_(in), out_(out) {}

  size_t run() {
    size_t at = 0;
    while (at < in_.size()) {
      if (const size_t n = repeats(at, 1); n >= kMinByteRun) {
        at = put_run(Op::kBytes, at, n, 1);
      } else if (const size_t pixels = repeats(at, 3); pixels >= kMinPixelRun) {
        at = put_run(Op::kPixels, at, pixels, 3);
      } else {
        at++;
      }
    }
    put_literals(at);
    return size_;
  }

 private:
  // How often the `period` bytes at `at` stand there in a row.
  size_t repeats(size_t at, size_t period) const {
    if (in_.size() - at < period) return 0;
    size_t same = at;  // in_[same] equals in_[same + period] so far
    while (same + period < in_.size() && in_[same] == in_[same + period]) same++;
    return 1 + (same - at) / period;
  }

  size_t put_run(Op op, size_t at, size_t count, size_t period) {
    put_literals(at);
    for (size_t left = count; left > 0;) {
      const size_t n = std::min(left, kMaxLength);
      put_head(op, n);
      put(in_.subspan(at, period));
      left -= n;
    }
    return literal_begin_ = at + count * period;
  }

  void put_literals(size_t end) {
    while (literal_begin_ < end) {
      const size_t n = std::min(end - literal_begin_, kMaxLength);
      put_head(Op::kLiteral, n);
      put(in_.subspan(literal_begin_, n));
      literal_begin_ += n;
    }
  }

  void put_head(Op op, size_t length) {
    const auto kind = static_cast<uint8_t>(static_cast<uint8_t>(op) << 6);
    std::array<uint8_t, 3> head = {static_cast<uint8_t>(kind | std::min(length - 1, kShortLength))};
    if (length > kShortLength) store_be<uint16_t>(&head[1], static_cast<uint16_t>(length - 1 - kShortLength));
    put(Bytes(head).first(length > kShortLength ? 3 : 1));
  }

  void put(Bytes bytes) {
    PIXELLM_ASSERT(bytes.size() <= out_.size() - size_);
    std::memcpy(out_.data() + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
  }

  const Bytes in_;
  const MutableBytes out_;
  size_t size_ = 0, literal_begin_ = 0;
};

std::unexpected<Error> wrong_rle(size_t at, std::string_view what) {
  return fail(ErrorCode::kCorrupt, fmt::format("rle: the operation at byte {} {}", at, what));
}

// Writes the `period` bytes at `out` again and again; every copy doubles what can be copied.
void repeat(uint8_t* out, size_t period, size_t total) {
  for (size_t done = period; done < total;) {
    const size_t n = std::min(done, total - done);
    std::memcpy(out + done, out, n);
    done += n;
  }
}

}  // namespace

size_t rle_encode(Bytes in, MutableBytes out) { return RleEncoder(in, out).run(); }

Result<void> rle_decode(Bytes in, MutableBytes out) {
  size_t at = 0, made = 0;
  while (at < in.size()) {
    const size_t begin = at;
    const unsigned kind = in[at] >> 6;
    size_t length = (in[at] & 63u) + 1;
    at++;
    if (kind > static_cast<unsigned>(Op::kPixels)) return wrong_rle(begin, "is of kind 3");
    if (length > kShortLength) {
      if (in.size() - at < 2) return wrong_rle(begin, "is cut off");
      length += load_be<uint16_t>(&in[at]);
      at += 2;
    }
    const size_t period = kind == static_cast<unsigned>(Op::kPixels) ? 3 : 1;
    const size_t total = length * period;
    const size_t needed = kind == static_cast<unsigned>(Op::kLiteral) ? total : period;
    if (in.size() - at < needed) return wrong_rle(begin, "is cut off");
    if (out.size() - made < total) return wrong_rle(begin, "makes more than the block's content");
    std::memcpy(out.data() + made, &in[at], needed);
    if (needed < total) repeat(out.data() + made, period, total);
    at += needed;
    made += total;
  }
  if (made == out.size()) return {};
  return fail(ErrorCode::kCorrupt,
              fmt::format("rle: the block makes {} bytes, {} are expected", made, out.size()));
}

}  // namespace pixellm
