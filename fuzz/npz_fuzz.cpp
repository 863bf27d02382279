// Any bytes as an npz and as an npy: reading must end with an error or with arrays that keep their promises.
// A first byte with its low bit set gives the rest to read_npy directly, so that checksums do not stand in
// the way.
#include "convert/npz.h"

using namespace pixellm;

namespace {

void check(const NpyArray& array) {
  uint64_t count = 1;
  for (const uint64_t n : array.shape) {
    const auto product = checked_mul(count, n);
    PIXELLM_ASSERT(product.has_value());
    count = *product;
  }
  PIXELLM_ASSERT(array.values.size() == count);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 0 && data[0] % 2 == 1) {
    const auto array = read_npy(Bytes(data, size).subspan(1), "fuzz", 1 << 20);
    if (!array) {
      PIXELLM_ASSERT(!array.error().message.empty());
      return 0;
    }
    check(*array);
    const auto again = read_npy(write_npy(*array), "again");  // what was read can be written and read
    PIXELLM_ASSERT(again && again->shape == array->shape && again->values.size() == array->values.size());
    return 0;
  }
  const auto npz = NpzFile::read(MemorySource({data, size}, "fuzz"));
  if (!npz) {
    PIXELLM_ASSERT(!npz.error().message.empty());
    return 0;
  }
  for (const auto& [name, array] : npz->entries()) {
    PIXELLM_ASSERT(!name.empty() && npz->find(name) == &array);
    check(array);
  }
  return 0;
}
