// attention_decode and attention_join, rope_store and attention_prefill against float64.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "gpu/shader_run.h"
#include "tensor/float16.h"

namespace pixellm::gpu {
namespace {

struct Case {
  uint32_t position = 0, n_tokens = 1, head_dim = 64, group = 3, n_kv_heads = 2, n_rot = 64, neox = 1,
           chunk = 64, window = 0;
  float softcap = 0;
  uint32_t qk_norm = 0;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << "position " << c.position << ", tokens " << c.n_tokens << ", head_dim " << c.head_dim << ", group "
       << c.group << ", n_rot " << c.n_rot << ", neox " << c.neox << ", chunk " << c.chunk << ", window "
       << c.window << ", softcap " << c.softcap << ", qk_norm " << c.qk_norm;
}

constexpr float kEps = 1e-5f;
constexpr uint32_t kQueryNorm = 64, kKeyNorm = 512;  // where the norms' weights begin
constexpr double kTolerance = 4e-5, kRoundedKeys = 5e-4;

uint32_t pack(float low, float high) { return float_to_f16(low) | uint32_t{float_to_f16(high)} << 16; }

// A step's inputs, and what must come out.
class World {
 public:
  explicit World(const Case& c) : c_(c), random_(c.position * 31 + c.head_dim + c.n_tokens) {
    n_heads = c.group * c.n_kv_heads;
    context = (c.position + c.n_tokens + 31) / 32 * 32 + 32;
    k_at = n_heads * c.head_dim + 16, v_at = k_at + c.n_kv_heads * c.head_dim + 16,
    stride = v_at + c.n_kv_heads * c.head_dim;
    qkv = normal(uint64_t{c.n_tokens} * stride);
    vectors = normal(1024);
    for (float& w : vectors) w = 1 + w / 4;
    keys = normal(uint64_t{c.n_kv_heads} * context * c.head_dim), values = normal(keys.size());
    for (auto* cache : {&keys, &values})
      for (float& x : *cache) x = f16_to_float(float_to_f16(x));
    for (uint32_t i = 0; i < c.n_tokens * c.n_rot / 2; i++) {
      const double angle = std::uniform_real_distribution<double>(-3, 3)(random_);
      rope.push_back(static_cast<float>(std::cos(angle)));
      rope.push_back(static_cast<float>(std::sin(angle)));
    }
    rope.resize(std::max<size_t>(rope.size(), 2));
    packed_keys = pack_keys(), packed_values = pack_values();
    compute();
  }

  std::vector<uint32_t> pack_keys() const {
    std::vector<uint32_t> words(keys.size() / 2);
    for (uint32_t kv = 0; kv < c_.n_kv_heads; kv++)
      for (uint32_t p = 0; p < context; p++)
        for (uint32_t i = 0; i < c_.head_dim / 2; i++) {
          const float* k = &keys[(uint64_t{kv} * context + p) * c_.head_dim + 2 * i];
          words[(kv * context + p / 32 * 32) * (c_.head_dim / 2) + i * 32 + p % 32] = pack(k[0], k[1]);
        }
    return words;
  }
  std::vector<uint32_t> pack_values() const {
    std::vector<uint32_t> words;
    for (size_t i = 0; i < values.size(); i += 2) words.push_back(pack(values[i], values[i + 1]));
    return words;
  }

  std::vector<uint32_t> params(uint32_t chunks) const {
    const auto bits = [](float x) { return std::bit_cast<uint32_t>(x); };
    return {0,
            k_at,
            v_at,
            kQueryNorm,
            kKeyNorm,
            c_.window,
            bits(1 / std::sqrt(static_cast<float>(c_.head_dim))),
            bits(c_.softcap),
            bits(kEps),
            context,
            chunks,
            stride,
            n_heads * c_.head_dim};
  }

  uint32_t n_heads, context, k_at, v_at, stride;
  std::vector<float> qkv, vectors, rope, keys, values;  // the cache as it must be after the step
  std::vector<uint32_t> packed_keys, packed_values;     // as it was before
  std::vector<double> attended;                         // [token][head][head_dim]

 private:
  std::vector<float> normal(uint64_t n) {
    std::normal_distribution<float> distribution;
    std::vector<float> out(n);
    std::ranges::generate(out, [&] { return distribution(random_); });
    return out;
  }

