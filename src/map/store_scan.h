// Looks over everything in a world: what verify() reports and repair() mends. Internal to src/map.
#pragma once
#include <cstdint>
#include <vector>

#include "base/error.h"
#include "map/store_reader.h"
#include "map/tile_store.h"

namespace pixellm {

struct StoreDamage {
  StoreFindings findings;               // bad, bad_old_versions, other and tiles_checked
  std::vector<MortonKey> bad_replaced;  // tiles whose replaced version is damaged
  std::vector<MortonKey> misnamed;      // whole tiles, but the run says that they are others
  struct Entry {
    Db db;
    std::vector<uint8_t> key;
  };
  std::vector<Entry> unusable;  // entries that cannot be read, or lead to a damaged version
  bool wrong_counts = false;    // of the versions in use

  bool any() const {
    return !findings.bad.empty() || findings.bad_old_versions > 0 || !findings.other.empty() || wrong_counts;
  }
};

// `reader` without remembered checksums.
Result<StoreDamage> scan_store(const StoreReader& reader, const WorldRecord& world);

// How many versions of each run something refers to; sorted by run.
struct RunUse {
  uint64_t run = 0, slots = 0;
};
Result<std::vector<RunUse>> count_references(const StoreReader& reader);

}  // namespace pixellm
