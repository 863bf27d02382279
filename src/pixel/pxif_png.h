// A PXIF container as a PNG that any viewer opens and that gives every byte back. Spec: spec/pixelfs.md,
// section 6.
//
//   auto in = PIXELLM_TRY(PxifReader::open("a.pxi"));
//   auto made = PIXELLM_TRY(export_png(in, PIXELLM_TRY(AtomicFile::create("a.png"))));
#pragma once
#include <cstdint>

#include "base/error.h"
#include "base/file.h"
#include "base/progress.h"
#include "pixel/pxif_reader.h"

namespace pixellm {

struct ExportedPng {
  uint64_t width = 0, height = 0;
  bool is_flat = false;  // else an ordinary PNG, not compressed
};

struct ExportOptions {
  bool verify = false;  // no file appears unless the content has the header's SHA-256
  Progress progress;
};

// Flat where the measures allow it. kInvalidArgument: the container is empty, and a PNG has at least one
// pixel. kTooLarge: a side over 2^31 - 1. kCorrupt, kIo: nothing is written then. `out` may be standard
// output.
Result<ExportedPng> export_png(PxifReader& in, AtomicFile out, const ExportOptions& options = {});

}  // namespace pixellm
