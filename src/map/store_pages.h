// LMDB trusts its file: a page number or a length gone wrong in it ends in a crash. So the store looks over
// the pages itself before LMDB does. Internal to src/map; the layout is that of LMDB 0.9
// (spec/infinite-map.md, section 2).
#pragma once
#include <cstdint>
#include <string>

#include "base/error.h"

namespace pixellm {

// What the newer of the two meta pages of an LMDB file says.
struct MetaPage {
  uint32_t page_size = 0;
  uint64_t last_page = 0, txn_id = 0;
  uint64_t free_root = ~uint64_t{0}, main_root = ~uint64_t{0};  // all ones: an empty tree
};

// kCorrupt: empty, truncated or not an LMDB file of this version. `txn_id`: the state to look for; 0 for the
// newest.
Result<MetaPage> read_meta_page(int fd, const std::string& path, uint64_t txn_id = 0);

}  // namespace pixellm
