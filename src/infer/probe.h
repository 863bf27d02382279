// What this machine can do at the moment, measured in the same process as the model's speed: read bandwidth
// over the model's own pixels, 8-bit multiply-adds, and the time a cache line takes from one CPU to another.
// For `pixellm bench`: a speed means little without them on shared machines. Each takes some 0.2 s. Not
// thread-safe: one measurement at a time.
#pragma once
#include <cstdint>

#include "base/threads.h"
#include "kernels/kernels.h"
#include "pixel/plane.h"

namespace pixellm {

// 1e9 bytes a second: every thread of the pool reads its share of the rows [first_row, plane.rows()) again
// and again. A model that fits into a cache is read from there, as it is when it runs. 0 when there are no
// rows.
double measure_read_gb_s(const PixelPlane& plane, uint64_t first_row, Isa isa, ThreadPool& pool);

// 1e9 operations a second (a multiply-add is two) of the kernels' int8 instructions on all threads of the
// pool.
double measure_int8_gops(const Kernels& kernels, ThreadPool& pool);

// One way, in nanoseconds, between two threads; where only one CPU is allowed, the time of a change of
// threads.
double measure_ping_ns();

}  // namespace pixellm
