// How fast attention is: for a single token, how fast it reads the KV cache, beside the read bandwidth of
// this machine's memory; for a prompt, operations a second of the positions that are seen. The cache lies as
// in a session. One line for people and one JSON line for each case.
//
//   attention_bench --threads 1 --positions 4096 --head-dim 64,128 --queries 3,4
#include <fmt/core.h>
#include <sys/mman.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "measure.h"

namespace pixellm {
namespace {

struct Options {
  std::string isa;
  std::vector<uint32_t> head_dims = {64, 128}, queries = {3, 4};
  uint32_t positions = 4096, tokens = 512, kv_heads = 4;
  uint64_t megabytes = 128;
  int threads = 1;
  bool small_pages = false;
  double seconds = 0.5;
};

// Queries of one token, `queries` for each of kv_heads heads, over a cache of several layers.
struct Cache {
  Cache(const Options& o, uint32_t dim, bool int8, const Buffer& memory)
      : kv_heads(o.kv_heads),
        head_dim(dim),
        is_int8(int8),
        head_bytes(uint64_t{kAttentionChunk} * 2 * (int8 ? dim + sizeof(float) : 2 * dim)),
        n_chunks(o.positions / kAttentionChunk),
        n_layers(memory.size() / (n_chunks * kv_heads * head_bytes)),
        data(memory.data()) {}

  // Of the item-th head in the order of memory: all of the layer's first chunk, all of its second, ...
  const uint8_t* keys(uint64_t layer, uint64_t item) const {
    return data + ((item / kv_heads * n_layers + layer) * kv_heads + item % kv_heads) * head_bytes;
  }

  AttentionArgs args(uint64_t layer, uint64_t kv_head) const {
    const uint8_t* first = keys(layer, kv_head);
    const uint64_t vectors = uint64_t{kAttentionChunk} * head_dim * (is_int8 ? 1 : 2);
    const auto* factors = reinterpret_cast<const float*>(first + 2 * vectors);
    return {.queries = nullptr,
            .outputs = nullptr,
            .first = nullptr,
            .last = nullptr,
            .n_queries = 0,
            .head_dim = head_dim,
            .keys = first,
            .values = first + vectors,
            .key_factors = is_int8 ? factors : nullptr,
            .value_factors = is_int8 ? factors + kAttentionChunk : nullptr,
            .chunk_bytes = n_layers * kv_heads * head_bytes,
            .next_keys = nullptr,
            .scale = 0.1f,
            .softcap = 0,
            .scratch = nullptr};
  }
  uint64_t bytes() const { return n_layers * n_chunks * kv_heads * head_bytes; }

