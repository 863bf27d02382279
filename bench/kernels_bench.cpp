// How fast the matrix products are, as shares of what the same process measures: decode (one token) against
// the read bandwidth of this machine's memory, prefill against its peak of 8-bit multiply-adds. One line for
// people and one JSON line for each type.
//
//   kernels_bench --threads 2 --type Q8_0,Q4_K --rows 2048 --columns 2048 --tokens 512
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "measure.h"

namespace pixellm {
namespace {

struct Options {
  std::string isa;
  std::vector<std::string> types;
  uint64_t rows = 2048, columns = 2048, megabytes = 256;
  uint32_t tokens = 512;
  int threads = 1, activations = 8;
  double seconds = 0.5;
};

struct Machine {
  const Kernels* kernels;
  ThreadPool* pool;
  double read_gb_s, int8_gop_s;
};

double measure_peak(ThreadPool& pool, const Kernels& kernels, double seconds) {
  uint64_t rounds = 1;
  while (fastest(0, [&] { kernels.int8_peak(rounds); }) < 2e-3) rounds *= 2;
  std::vector<uint64_t> done(static_cast<size_t>(pool.size()));
  const double t = fastest(seconds, [&] {
    pool.run([&](Worker& w) { done[static_cast<size_t>(w.index())] = kernels.int8_peak(rounds); });
  });
  uint64_t operations = 0;
  for (uint64_t n : done) operations += n;
  return static_cast<double>(operations) / t * 1e-9;
}

// As many matrices as fit, one after the other in rows of a picture.
std::vector<CellMatrixView> place(const Options& o, TensorType type, const Buffer& memory) {
  constexpr uint64_t kRowBytes = 57792, kStride = kRowBytes + 128;
  CellMatrixView one;
  one.type = type;
  one.n_rows = o.rows;
  one.k = o.columns;
  one.cells_per_row = kRowBytes / traits(type).cell_bytes;
  one.row_stride = kStride;
  const uint64_t rows_of_picture = ceil_div(one.n_cells(), one.cells_per_row);
  std::vector<CellMatrixView> all;
  for (uint64_t at = 0; at + rows_of_picture * kStride <= memory.size(); at += rows_of_picture * kStride) {
    one.first = one.next_row = memory.data() + at;
    all.push_back(one);
  }
  return all;
}

struct Inputs {
  Inputs(uint32_t n_tokens, uint64_t k, ActivationKind kind)
      : x(n_tokens * k), shape(Activations::shape(n_tokens, k, kind)), panels(shape.bytes_needed()) {
    std::minstd_rand random(1);
    for (float& v : x) v = static_cast<float>(random() % 2001) * 1e-3f - 1.0f;
    shape.data = panels.data();
  }
  std::vector<float> x;
  Activations shape;
  Buffer panels;
};

void multiply(const Machine& m, const CellMatrixView& w, const Activations& x, float* y) {
  const auto matmul = m.kernels->matmul[static_cast<size_t>(type_index(w.type))];
  m.pool->run([&](Worker& worker) {
    const auto [begin, end] = worker.share(w.n_groups());
    matmul(w, begin, end, x, y, w.n_groups() * kCellRows);
  });
}

ActivationKind kind_for(const Options& o, TensorType type) {
  if (is_float_type(type)) return ActivationKind::kFloat;
  return o.activations == 16 ? ActivationKind::kInt16 : ActivationKind::kInt8;
}

// All matrices once, with a few tokens: bytes of cells a second.
double measure_decode(const Machine& m, const std::vector<CellMatrixView>& all, uint32_t tokens,
                      ActivationKind kind, double seconds) {
  const CellMatrixView& one = all.front();
  Inputs in(tokens, one.k, kind);
  m.kernels->prepare(in.x.data(), one.k, one.k, 0, in.shape.n_panels(), in.shape);
  const uint64_t y_stride = one.n_groups() * kCellRows;
  std::vector<float> y(y_stride * tokens);
  const auto matmul = m.kernels->matmul[static_cast<size_t>(type_index(one.type))];
  const double t = fastest(seconds, [&] {
    m.pool->run([&](Worker& worker) {
      const auto [begin, end] = worker.share(one.n_groups());
      for (const CellMatrixView& w : all) matmul(w, begin, end, in.shape, y.data(), y_stride);
    });
  });
  return static_cast<double>(all.size() * one.n_cells() * traits(one.type).cell_bytes) / t * 1e-9;
}

struct Prefill {
  double gop_s, prepare_g_s;
};

Prefill measure_prefill(const Machine& m, const CellMatrixView& w, uint32_t tokens, ActivationKind kind,
                        double seconds) {
  Inputs in(tokens, w.k, kind);
  std::vector<float> y(w.n_groups() * kCellRows * tokens);
  const double prepare = fastest(seconds / 4, [&] {
    m.pool->run([&](Worker& worker) {
      const auto [begin, end] = worker.share(in.shape.n_panels());
      m.kernels->prepare(in.x.data(), w.k, w.k, static_cast<uint32_t>(begin), static_cast<uint32_t>(end),
                         in.shape);
    });
  });
  const double t = fastest(seconds, [&] { multiply(m, w, in.shape, y.data()); });
  const double values = static_cast<double>(w.k) * tokens;
  return {2 * static_cast<double>(w.n_rows) * values / t * 1e-9, values / prepare * 1e-9};
}

void report(const Options& o, const Machine& m, TensorType type, const Buffer& memory) {
  const auto all = place(o, type, memory);
  if (all.empty()) {
    fmt::print(stderr, "{}: the matrix needs more than --megabytes\n", traits(type).name);
    return;
  }
  const ActivationKind kind = kind_for(o, type);
  const double decode = measure_decode(m, all, 1, kind, o.seconds);
  double few[3];
  for (int i = 0; i < 3; i++) few[i] = measure_decode(m, all, 2u << i, kind, o.seconds);
  const Prefill prefill = measure_prefill(m, all.front(), o.tokens, kind, o.seconds);
  fmt::print(
      "{:5} decode {:6.1f} GB/s = {:4.0f} % of read; 2, 4, 8 tokens {:4.0f} {:4.0f} {:4.0f} %;  prefill "
      "{:6.0f} GOP/s = {:3.0f} % of int8 peak;  "
      "prepare {:.2f} G/s\n",
      traits(type).name, decode, 100 * decode / m.read_gb_s, 100 * few[0] / m.read_gb_s,
      100 * few[1] / m.read_gb_s, 100 * few[2] / m.read_gb_s, prefill.gop_s,
      100 * prefill.gop_s / m.int8_gop_s, prefill.prepare_g_s);
  const nlohmann::json line = {{"bench", "kernels"},
                               {"isa", std::string(m.kernels->name)},
                               {"threads", m.pool->size()},
                               {"type", std::string(traits(type).name)},
                               {"rows", o.rows},
                               {"columns", o.columns},
                               {"tokens", o.tokens},
                               {"read_gb_s", m.read_gb_s},
                               {"int8_peak_gop_s", m.int8_gop_s},
                               {"activations", o.activations},
                               {"decode_gb_s", decode},
                               {"decode_2_4_8_gb_s", few},
                               {"prefill_gop_s", prefill.gop_s},
                               {"prepare_g_values_s", prefill.prepare_g_s}};
  fmt::print("{}\n", line.dump());
  std::fflush(stdout);
}

bool wanted(const Options& o, const TypeTraits& t) {
  return o.types.empty() || std::ranges::find(o.types, t.name) != o.types.end();
}

int run(const Options& o) {
  const Kernels* kernels = find_kernels(o.isa);
  if (kernels == nullptr) return 1;
  // Bytes 0x1c..0x2b: whatever pair of them is read as a scale is a small normal number.
  const Buffer memory(o.megabytes << 20);
  std::minstd_rand random(1);
  for (uint64_t i = 0; i < memory.size(); i++)
    memory.data()[i] = static_cast<uint8_t>(0x1c + (random() >> 12) % 16);
  ThreadPool pool(o.threads);
  const Machine machine = {kernels, &pool, measure_read(pool, memory, o.seconds),
                           measure_peak(pool, *kernels, o.seconds)};
  fmt::print("{}, {} threads: read {:.1f} GB/s, int8 peak {:.0f} GOP/s; {} x {}, prefill of {} tokens\n",
             kernels->name, pool.size(), machine.read_gb_s, machine.int8_gop_s, o.rows, o.columns, o.tokens);
  for (const TypeTraits& t : kTypes)
    if (wanted(o, t)) report(o, machine, t.type, memory);
  return 0;
}

}  // namespace
}  // namespace pixellm

