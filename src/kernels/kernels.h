// The arithmetic of a forward pass: one table of functions per instruction set, chosen at run time. Every function has
// one fixed order of operations (spec/arithmetic.md), so that scalar, AVX2, AVX-512 and NEON give the same bits.
// scalar.cpp defines what is correct.
//
//   const Kernels& k = *PIXELLM_TRY(active_kernels());               // PIXELLM_ISA=scalar|avx2|avxvnni|avx512bw|avx512|neon forces one
//   k.prepare(x, stride, columns, 0, act.n_panels(), act);            // f32 -> panels
//   k.matmul[type_index(w.type)](w, group_begin, group_end, activations, y, y_stride);
// No I/O, no printing, no allocation; all functions are thread-safe and meant to be called on a part of the work.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "tensor/cells.h"
#include "tensor/dtype.h"

namespace pixellm {

// kAvxVnni: AVX2 with 256-bit int8 dot products; kAvx512Bw: AVX-512 without int8 dot products, kAvx512: with them.
enum class Isa : uint8_t { kScalar, kAvx2, kAvxVnni, kAvx512Bw, kAvx512, kNeon };

// ---- Activations: the right-hand side of a product, in panels of slots.
//
// For quantised weights a token takes one slot of int8 values (kInt8), or two neighbouring ones (kInt16): the values, and
// what rounding them left over in steps 254 times as fine. Slots come in panels of P = 1, 2 or 4, the fewest that hold the
// batch, else kPanel; the last panel's unused slots are zero. A panel is k_padded/32 blocks of ActBlock<P>. For float weights
// (kFloat) a token takes one slot of floats, a panel of P = 1 or kPanel is k_padded * P of them, [k][P]. k_padded is k
// rounded up to 256, the rest zero.
inline constexpr int kPanel = 8;
inline constexpr uint64_t kActivationUnit = 256;   // k_padded is a multiple

enum class ActivationKind : uint8_t { kInt8, kInt16, kFloat };

// 32 values of P slots. A token's first slot: dx = amax/127, q = round_to_even(x * (127/amax)) clamped to +-127; dx = 0 and
// q = 0 when amax < 2^-90; sx = dx * float(sum of q). Its second: the same of r = fma(-q, dx, x) with dx/254 for dx; then sx of
// the first is fma(dx/254, float(sum of the second's q), dx * float(sum of q)) and sx of the second 0. start_*: where an
// int32 accumulator of unsigned weight bytes begins so that it ends as 0x4B400000 + the signed sum, whose bits are the float
// 12582912 + sum.
template <int P>
struct alignas(64) ActBlock {
  int8_t q[8][P][4];        // q[j][s][i]: column 4j+i of slot s
  float dx[P], sx[P];
  int32_t start_128[P];     // 0x4B400000 - 128 * sum   (Q8_0 as offset bytes)
  int32_t start_8[P];       // - 8 * sum                (Q4_0)
  int32_t start_16[P];      // - 16 * sum               (Q5_0)
  int32_t start_32[2][P];   // - 32 * sum of columns 0..15, of 16..31   (Q6_K)
};
static_assert(sizeof(ActBlock<1>) == 64 && sizeof(ActBlock<2>) == 128 && sizeof(ActBlock<4>) == 256 &&
              sizeof(ActBlock<kPanel>) == 512);

struct Activations {
  uint32_t n_tokens = 0;
  uint64_t k_padded = 0;
  ActivationKind kind = ActivationKind::kInt8;
  int panel = 1;             // slots
  void* data = nullptr;      // 64-byte aligned; see bytes_needed()

  bool is_float() const { return kind == ActivationKind::kFloat; }
  int planes() const { return kind == ActivationKind::kInt16 ? 2 : 1; }
  uint32_t tokens_per_panel() const { return static_cast<uint32_t>(panel / planes()); }
  uint32_t n_panels() const { return static_cast<uint32_t>(ceil_div(n_tokens, uint64_t{tokens_per_panel()})); }
  uint64_t panel_bytes() const {
    return static_cast<uint64_t>(panel) * (is_float() ? k_padded * sizeof(float) : k_padded / 32 * sizeof(ActBlock<1>));
  }
  uint64_t bytes_needed() const { return n_panels() * panel_bytes(); }

  template <int P>
  ActBlock<P>* blocks(uint32_t p) const {
    return static_cast<ActBlock<P>*>(data) + p * (k_padded / 32);
  }
  float* floats(uint32_t p) const { return static_cast<float*>(data) + p * k_padded * static_cast<uint64_t>(panel); }