  std::vector<double> rotated(uint32_t token, uint32_t begin, uint32_t weights) const {
    const float* x = &qkv[uint64_t{token} * stride + begin];
    std::vector<double> y(x, x + c_.head_dim);
    if (c_.qk_norm) {
      const double f =
          1 / std::sqrt(std::inner_product(y.begin(), y.end(), y.begin(), 0.0) / c_.head_dim + kEps);
      for (uint32_t d = 0; d < c_.head_dim; d++) y[d] *= f * vectors[weights + d];
    }
    for (uint32_t i = 0; i < c_.n_rot / 2; i++) {
      double& a = y[c_.neox ? i : 2 * i];
      double& b = y[c_.neox ? i + c_.n_rot / 2 : 2 * i + 1];
      const double cosine = rope[token * c_.n_rot + 2 * i], sine = rope[token * c_.n_rot + 2 * i + 1], x0 = a,
                   x1 = b;
      a = x0 * cosine - x1 * sine, b = x0 * sine + x1 * cosine;
    }
    return y;
  }

  void compute() {
    for (uint32_t t = 0; t < c_.n_tokens; t++)
      for (uint32_t kv = 0; kv < c_.n_kv_heads; kv++) {
        const auto k = rotated(t, k_at + kv * c_.head_dim, kKeyNorm);
        const uint64_t at = (uint64_t{kv} * context + c_.position + t) * c_.head_dim;
        for (uint32_t d = 0; d < c_.head_dim; d++) {
          keys[at + d] = f16_to_float(float_to_f16(static_cast<float>(k[d])));
          values[at + d] =
              f16_to_float(float_to_f16(qkv[uint64_t{t} * stride + v_at + kv * c_.head_dim + d]));
        }
      }
    for (uint32_t t = 0; t < c_.n_tokens; t++)
      for (uint32_t h = 0; h < n_heads; h++) attend(t, h);
  }

  void attend(uint32_t token, uint32_t head) {
    const auto q = rotated(token, head * c_.head_dim, kQueryNorm);
    const uint32_t last = c_.position + token,
                   first = c_.window > 0 && last >= c_.window ? last - c_.window + 1 : 0;
    const uint64_t cache = uint64_t{head / c_.group} * context * c_.head_dim;
    std::vector<double> w, out(c_.head_dim);
    for (uint32_t p = first; p <= last; p++) {
      const float* k = &keys[cache + uint64_t{p} * c_.head_dim];
      double s = std::inner_product(q.begin(), q.end(), k, 0.0) / std::sqrt(static_cast<double>(c_.head_dim));
      w.push_back(c_.softcap > 0 ? c_.softcap * std::tanh(s / c_.softcap) : s);
    }
    const double largest = *std::ranges::max_element(w);
    double sum = 0;
    for (double& x : w) sum += x = std::exp(x - largest);
    for (uint32_t p = first; p <= last; p++)
      for (uint32_t d = 0; d < c_.head_dim; d++)
        out[d] += w[p - first] / sum * values[cache + uint64_t{p} * c_.head_dim + d];
    attended.insert(attended.end(), out.begin(), out.end());
  }

  Case c_;
  std::mt19937 random_;
};

class AttentionShaders : public GpuTest {
 protected:
  // Keys may differ by one unit where the rotation rounds otherwise; values and the rest of the cache are
  // exact.
  static bool check_cache(const World& world, const std::vector<uint32_t>& keys,
                          const std::vector<uint32_t>& values) {
    EXPECT_EQ(values, world.pack_values());
    const auto want = world.pack_keys();
    bool same = true;
    for (size_t i = 0; i < want.size(); i++) {
      same = same && keys[i] == want[i];
      for (const int shift : {0, 16}) {
        const float a = f16_to_float(static_cast<uint16_t>(keys[i] >> shift)),
                    b = f16_to_float(static_cast<uint16_t>(want[i] >> shift));
        if (!(std::fabs(a - b) <= std::fabs(b) * 0x1p-10f + 0x1p-24f))
          ADD_FAILURE() << "key word " << i << ": " << a << ", " << b;
      }
    }
    return same;
  }

  static void check_attended(const World& world, const std::vector<float>& got, bool same_keys) {
    ASSERT_EQ(got.size(), world.attended.size());
    double worst = 0;
    for (size_t i = 0; i < got.size(); i++)
      worst = std::max(worst, std::isnan(got[i]) ? INFINITY : std::fabs(got[i] - world.attended[i]));
    EXPECT_LE(worst, same_keys ? kTolerance : kRoundedKeys);
  }

