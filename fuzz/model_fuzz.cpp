// Any bytes as the payload of a picture: opened as a model and read from end to end. The picture around them
// is PXIF, which has no checksums of rows; its width is what the payload's header says, and the header's
// height is made right. The same bytes also run as metadata.
#include <algorithm>
#include <vector>

#include "base/bytes.h"
#include "model/model.h"
#include "pixel/pxif.h"

using namespace pixellm;

namespace {

constexpr uint64_t kMaxWidth = 21824;

void read_metadata(Bytes input) {
  if (input.empty()) return;
  const Bytes pairs = input.subspan(1);
  const uint64_t count = input[0];
  const auto measured = Metadata::measure(pairs, count);
  PIXELLM_ASSERT(!measured || *measured <= pairs.size());
  const auto m = Metadata::parse({pairs.begin(), pairs.end()}, count);
  if (!m) return;
  PIXELLM_ASSERT(measured && *measured == pairs.size());
  for (const Metadata::Entry& e : m->entries()) {
    PIXELLM_ASSERT(m->find(e.key) == &e);
    uint64_t sum = 0;
    if (const auto list = m->strings(e.key))
      for (const auto s : *list) sum += s.size();
    PIXELLM_ASSERT(sum <= e.value.size());
    m->integer(e.key), m->number(e.key), m->boolean(e.key), m->string(e.key), m->integers(e.key),
        m->floats(e.key);
  }
}

std::vector<uint8_t> wrap(Bytes payload) {
  uint64_t width = 64;
  if (payload.size() >= 256) width = std::clamp<uint64_t>(load_le<uint32_t>(&payload[0x2C]), 1, kMaxWidth);
  const uint64_t row_bytes = 3 * width, rows = ceil_div(payload.size(), row_bytes);
  const PxifHeader header{.original_size = payload.size(),
                          .width = static_cast<uint32_t>(width),
                          .height = static_cast<uint32_t>(rows),
                          .compression = PxifCompression::kNone,
                          .checksum = {}};
  std::array<uint8_t, PxifHeader::kEncodedLength> encoded;
  header.encode(encoded);
  std::vector<uint8_t> file(encoded.size() + rows * row_bytes);
  std::ranges::copy(encoded, file.begin());
  std::ranges::copy(payload, file.begin() + static_cast<ptrdiff_t>(encoded.size()));
  if (payload.size() >= 256) store_le<uint32_t>(&file[encoded.size() + 0x30], static_cast<uint32_t>(rows));
  return file;
}

void read_model(const Model& model) {
  static ThreadPool pool(1);
  const uint64_t last = model.plane().rows() - 1;
  for (const TensorInfo& t : model.tensors()) {
    PIXELLM_ASSERT(model.find(t.name) == &t);
    PIXELLM_ASSERT(model.picture_rows(t).first <= model.picture_rows(t).second &&
                   model.picture_rows(t).second <= last);
    uint64_t bytes = 0;
    PIXELLM_ASSERT(model.read_source_bytes(
        t, [&](Bytes b) -> Result<void> { return bytes += b.size(), Result<void>(); }));
    PIXELLM_ASSERT(bytes == t.source_bytes());
    if (t.n_rows() == 1) PIXELLM_ASSERT(model.read_floats(t)->size() == t.k());
    if (t.layout != Layout::kCells) continue;
    std::vector<float> row(t.k());
    for (const uint64_t r : {uint64_t{0}, t.n_rows() - 1}) dequantize_row(model.matrix(t), r, row.data());
  }
  PIXELLM_ASSERT(model.describe({.rows = {{0, last}, {last, last}}, .other = {}}).size() == 2);
  PIXELLM_ASSERT(model.verify(VerifyLevel::kSha256, pool));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  read_metadata({data, size});
  const std::vector<uint8_t> file = wrap({data, size});
  auto plane = PixelPlane::open_bytes(file, "input");
  if (!plane) return 0;
  const auto model = Model::from_plane(std::move(*plane));
  if (model) read_model(*model);
  PIXELLM_ASSERT(model || !model.error().message.empty());
  return 0;
}
