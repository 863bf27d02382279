#include "infer/probe.h"

#include <gtest/gtest.h>

#include "infer/tiny_model.h"

namespace pixellm {
namespace {

// Nothing about speed: only that each measurement ends and gives a number that can be true.
TEST(Probe, GivesNumbers) {
  ThreadPool pool(2);
  auto model = make_tiny_model({.n_layers = 1}).open();
  ASSERT_TRUE(model) << model.error().message;
  const PixelPlane& plane = model->plane();
  for (const Kernels* kernels : available_kernels()) {
    const double read = measure_read_gb_s(plane, model->header().first_weight_row, kernels->isa, pool);
    EXPECT_GT(read, 0.01) << kernels->name;
    EXPECT_LT(read, 1e5) << kernels->name;
    const double int8 = measure_int8_gops(*kernels, pool);
    EXPECT_GT(int8, 0.001) << kernels->name;
    EXPECT_LT(int8, 1e6) << kernels->name;
  }
  EXPECT_EQ(measure_read_gb_s(plane, plane.rows(), Isa::kScalar, pool), 0);
  const double ping = measure_ping_ns();
  EXPECT_GT(ping, 1);
  EXPECT_LT(ping, 1e8);
}

}  // namespace
}  // namespace pixellm