  // What a block of 32 columns was quantised to, against its floats.
  static void check_blocks(const std::vector<uint32_t>& act, uint32_t padded) {
    for (uint32_t b = 0; b < padded / 32; b++) {
      const auto number = [&](uint32_t at) { return std::bit_cast<float>(act[at]); };
      const float dx = number(padded / 4 + 4 * b);
      float largest = 0;
      int sum = 0;
      for (uint32_t i = 0; i < 32; i++) {
        const float x = number(padded / 8 * 3 + b * 32 + i);
        const auto q = static_cast<int8_t>(act[b * 8 + i / 4] >> i % 4 * 8);
        largest = std::max(largest, std::fabs(x)), sum += q;
        EXPECT_LE(std::fabs(x - q * dx), 0.5f * dx * 1.0001f) << "column " << b * 32 + i;
      }
      EXPECT_NEAR(dx, largest / 127, largest * 1e-8);
      EXPECT_NEAR(number(padded / 4 + 4 * b + 1), dx * static_cast<float>(sum),
                  std::fabs(dx * static_cast<float>(sum)) * 1e-6);
    }
  }

  void decode(const Case& c) {
    SCOPED_TRACE(::testing::PrintToString(c));
    const World world(c);
    const uint32_t chunks = world.context / c.chunk + 1, width = world.n_heads * c.head_dim,
                   padded = (width + 255) / 256 * 256;
    ShaderRun run(device(), pipelines_);
    const Buffer& step = run.uniform({c.position, 1, 0, 1});
    const Buffer &keys = run.storage(world.packed_keys), &values = run.storage(world.packed_values);
    // NaN: what is not written must not be read.
    const Buffer& parts = run.storage(
        std::vector<float>(uint64_t{world.n_heads} * chunks * ((c.head_dim + 3) / 4 * 4 + 4), NAN));
    const Buffer& act = run.storage(std::vector<uint32_t>(padded / 8 * 3 + padded));
    const Constant constants[] = {{"HEAD_DIM", double(c.head_dim)}, {"GROUP", double(c.group)},
                                  {"N_ROT", double(c.n_rot)},       {"NEOX", double(c.neox)},
                                  {"CHUNK", double(c.chunk)},       {"QK_NORM", double(c.qk_norm)}};
    const Binding bindings[] = {{0, step},
                                {1, run.uniform(world.params(chunks))},
                                {2, run.storage(world.qkv)},
                                {3, run.storage(world.rope)},
                                {4, run.storage(world.vectors)},
                                {5, keys},
                                {6, values},
                                {7, parts}};
    run.dispatch("attention_decode.wgsl", constants, bindings, c.n_kv_heads, c.position / c.chunk + 1);
    const Constant join[] = {
        {"HEAD_DIM", double(c.head_dim)}, {"WIDTH", double(width)}, {"CHUNK", double(c.chunk)}, {"EMIT", 3}};
    const Binding join_bindings[] = {
        {0, step}, {1, run.uniform({chunks, padded / 8 * 3 + padded})}, {2, parts}, {3, act}};
    run.dispatch("attention_join.wgsl", join, join_bindings, (width + 31) / 32);
    if (HasFatalFailure()) return;
    const auto words = run.read(act);
    const bool same = check_cache(world, run.read(keys), run.read(values));
    std::vector<float> floats;
    for (uint32_t i = 0; i < width; i++) floats.push_back(std::bit_cast<float>(words[padded / 8 * 3 + i]));
    check_attended(world, floats, same);
    check_blocks(words, padded);
  }

