// Any bytes as a GGUF: parsing and planning the import must end with an error or with a plan that keeps its
// promises.
#include <algorithm>

#include "convert/gguf.h"

using namespace pixellm;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const MemorySource source({data, size}, "fuzz");
  auto gguf = GgufFile::read(source);
  if (!gguf) {
    PIXELLM_ASSERT(!gguf.error().message.empty());
    return 0;
  }
  for (const TensorInfo& t : gguf->tensors)
    PIXELLM_ASSERT(gguf->data_offset + t.source_offset + t.source_bytes() <= size);
  auto plan = plan_import(source, std::move(*gguf), {});
  if (!plan) return 0;
  PIXELLM_ASSERT(plan->order.size() == plan->tensors.size());
  uint64_t end = 0;
  for (const size_t index : plan->order) {
    const TensorInfo& t = plan->tensors[index];
    PIXELLM_ASSERT(t.offset % 64 == 0 && t.offset >= end && t.stored_bytes >= t.source_bytes());
    end = t.offset + t.stored_bytes;
  }
  PIXELLM_ASSERT(end <= plan->row_bytes * plan->rows);
  uint64_t kept = 0;
  for (const auto& residue : plan->source.residues) kept += residue.bytes.size();
  PIXELLM_ASSERT(kept <= uint64_t{1} << 20);
  return 0;
}
