// Everything that is the same on every ISA: included inside the anonymous namespace of one, after its primitives and Sum.
// clang-format off: each needs the ones above it
#include "kernels/matmul_sums-inl.h"
#include "kernels/format_q-inl.h"
#include "kernels/format_k-inl.h"
#include "kernels/matmul_quant-inl.h"
#include "kernels/matmul_float-inl.h"
#include "kernels/prepare-inl.h"
#include "kernels/int8_peak-inl.h"
// clang-format on
