// How much of a mapped file is not in the system's memory yet and will have to come from the disk.
#pragma once
#include <cstdint>

#include "base/bytes.h"

namespace pixellm {

// An estimate from 256 pages spread over `mapped`, which lies in a mapping; 0 where the system does not say.
uint64_t bytes_not_in_memory(Bytes mapped);

}  // namespace pixellm
