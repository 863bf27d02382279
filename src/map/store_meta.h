// The two meta pages of data.mdb, which say where the trees of the last two states begin. Internal to
// src/map; the layout is that of LMDB 0.9 (spec/infinite-map.md, section 2).
#pragma once
#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/error.h"

namespace pixellm {

inline constexpr uint64_t kPageHeader = 16, kTreeBytes = 48;  // of every page; of a tree's record
inline constexpr uint16_t kIntegerKeys = 0x08;                // flag of a tree

// LMDB writes in native byte order.
template <class T>
T load_native(const uint8_t* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// A B-tree of pages as its record in a meta page or in the tree of databases describes it.
struct PageTree {
  static constexpr uint64_t kNoRoot = ~uint64_t{0};
  uint16_t flags = 0, depth = 0;
  uint64_t branch_pages = 0, leaf_pages = 0, overflow_pages = 0, entries = 0;
  uint64_t root = kNoRoot;
  static PageTree decode(const uint8_t* record);
};

struct MetaPage {
  uint32_t page_size = 0;
  uint64_t last_page = 0, txn_id = 0;
  PageTree free_list, databases;
};

// Each by its number. An error that is not kIo is damage.
using MetaPages = std::array<Result<MetaPage>, 2>;
MetaPages read_meta_pages(int fd, const std::string& path);

// kCorrupt: the file ends long before the last page.
Result<void> check_length(const MetaPage& meta, uint64_t file_bytes, const std::string& path);

// What the newer of the two says, or that of state `txn_id`. kCorrupt: empty, truncated, not an LMDB file, or
// one of the two is damaged. kNotFound: no such state any more.
Result<MetaPage> read_meta_page(int fd, const std::string& path, uint64_t txn_id = 0);

// Makes meta page `good` the newest one: the other page becomes its copy, numbered one state before. Durable
// when it returns.
Result<void> prefer_meta_page(int fd, const std::string& path, size_t good, const MetaPage& meta);

Result<uint64_t> size_of(int fd, const std::string& path);
Result<void> read_exactly(int fd, const std::string& path, uint64_t offset, MutableBytes out);

}  // namespace pixellm