  // Panels for a batch; data is left to the caller.
  static Activations shape(uint32_t n_tokens, uint64_t k, ActivationKind kind);
};

// ---- Attention over a cache of one KV head.
//
// Positions are taken in chunks of kAttentionChunk, each with a largest score of its own, and joined in order. So a part of
// a sequence can be computed by itself, and the result does not depend on who computed which part.
//
// A chunk's keys lie in blocks of 16 positions, [position/16][head_dim][16], so that lanes are positions; its values lie
// [position][head_dim]. Both are f16, or int8 with a factor for each position. What belongs to chunk c lies c * chunk_bytes
// behind what belongs to chunk 0. `n_queries` query vectors share this KV head; query i sees positions [first[i], last[i]]
// inclusive. out_i = sum_j softmax_j(scale * q_i . k_j) v_j.
struct AttentionArgs {
  const float* const* queries;       // n_queries pointers to head_dim floats
  float* const* outputs;             // n_queries pointers to head_dim floats; not used by attention_chunk
  const uint32_t* first;             // per query
  const uint32_t* last;              // per query
  uint32_t n_queries;                // 1..kMaxAttentionQueries
  uint32_t head_dim;                 // multiple of 16
  const void *keys, *values;         // of chunk 0
  const float *key_factors, *value_factors;   // of chunk 0; null: keys and values are f16
  uint64_t chunk_bytes;              // a multiple of 64; not used where all positions are in chunk 0
  const void* next_keys;             // what this thread reads next, to be fetched meanwhile; may be null
  float scale;
  float softcap;                     // 0: none; else score = softcap * tanh(score / softcap)
  float* scratch;                    // attention_scratch_floats(head_dim) floats, 64-byte aligned
};
inline constexpr uint32_t kMaxAttentionQueries = 8;
inline constexpr uint32_t kAttentionChunk = 256;
// A query's sums over some chunks: head_dim weighted values, the largest score, the sum of the weights, padding.
constexpr uint64_t attention_part_floats(uint32_t head_dim) { return uint64_t{head_dim} + 16; }
constexpr uint64_t attention_scratch_floats(uint32_t head_dim) {
  return kMaxAttentionQueries * (kAttentionChunk + 2 * attention_part_floats(head_dim));
}

struct Kernels {
  Isa isa;
  std::string_view name;             // "avx512"

  // y[t * y_stride + row] = W x_t for row groups [group_begin, group_end) of 16 rows and every token t. Writes all 16
  // rows of a group: y has room for 16 * n_groups floats a token (y_stride at least that). Padded rows get 0.
  // w.type selects the entry: type_index(w.type). Float types need kFloat activations, the others int8 or int16.
  using Matmul = void (*)(const CellMatrixView& w, uint64_t group_begin, uint64_t group_end, const Activations& x, float* y,
                          uint64_t y_stride);
  std::array<Matmul, kTypes.size()> matmul;

  // x: n_tokens rows of k floats, `stride` apart. Fills panels [panel_begin, panel_end) of `out`.
  void (*prepare)(const float* x, uint64_t stride, uint64_t k, uint32_t panel_begin, uint32_t panel_end, const Activations& out);

  void (*rms_norm)(const float* x, const float* weight, uint64_t n, float eps, float* y);   // weight may be null (ones)
  void (*layer_norm)(const float* x, const float* weight, const float* bias, uint64_t n, float eps, float* y);
  void (*add)(float* y, const float* x, uint64_t n);              // y += x
  void (*scale)(float* y, float s, uint64_t n);                   // y *= s
  void (*silu_mul)(float* gate, const float* up, uint64_t n);     // gate = silu(gate) * up
  void (*gelu_mul)(float* gate, const float* up, uint64_t n);     // gate = gelu(gate) * up, tanh form
  void (*gelu)(float* x, uint64_t n);
  void (*softcap)(float* x, float cap, uint64_t n);               // x = cap * tanh(x / cap)
  // Rotates n_rot values of one head: pairs (i, i + n_rot/2) when neox, else (2i, 2i+1); cos_sin: n_rot/2 cosines, then
  // n_rot/2 sines.
  void (*rope)(float* head, uint64_t n_rot, bool neox, const float* cos_sin);
  void (*attention)(const AttentionArgs& args);
  // The sums over one chunk, which every query sees a position of: query i's to parts + i * stride (floats, a multiple of 16).
  void (*attention_chunk)(const AttentionArgs& args, uint32_t chunk, float* parts, uint64_t stride);
  // Joins the sums of the n chunks that a query sees, in order, `stride` floats apart. The first one's memory is used.
  void (*attention_join)(float* parts, uint64_t stride, uint32_t n, uint32_t head_dim, float* output);
  // One head's vector of n (a multiple of 16) values for an int8 cache: q_i is y[i * step]. Returns the factor.
  float (*to_int8)(const float* x, uint64_t n, int8_t* y, uint64_t step);
  void (*to_f16)(const float* x, uint64_t n, uint16_t* y);
  void (*softmax)(float* x, uint64_t n);                          // in place; over a whole vocabulary
  // Millions of 8-bit multiply-adds, counted: the peak that bench compares with. Returns operations (2 per
  // multiply-add) done; `rounds` scales the work.
  uint64_t (*int8_peak)(uint64_t rounds);
};

extern const Kernels kScalarKernels;
const Kernels* kernels_for(Isa isa);              // nullptr when not built in or this CPU lacks it
std::vector<const Kernels*> available_kernels();  // scalar first
// The best this CPU has, or what PIXELLM_ISA names. kInvalidArgument for an unknown word, kUnsupported for an ISA that
// this CPU or this build lacks.
Result<const Kernels*> active_kernels();

// ---- Tables computed once, with basic IEEE operations only (the same on every machine).

// cos_sin of one position for rope(): angle_i = position * base^(-2i/n_rot) / factors[i] * frequency_scale, for i in
// 0..n_rot/2-1; factors may be null. Cosines and sines are multiplied by `magnitude`.
void rope_table(uint32_t position, uint64_t n_rot, double base, double frequency_scale, const float* factors, float magnitude,
                float* cos_sin);

}  // namespace pixellm
