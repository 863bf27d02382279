#include "v0/numpy_random.h"

#include <array>
#include <bit>
#include <cmath>

#include "base/error.h"

namespace pixellm {
namespace {

using Uint128 = unsigned __int128;

// ---- SeedSequence: 32-bit words of the seed are hashed into a pool of four, the pool into any number of
// words.

constexpr int kPoolWords = 4;

class SeedHash {
 public:
  SeedHash(uint32_t start, uint32_t multiplier) : constant_(start), multiplier_(multiplier) {}
  uint32_t operator()(uint32_t value) {
    value ^= constant_;
    constant_ *= multiplier_;
    value *= constant_;
    return value ^ value >> 16;
  }

 private:
  uint32_t constant_, multiplier_;
};

uint32_t mix(uint32_t a, uint32_t b) {
  const uint32_t mixed = a * 0xca01f9ddu - b * 0x4973f715u;
  return mixed ^ mixed >> 16;
}

// The four 64-bit words that seed PCG64. Leading zero words of a seed are hashed as the pool's filling is, so
// that a short seed needs no case of its own.
std::array<uint64_t, 4> seed_words(uint64_t seed) {
  std::array<uint32_t, kPoolWords> pool = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
  SeedHash fill(0x43b0d7e5u, 0x931e8875u);
  for (uint32_t& word : pool) word = fill(word);
  for (int from = 0; from < kPoolWords; from++)
    for (int to = 0; to < kPoolWords; to++)
      if (from != to) pool[to] = mix(pool[to], fill(pool[from]));
  SeedHash draw(0x8b51f9ddu, 0x58f38dedu);
  std::array<uint64_t, 4> words{};
  for (int i = 0; i < 8; i++) words[i / 2] |= uint64_t{draw(pool[i % kPoolWords])} << (i % 2 * 32);
  return words;
}

// ---- The ziggurat: 256 strips of equal area under exp(-x^2 / 2), strip 255 at the foot together with the
// tail as strip 0.

constexpr double kTailStart = 3.6541528853610088;
constexpr double kInverseTailStart = 1 / kTailStart;
constexpr double kTwo52 = 4503599627370496.0;
constexpr uint64_t kMantissaMask = (uint64_t{1} << 52) - 1;

double rounded_exp(double x) { return static_cast<double>(std::exp(static_cast<long double>(x))); }
double rounded_log(double x) { return static_cast<double>(std::log(static_cast<long double>(x))); }

// NumPy's tables were once computed in binary64 and are constants since. The same steps give the same bits,
// with the area that its author's quadrature gave (the true one is 0.00492867323397465494), correctly rounded
// functions, and one exception: at strip 38 that author's exp rounded a value 0.4983 units above a binary64
// number up instead of down.
struct Ziggurat {
  std::array<uint64_t, 256> inside;  // mantissas below it are under the curve
  std::array<double, 256> width;     // of a strip, divided by 2^52
  std::array<double, 256> height;    // of the curve at the strip's right end

  Ziggurat() {
    constexpr double kArea = 0.004928673233974652;
    double x = kTailStart;
    height[255] = rounded_exp(-0.5 * x * x);
    width[255] = x / kTwo52;
    inside[0] = to_integer(x * height[255] / kArea * kTwo52);
    width[0] = kArea / height[255] / kTwo52;
    height[0] = 1;
    inside[1] = 0;
    for (int i = 254; i > 0; i--) {
      const double next = std::sqrt(-2 * rounded_log(kArea / x + height[i + 1]));
      inside[i + 1] = to_integer(next / x * kTwo52);
      width[i] = next / kTwo52;
      height[i] = rounded_exp(-0.5 * next * next);
      if (i == 38) height[i] = std::nextafter(height[i], 1.0);
      x = next;
    }
  }

