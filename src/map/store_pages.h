// LMDB trusts its file: a page number or a length gone wrong in it ends in a crash. So the store looks over
// the pages itself before LMDB does. Internal to src/map; the layout is that of LMDB 0.9
// (spec/infinite-map.md, section 2).
#pragma once
#include <cstdint>
#include <string>

#include "base/error.h"

namespace pixellm {

// A B-tree of pages as its record in a meta page or in the tree of databases describes it.
struct PageTree {
  static constexpr uint64_t kNoRoot = ~uint64_t{0};
  uint16_t flags = 0, depth = 0;
  uint64_t branch_pages = 0, leaf_pages = 0, overflow_pages = 0, entries = 0;
  uint64_t root = kNoRoot;
};

struct MetaPage {
  uint32_t page_size = 0;
  uint64_t last_page = 0, txn_id = 0;
  PageTree free_list, databases;
};

// What the newer of the two meta pages says, or that of state `txn_id`. kCorrupt: empty, truncated or not an
// LMDB file. kNotFound: no such state any more.
Result<MetaPage> read_meta_page(int fd, const std::string& path, uint64_t txn_id = 0);

inline constexpr uint64_t kPagesAtOpen = 2048;

// Looks over the pages of the state's trees from the roots down: numbers, kinds, bounds, the order of keys,
// lengths, and that no page is used twice. Stops after `limit` pages. kCorrupt says what is wrong where. A
// reader must hold the state.
Result<void> check_pages(int fd, const std::string& path, const MetaPage& meta, uint64_t limit);

}  // namespace pixellm