  void prefill(const Case& c, uint32_t queries) {
    SCOPED_TRACE(::testing::PrintToString(c) + ", tile of " + std::to_string(queries));
    const World world(c);
    ShaderRun run(device(), pipelines_);
    const Buffer& step = run.uniform({c.position, c.n_tokens, c.n_tokens - 1, 1});
    const Buffer& params = run.uniform(world.params(0));
    const Buffer &qkv = run.storage(world.qkv), &keys = run.storage(world.packed_keys),
                 &values = run.storage(world.packed_values);
    const Buffer& attended = run.storage(std::vector<float>(world.attended.size(), NAN));
    const Constant store[] = {{"HEAD_DIM", double(c.head_dim)},
                              {"N_HEADS", double(world.n_heads)},
                              {"N_KV_HEADS", double(c.n_kv_heads)},
                              {"N_ROT", double(c.n_rot)},
                              {"NEOX", double(c.neox)},
                              {"QK_NORM", double(c.qk_norm)}};
    const Binding store_bindings[] = {
        {0, step}, {1, params}, {2, qkv}, {3, run.storage(world.rope)}, {4, run.storage(world.vectors)},
        {5, keys}, {6, values}};
    run.dispatch("rope_store.wgsl", store, store_bindings, world.n_heads + c.n_kv_heads, c.n_tokens);
    const Constant attend[] = {
        {"HEAD_DIM", double(c.head_dim)}, {"GROUP", double(c.group)}, {"QUERIES", double(queries)}};
    const Binding attend_bindings[] = {{0, step}, {1, params}, {2, qkv},
                                       {3, keys}, {4, values}, {5, attended}};
    run.dispatch("attention_prefill.wgsl", attend, attend_bindings, world.n_heads,
                 (c.n_tokens + queries - 1) / queries);
    if (HasFatalFailure()) return;
    const auto words = run.read(attended);
    std::vector<float> floats;
    for (const uint32_t w : words) floats.push_back(std::bit_cast<float>(w));
    check_attended(world, floats, check_cache(world, run.read(keys), run.read(values)));
  }

 private:
  ShaderRun::Pipelines pipelines_;
};

TEST_F(AttentionShaders, DecodeAtTheBordersOfChunks) {
  for (const uint32_t position : {0, 1, 31, 32, 63, 64, 65, 127, 300}) decode({.position = position});
  for (const uint32_t chunk : {32, 128, 256})
    for (const uint32_t position : {0, 255, 256, 511}) decode({.position = position, .chunk = chunk});
}

TEST_F(AttentionShaders, DecodeOfEveryShape) {
  for (const auto& [head_dim, group] : {std::pair<uint32_t, uint32_t>{32, 1},
                                        {34, 16},
                                        {48, 4},
                                        {80, 7},
                                        {96, 16},
                                        {128, 4},
                                        {256, 7},
                                        {256, 16}})
    decode({.position = 300,
            .head_dim = head_dim,
            .group = group,
            .n_kv_heads = 1 + head_dim % 3,
            .n_rot = head_dim / 4 * 2,
            .neox = group % 2,
            .chunk = group == 7 ? 256u : 64u,
            .qk_norm = group / 2 % 2});
  decode({.position = 40, .n_rot = 0});
}

TEST_F(AttentionShaders, Window) {
  for (const uint32_t window : {1, 16, 63, 64, 65, 200})
    for (const uint32_t position : {5, 63, 64, 200}) decode({.position = position, .window = window});
  for (const uint32_t window : {1, 20, 32, 100})
    prefill({.position = 70, .n_tokens = 50, .window = window}, 32);
}

TEST_F(AttentionShaders, SoftCap) {
  decode({.position = 90, .softcap = 2});
  prefill({.position = 90, .n_tokens = 9, .softcap = 2}, 32);
}

TEST_F(AttentionShaders, PrefillOfAnyNumberOfTokens) {
  for (const uint32_t n : {1, 2, 31, 32, 33, 65, 100})
    for (const uint32_t position : {0, 45, 200}) prefill({.position = position, .n_tokens = n}, 32);
  for (const uint32_t queries : {4, 8, 16}) prefill({.position = 7, .n_tokens = 21}, queries);
}

TEST_F(AttentionShaders, PrefillOfEveryShape) {
  for (const auto& [head_dim, group] :
       {std::pair<uint32_t, uint32_t>{32, 1}, {34, 7}, {48, 1}, {80, 7}, {96, 1}, {128, 7}, {256, 1}})
    prefill({.position = 29,
             .n_tokens = 37,
             .head_dim = head_dim,
             .group = group,
             .n_kv_heads = 1,
             .n_rot = head_dim / 4 * 2,
             .neox = group == 1,
             .qk_norm = group == 7},
            head_dim <= 64    ? 32
            : head_dim <= 128 ? 16
                              : 8);
}

}  // namespace
}  // namespace pixellm::gpu