  uint64_t kv_heads;
  uint32_t head_dim;
  bool is_int8;
  uint64_t head_bytes, n_chunks, n_layers;
  const uint8_t* data;
};

struct Call {
  explicit Call(uint32_t head_dim) : scratch(attention_scratch_floats(head_dim) * sizeof(float)) {}
  void use(AttentionArgs& args, uint32_t n) {
    args.queries = queries;
    args.outputs = outputs;
    args.first = first;
    args.last = last;
    args.n_queries = n;
    args.scratch = reinterpret_cast<float*>(scratch.data());
  }
  const float* queries[kMaxAttentionQueries] = {};
  float* outputs[kMaxAttentionQueries] = {};
  uint32_t first[kMaxAttentionQueries] = {}, last[kMaxAttentionQueries] = {};
  Buffer scratch;
};

// GB/s of the cache that one token after another reads, as a forward pass deals it out.
double measure_decode(const Options& o, const Kernels& k, ThreadPool& pool, const Cache& cache,
                      uint32_t queries) {
  const uint64_t part = attention_part_floats(cache.head_dim), stride = cache.n_chunks * part;
  const uint64_t heads = cache.kv_heads * queries;
  std::vector<float> q(heads * cache.head_dim, 0.01f), out(q.size()), parts(heads * stride);
  const double t = fastest(o.seconds, [&] {
    pool.run([&](Worker& w) {
      Call call(cache.head_dim);
      for (uint64_t layer = 0; layer < cache.n_layers; layer++) {
        const auto [begin, end] = w.share(cache.n_chunks * cache.kv_heads);
        for (uint64_t item = begin; item < end; item++) {
          const uint64_t chunk = item / cache.kv_heads, kv_head = item % cache.kv_heads;
          AttentionArgs args = cache.args(layer, kv_head);
          args.next_keys = item + 1 < end ? cache.keys(layer, item + 1) : nullptr;
          call.use(args, queries);
          for (uint32_t i = 0; i < queries; i++) {
            call.queries[i] = q.data() + (kv_head * queries + i) * cache.head_dim;
            call.last[i] = o.positions - 1;
          }
          k.attention_chunk(args, static_cast<uint32_t>(chunk),
                            parts.data() + kv_head * queries * stride + chunk * part, stride);
        }
        w.barrier();
        const auto [first_head, end_head] = w.share(heads);
        for (uint64_t h = first_head; h < end_head; h++)
          k.attention_join(parts.data() + h * stride, part, static_cast<uint32_t>(cache.n_chunks),
                           cache.head_dim, out.data() + h * cache.head_dim);
        w.barrier();
      }
    });
  });
  return static_cast<double>(cache.bytes()) / t * 1e-9;
}

// GFLOP/s of a prompt of o.tokens tokens: two operations for each dimension of each key and each value seen.
double measure_prompt(const Options& o, const Kernels& k, ThreadPool& pool, const Cache& cache,
                      uint32_t queries) {
  const uint64_t width = cache.kv_heads * queries * cache.head_dim;
  std::vector<float> q(o.tokens * width), out(q.size());
  std::minstd_rand random(1);
  for (float& v : q) v = static_cast<float>(random() % 2001) * 1e-3f - 1.0f;
  const uint32_t at_once = kMaxAttentionQueries / queries;
  const uint64_t blocks = ceil_div(o.tokens, at_once);
  const double t = fastest(o.seconds, [&] {
    pool.run([&](Worker& w) {
      Call call(cache.head_dim);
      for (auto item = static_cast<uint64_t>(w.index()); item < cache.kv_heads * blocks;
           item += static_cast<uint64_t>(w.count())) {
        const uint64_t kv_head = item / blocks;
        const auto token = static_cast<uint32_t>(item % blocks) * at_once;
        const uint32_t n = std::min(at_once, o.tokens - token) * queries;
        AttentionArgs args = cache.args(0, kv_head);
        call.use(args, n);
        for (uint32_t i = 0; i < n; i++) {
          const uint64_t row = token + i / queries;
          call.last[i] = static_cast<uint32_t>(row);
          call.queries[i] = q.data() + row * width + (kv_head * queries + i % queries) * cache.head_dim;
          call.outputs[i] = out.data() + (call.queries[i] - q.data());
        }
        k.attention(args);
      }
    });
  });
  const double seen = 0.5 * o.tokens * (o.tokens + 1.0);
  return 4 * seen * static_cast<double>(width) / t * 1e-9;
}

void report(const Options& o, const Kernels& k, ThreadPool& pool, const Cache& cache, uint32_t queries,
            double read_gb_s) {
  const double decode = measure_decode(o, k, pool, cache, queries),
               prompt = measure_prompt(o, k, pool, cache, queries);
  fmt::print(
      "{} heads of {:3}, {} queries each: one token at {} {:5.1f} GB/s = {:3.0f} % of read;  "
      "prompt of {} {:5.0f} GFLOP/s\n",
      cache.is_int8 ? "int8" : "f16 ", cache.head_dim, queries, o.positions, decode, 100 * decode / read_gb_s,
      o.tokens, prompt);
  const nlohmann::json line = {{"bench", "attention"},         {"isa", std::string(k.name)},
                               {"threads", pool.size()},       {"cache", cache.is_int8 ? "int8" : "f16"},
                               {"head_dim", cache.head_dim},   {"queries", queries},
                               {"positions", o.positions},     {"tokens", o.tokens},
                               {"small_pages", o.small_pages}, {"read_gb_s", read_gb_s},
                               {"decode_gb_s", decode},        {"prompt_gflop_s", prompt}};
  fmt::print("{}\n", line.dump());
  std::fflush(stdout);
}

int run(const Options& o) {
  const Kernels* kernels = find_kernels(o.isa);
  if (kernels == nullptr) return 1;
  const Buffer memory(o.megabytes << 20);
  if (!o.small_pages) madvise(memory.data(), memory.size(), MADV_HUGEPAGE);
  // Bytes 0x1c..0x2b: a small normal number as f16, as int8 and as a factor.
  std::minstd_rand random(1);
  for (uint64_t i = 0; i < memory.size(); i++)
    memory.data()[i] = static_cast<uint8_t>(0x1c + (random() >> 12) % 16);
  ThreadPool pool(o.threads);
  const double read_gb_s = measure_read(pool, memory, o.seconds);
  fmt::print("{}, {} threads: read {:.1f} GB/s\n", kernels->name, pool.size(), read_gb_s);
  for (const bool int8 : {false, true})
    for (const uint32_t dim : o.head_dims) {
      const Cache cache(o, dim, int8, memory);
      if (cache.n_layers == 0) {
        fmt::print(stderr, "a layer needs more than --megabytes\n");
        return 1;
      }
      for (const uint32_t queries : o.queries) report(o, *kernels, pool, cache, queries, read_gb_s);
    }
  return 0;
}

}  // namespace
}  // namespace pixellm

int main(int argc, char** argv) {
  pixellm::Options options;
  CLI::App app("Speed of attention: one token's over a long cache, and a prompt's");
  app.add_option("--isa", options.isa, "scalar, avx2, avxvnni, avx512bw, avx512 or neon (default: the best)");
  app.add_option("--head-dim", options.head_dims, "values of a head")
      ->delimiter(',')
      ->check(CLI::IsMember({16, 32, 48, 64, 80, 96, 112, 128, 256}));
  app.add_option("--queries", options.queries, "query heads of a KV head")
      ->delimiter(',')
      ->check(CLI::Range(1, 8));
  app.add_option("--kv-heads", options.kv_heads, "KV heads of a layer")->check(CLI::Range(1, 64));
  app.add_option("--positions", options.positions,
                 "positions that the single token sees, rounded down to chunks")
      ->check(CLI::Range(256, 1 << 20));
  app.add_option("--tokens", options.tokens, "tokens of the prompt")->check(CLI::Range(1, 1 << 16));
  app.add_option("--threads", options.threads, "threads")
      ->check(CLI::Range(1, pixellm::ThreadPool::kMaxThreads));
  app.add_option("--seconds", options.seconds, "time for each figure")->check(CLI::Range(0.0, 60.0));
  app.add_option("--megabytes", options.megabytes, "memory of the cache; more than the CPU's own")
      ->check(CLI::Range(1, 1 << 16));
  app.add_flag("--small-pages", options.small_pages, "ask the system for no large pages");
  CLI11_PARSE(app, argc, argv);
  options.positions = options.positions / pixellm::kAttentionChunk * pixellm::kAttentionChunk;
  if (options.tokens > options.positions) options.tokens = options.positions;
  return pixellm::run(options);
}