int main(int argc, char** argv) {
  pixellm::Options options;
  CLI::App app("Speed of the matrix products, as shares of this machine's memory bandwidth and int8 peak");
  app.add_option("--isa", options.isa, "scalar, avx2, avxvnni, avx512bw, avx512 or neon (default: the best)");
  app.add_option("--type", options.types, "weight types (default: all)")->delimiter(',');
  app.add_option("--rows", options.rows, "rows of the matrix")->check(CLI::Range(16, 1 << 20));
  app.add_option("--columns", options.columns, "columns of the matrix")->check(CLI::Range(32, 1 << 20));
  app.add_option("--tokens", options.tokens, "tokens of the prefill")->check(CLI::Range(2, 1 << 16));
  app.add_option("--activations", options.activations, "bits of activations of quantised weights")
      ->check(CLI::IsMember({8, 16}));
  app.add_option("--threads", options.threads, "threads")
      ->check(CLI::Range(1, pixellm::ThreadPool::kMaxThreads));
  app.add_option("--seconds", options.seconds, "time for each figure")->check(CLI::Range(0.0, 60.0));
  app.add_option("--megabytes", options.megabytes, "memory for matrices; more than the caches")
      ->check(CLI::Range(1, 1 << 16));
  CLI11_PARSE(app, argc, argv);
  return pixellm::run(options);
}
