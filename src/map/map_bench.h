// How fast worlds are here, beside a plain LMDB loop that keeps the same values, in the same minute on the
// same disk.
//
//   const MapBench m = PIXELLM_TRY(bench_map("folder", {}, [](double done) { return true; }));
//   m.put_ratio;      // 1: as fast as LMDB
// Works in a sub-folder of its own, which it removes. One thread.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "base/error.h"

namespace pixellm {

struct MapBenchOptions {
  uint64_t tiles = 20'000;  // of 64 x 64 pixels, random bytes; at least 64
  uint64_t tiles_per_commit = 1000;
  uint32_t rounds = 5;          // each store goes first in every other round
  uint32_t region_size = 4096;  // pixels a side
};

// Medians over the rounds. Ratios are medians of the rounds' own ratios, so that what slows a whole round
// cancels out.
struct MapBench {
  double put_per_s = 0, lmdb_put_per_s = 0,
         put_ratio = 0;  // tiles, committed durably in random order of keys
  double get_per_s = 0, lmdb_get_per_s = 0, get_ratio = 0;  // tiles in random order, read before, copied out
  double lookup_per_s = 0;                                  // tiles that lie in the cache, in random order
  double pixel_per_s = 0, pixel_set_per_s = 0;  // single pixels of one cached tile, in random order
  double region_gb_s = 0, memcpy_gb_s = 0;      // of a region's bytes
  double region_memcpy_ratio = 0;               // time of reading a region over that of copying its bytes
  uint64_t world_bytes = 0, lmdb_bytes = 0;     // files after the puts
};

// `progress`: from 0 to 1; returning false ends the run with kBusy. `folder` is made when it is not there.
// kIo: not enough room (names how much), or a failing disk.
Result<MapBench> bench_map(const std::string& folder, const MapBenchOptions& options,
                           const std::function<bool(double done)>& progress);

}  // namespace pixellm
