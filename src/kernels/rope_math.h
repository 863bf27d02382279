// Trigonometry of rope_table, in pairs of doubles made from +, -, *, / and fma alone, so that every machine
// gets the same bits. Exposed for the tests.
#pragma once
#include <cstdint>

namespace pixellm::rope_math {

// The unevaluated sum high + low, |low| at most half an ulp of high: about 106 bits.
struct Pair {
  double high = 0, low = 0;
};

Pair add(Pair a, double b);
Pair multiply(Pair a, Pair b);
Pair multiply(Pair a, double b);
Pair divide(Pair a, double b);

// base^(-1/m), m at least 1, base positive and finite. Relative error below 2^-90 for m up to 2^16.
Pair inverse_root(double base, uint64_t m);

struct CosSin {
  double cos = 1, sin = 0;
};
// Absolute error below 2^-52 for |angle| below 2^30; NaN from 2^50 on.
CosSin cos_sin(Pair angle);

}  // namespace pixellm::rope_math
