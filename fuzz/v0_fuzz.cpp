// v0's files. The first byte selects: 0 meta.json, with a blank picture of the size that it states; 1 a
// length (u16), meta.json of that length, a picture; 2 a token picture; 3 text. Pictures run as they are and
// with their chunks' CRC-32s made right.
#include <algorithm>
#include <array>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "pixel/plane.h"
#include "pixel/pxif.h"
#include "png_repair.h"
#include "v0/pixel_model.h"
#include "v0/protocol.h"

using namespace pixellm;

namespace {

constexpr uint64_t kMaxPicture = 1 << 20;

std::string_view as_text(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

void use_model(Bytes picture, std::string_view json) {
  const auto model = v0::PixelModel::from_memory(picture, json, "input");
  if (!model) {
    PIXELLM_ASSERT(!model.error().message.empty());
    return;
  }
  const v0::Network& n = model->network;
  const v0::TokenId ids[] = {0, static_cast<v0::TokenId>(n.vocab_size - 1)};
  PIXELLM_ASSERT(v0::forward(n, ids).logits.size() == n.vocab_size);
  PIXELLM_ASSERT(v0::encode_pixels(n).has_value());
}

std::vector<uint8_t> blank_picture(const v0::PixelMeta& meta) {
  PxifHeader header;
  header.width = meta.image_width;
  header.height = meta.image_height;
  const uint64_t bytes = uint64_t{3} * meta.image_width * meta.image_height;
  header.original_size = bytes;
  std::array<uint8_t, PxifHeader::kEncodedLength> head;
  header.encode(head);
  std::vector<uint8_t> file(head.begin(), head.end());
  file.resize(file.size() + bytes, 77);
  return file;
}

void read_meta(std::string_view json) {
  const auto meta = v0::PixelMeta::parse(json);
  if (!meta) {
    PIXELLM_ASSERT(meta.error().message.starts_with("meta"));
    return;
  }
  const std::string text = meta->to_json();
  const auto again = v0::PixelMeta::parse(text);
  PIXELLM_ASSERT(again && again->to_json() == text);
  if (uint64_t{3} * meta->image_width * meta->image_height <= kMaxPicture)
    use_model(blank_picture(*meta), json);
}

void read_model(Bytes input) {
  if (input.size() < 2) return;
  const uint64_t length = load_le<uint16_t>(input.data());
  if (length > input.size() - 2) return;
  const std::string_view json = as_text(input.subspan(2, length));
  const auto meta = v0::PixelMeta::parse(json);
  if (meta && uint64_t{3} * meta->image_width * meta->image_height > kMaxPicture) return;
  const Bytes rest = input.subspan(2 + length);
  std::vector<uint8_t> picture(rest.begin(), rest.end());
  use_model(picture, json);
  repair_checksums(picture);
  use_model(picture, json);
}

void read_tokens(Bytes file) {
  const auto plane = PixelPlane::open_bytes(file, "input", kMaxPicture);
  if (!plane) return;
  const auto ids = v0::read_tokens(*plane, 1024);
  if (!ids) {
    PIXELLM_ASSERT(!ids.error().message.empty());
    return;
  }
  const auto picture = v0::token_picture(*ids);
  PIXELLM_ASSERT(picture && std::ranges::equal(picture->rgb, plane->row(0)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const Bytes input{data + 1, size - 1};
  switch (data[0] % 4) {
    case 0:
      read_meta(as_text(input));
      break;
    case 1:
      read_model(input);
      break;
    case 2: {
      read_tokens(input);
      std::vector<uint8_t> repaired(input.begin(), input.end());
      repair_checksums(repaired);
      read_tokens(repaired);
      break;
    }
    default:
      if (const auto ids = v0::tokenize(as_text(input), 1024)) PIXELLM_ASSERT(ids->size() <= input.size());
  }
  return 0;
}
