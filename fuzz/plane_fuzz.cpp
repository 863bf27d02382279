// Opens, reads and verifies any bytes as a picture. Every input runs twice: as it is, and with the CRC-32 of
// each PNG chunk made right, since random changes would hardly pass a checksum.
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "pixel/plane.h"
#include "png_repair.h"

using namespace pixellm;

namespace {

constexpr uint64_t kDecodeLimit = 1 << 20;

void open_and_read(Bytes file) {
  static ThreadPool pool(1);
  const auto plane = PixelPlane::open_bytes(file, "input", kDecodeLimit);
  if (!plane) {
    PIXELLM_ASSERT(!plane.error().message.empty());
    return;
  }
  const uint64_t size = plane->payload_bytes();
  const bool in_place = plane->kind() == PlaneKind::kFlatPng || plane->kind() == PlaneKind::kPxif;
  PIXELLM_ASSERT(size <= (in_place ? file.size() : kDecodeLimit));
  Sha256 rows;
  for (uint64_t i = 0; i < plane->rows(); i++) rows.update(plane->row(i));
  std::vector<uint8_t> payload(size);
  PIXELLM_ASSERT(plane->read(0, payload));
  PIXELLM_ASSERT(rows.finish() == sha256(payload));
  PIXELLM_ASSERT(!plane->read(1, payload));
  plane->release_rows(0, plane->rows());
  const auto crc = plane->verify(VerifyLevel::kCrc, pool);
  const auto all = plane->verify(VerifyLevel::kSha256, pool);
  PIXELLM_ASSERT(crc && all);
  PIXELLM_ASSERT(crc->rows == all->rows && crc->other.size() <= all->other.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  open_and_read({data, size});
  std::vector<uint8_t> repaired(data, data + size);
  repair_checksums(repaired);
  open_and_read(repaired);
  return 0;
}
