// LMDB trusts its file: a page number or a length gone wrong in it ends in a crash. So the store looks over
// the pages itself before LMDB does. Internal to src/map; the layout is that of LMDB 0.9
// (spec/infinite-map.md, section 2).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "map/store_meta.h"

namespace pixellm {

inline constexpr uint64_t kPagesAtOpen = 2048;

// Looks over the pages of the state's trees from the roots down: numbers, kinds, bounds, the order of keys,
// lengths, and that no page is used twice. Stops after `limit` pages, branches first. kCorrupt says what is wrong where. A
// reader must hold the state. `world_record` gets the value in database `world`.
Result<void> check_pages(int fd, const std::string& path, const MetaPage& meta, uint64_t limit,
                         std::vector<uint8_t>* world_record = nullptr);

}  // namespace pixellm