  static uint64_t to_integer(double x) { return static_cast<uint64_t>(std::nearbyint(x)); }  // half to even
};

const Ziggurat& ziggurat() {
  static const Ziggurat tables;
  return tables;
}

}  // namespace

NumpyRandom::NumpyRandom(uint64_t seed) {
  const auto words = seed_words(seed);
  increment_ = (Uint128{words[2]} << 64 | words[3]) << 1 | 1;
  step();
  state_ += Uint128{words[0]} << 64 | words[1];
  step();
}

void NumpyRandom::step() {
  constexpr Uint128 kMultiplier = Uint128{2549297995355413924u} << 64 | 4865540595714422341u;
  state_ = state_ * kMultiplier + increment_;
}

uint64_t NumpyRandom::next_uint64() {
  step();
  const auto high = static_cast<uint64_t>(state_ >> 64), low = static_cast<uint64_t>(state_);
  return std::rotr(high ^ low, static_cast<int>(high >> 58));
}

uint32_t NumpyRandom::next_uint32() {
  if (has_half_) {
    has_half_ = false;
    return half_;
  }
  const uint64_t both = next_uint64();
  has_half_ = true;
  half_ = static_cast<uint32_t>(both >> 32);
  return static_cast<uint32_t>(both);
}

double NumpyRandom::random() { return static_cast<double>(next_uint64() >> 11) * 0x1p-53; }

double NumpyRandom::standard_normal() {
  const Ziggurat& z = ziggurat();
  for (;;) {
    const uint64_t bits = next_uint64();
    const auto strip = static_cast<size_t>(bits & 255);
    const bool negative = bits >> 8 & 1;
    const uint64_t mantissa = bits >> 9 & kMantissaMask;
    const double distance = static_cast<double>(mantissa) * z.width[strip];
    const double x = negative ? -distance : distance;
    if (mantissa < z.inside[strip]) return x;
    if (strip == 0) return normal_tail(mantissa >> 8 & 1);
    const double height = (z.height[strip - 1] - z.height[strip]) * random() + z.height[strip];
    if (height < std::exp(-0.5 * x * x)) return x;
  }
}

double NumpyRandom::normal_tail(bool negative) {
  for (;;) {
    const double x = -kInverseTailStart * std::log1p(-random());
    const double y = -std::log1p(-random());
    if (y + y > x * x) return negative ? -(kTailStart + x) : kTailStart + x;
  }
}

// Lemire's method: the high half of draw x count; draws whose low half is under (2^n - count) mod count are
// repeated.
uint32_t NumpyRandom::below_32(uint32_t last) {
  const uint32_t count = last + 1;
  uint64_t product = uint64_t{next_uint32()} * count;
  if (static_cast<uint32_t>(product) < count) {
    const uint32_t threshold = (UINT32_MAX - last) % count;
    while (static_cast<uint32_t>(product) < threshold) product = uint64_t{next_uint32()} * count;
  }
  return static_cast<uint32_t>(product >> 32);
}

uint64_t NumpyRandom::below_64(uint64_t last) {
  const uint64_t count = last + 1;
  Uint128 product = Uint128{next_uint64()} * count;
  if (static_cast<uint64_t>(product) < count) {
    const uint64_t threshold = (UINT64_MAX - last) % count;
    while (static_cast<uint64_t>(product) < threshold) product = Uint128{next_uint64()} * count;
  }
  return static_cast<uint64_t>(product >> 64);
}

int64_t NumpyRandom::integers(int64_t low, int64_t high) {
  PIXELLM_ASSERT(low < high);
  const uint64_t last = static_cast<uint64_t>(high) - static_cast<uint64_t>(low) - 1;
  uint64_t offset = 0;
  if (last == UINT32_MAX) {
    offset = next_uint32();
  } else if (last > 0 && last < UINT32_MAX) {
    offset = below_32(static_cast<uint32_t>(last));
  } else if (last > UINT32_MAX) {
    offset = below_64(last);  // low < high leaves last < 2^64 - 1
  }
  return static_cast<int64_t>(static_cast<uint64_t>(low) + offset);
}

void NumpyRandom::integers(int64_t low, int64_t high, std::span<int64_t> out) {
  for (int64_t& value : out) value = integers(low, high);
}

}  // namespace pixellm
