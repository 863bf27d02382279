#include <cmath>
#include <limits>

#include "kernels/kernels.h"
#include "kernels/rope_math.h"

namespace pixellm {
namespace rope_math {
namespace {

Pair quick_sum(double a, double b) {  // |a| >= |b|
  const double s = a + b;
  return {s, b - (s - a)};
}

Pair exact_sum(double a, double b) {
  const double s = a + b, t = s - a;
  return {s, (a - (s - t)) + (b - t)};
}

Pair exact_product(double a, double b) {
  const double p = a * b;
  return {p, std::fma(a, b, -p)};
}

Pair add_pairs(Pair a, Pair b) {
  const Pair s = exact_sum(a.high, b.high), t = exact_sum(a.low, b.low);
  const Pair u = quick_sum(s.high, s.low + t.high);
  return quick_sum(u.high, u.low + t.low);
}

// x^m by squaring.
double power(double x, uint64_t m) {
  double result = 1;
  for (; m > 0; m /= 2, x = x * x)
    if (m % 2 == 1) result = result * x;
  return result;
}
Pair power(Pair x, uint64_t m) {
  Pair result = {1, 0};
  for (; m > 0; m /= 2, x = multiply(x, x))
    if (m % 2 == 1) result = multiply(result, x);
  return result;
}

// pi/2 = kHalfPi[0] + [1] + [2] to 2^-160.
constexpr double kHalfPi[3] = {0x1.921fb54442d18p+0, 0x1.1a62633145c07p-54, -0x1.f1976b7ed8fbcp-110};
constexpr double kTwoOverPi = 0x1.45f306dc9c883p-1;

// Taylor series as x (1 - z/6 (1 - z/20 (...))): at pi/4 the first term left out is below 2^-60 of the
// result.
constexpr double kSine[] = {1.0 / 342, 1.0 / 272, 1.0 / 210, 1.0 / 156, 1.0 / 110,
                            1.0 / 72,  1.0 / 42,  1.0 / 20,  1.0 / 6};
constexpr double kCosine[] = {1.0 / 306, 1.0 / 240, 1.0 / 182, 1.0 / 132, 1.0 / 90,
                              1.0 / 56,  1.0 / 30,  1.0 / 12,  1.0 / 2};

double sine(double x) {
  const double z = x * x;
  double p = 0;
  for (const double factor : kSine) p = (1.0 - p) * (z * factor);
  return x - x * p;
}
double cosine(double x) {
  const double z = x * x;
  double p = 0;
  for (const double factor : kCosine) p = (1.0 - p) * (z * factor);
  return 1.0 - p;
}

}  // namespace

Pair add(Pair a, double b) {
  const Pair s = exact_sum(a.high, b);
  return quick_sum(s.high, s.low + a.low);
}

Pair multiply(Pair a, Pair b) {
  const Pair p = exact_product(a.high, b.high);
  return quick_sum(p.high, p.low + (a.high * b.low + a.low * b.high));
}

Pair multiply(Pair a, double b) {
  const Pair p = exact_product(a.high, b);
  return quick_sum(p.high, p.low + a.low * b);
}

Pair divide(Pair a, double b) {
  const double q = a.high / b;
  const Pair back = exact_product(q, b);
  return quick_sum(q, ((a.high - back.high) - back.low + a.low) / b);
}

Pair inverse_root(double base, uint64_t m) {
  // Newton on base * r^m = 1 from the right, where every step shortens r: down to the last bits of a double.
  const auto degree = static_cast<double>(m);
  double r = base < 1 ? 1 + (1 / base - 1) / degree : 1;
  for (double next = r;; r = next) {
    next = r * ((degree - 1 + 1 / (base * power(r, m))) / degree);
    if (!(next < r)) break;
  }
  // One more step with the residue computed in pairs doubles the correct bits.
  const Pair residue = add(multiply(power(Pair{r, 0}, m), base), -1.0);
  return quick_sum(r, -r * (residue.high / degree));
}

CosSin cos_sin(Pair angle) {
  if (!(std::fabs(angle.high) < 0x1p50)) {  // frequency factors near 0: let the model's own check find it
    constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
    return {kNan, kNan};
  }
  const double turns = std::nearbyint(angle.high * kTwoOverPi);  // quarters
  Pair r = angle;
  for (const double part : kHalfPi) r = add_pairs(r, exact_product(-turns, part));
  const double s = sine(r.high), c = cosine(r.high);
  const CosSin first = {c - s * r.low, s + c * r.low};
  switch (static_cast<int64_t>(turns) & 3) {
    case 0:
      return first;
    case 1:
      return {-first.sin, first.cos};
    case 2:
      return {-first.cos, -first.sin};
    default:
      return {first.sin, -first.cos};
  }
}

}  // namespace rope_math

void rope_table(uint32_t position, uint64_t n_rot, double base, double frequency_scale, const float* factors,
                float magnitude, float* cos_sin) {
  using rope_math::Pair;
  const uint64_t half = n_rot / 2;
  if (half == 0) return;
  const Pair step = rope_math::inverse_root(base, half);
  Pair frequency = {1, 0};
  for (uint64_t i = 0; i < half; i++, frequency = rope_math::multiply(frequency, step)) {
    Pair angle = rope_math::multiply(frequency, static_cast<double>(position));
    if (factors != nullptr) angle = rope_math::divide(angle, static_cast<double>(factors[i]));
    angle = rope_math::multiply(angle, frequency_scale);
    const rope_math::CosSin cs = rope_math::cos_sin(angle);
    cos_sin[i] = static_cast<float>(cs.cos * static_cast<double>(magnitude));
    cos_sin[half + i] = static_cast<float>(cs.sin * static_cast<double>(magnitude));
  }
}

}  // namespace pixellm
