#include "infer/reference_forward.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace pixellm {
namespace {

using Row = std::vector<double>;

class Reference {
 public:
  Reference(const TinySpec& spec, const TinyModel& model) : spec_(spec), model_(model) {}

  std::vector<Row> run(std::span<const TokenId> ids) {
    return spec_.architecture == Architecture::kMlp ? mlp(ids) : transformer(ids);
  }

 private:
  std::vector<Row> mlp(std::span<const TokenId> ids) const {
    std::vector<Row> logits;
    Row total(spec_.embedding_length);
    for (const TokenId id : ids) {
      total = sum(total, matrix_row("token_embd.weight", static_cast<size_t>(id)));
      Row mean = total;
      for (double& v : mean) v /= double(logits.size() + 1);
      Row hidden = product("blk.0.ffn_up", mean);
      for (double& h : hidden) h = std::max(h, 0.0);
      logits.push_back(product("output", hidden));
    }
    return logits;
  }

  std::vector<Row> transformer(std::span<const TokenId> ids) {
    const uint32_t n_embd = spec_.embedding_length;
    std::vector<Row> x;
    for (size_t t = 0; t < ids.size(); t++) {
      Row row = matrix_row("token_embd.weight", static_cast<size_t>(ids[t]));
      if (spec_.architecture == Architecture::kGemma3)
        for (double& v : row) v *= std::sqrt(double(n_embd));
      if (spec_.architecture == Architecture::kGpt2) row = sum(row, matrix_row("position_embd.weight", t));
      x.push_back(row);
    }
    for (uint32_t layer = 0; layer < spec_.n_layers; layer++) {
      blk_ = fmt::format("blk.{}.", layer);
      attention(layer, x);
      feed_forward(x);
    }
    std::vector<Row> logits;
    for (const Row& row : x) {
      Row out = product(spec_.tied_output ? "token_embd" : "output", norm("output_norm", row));
      if (spec_.final_softcap > 0)
        for (double& v : out) v = spec_.final_softcap * std::tanh(v / spec_.final_softcap);
      logits.push_back(out);
    }
    return logits;
  }

  const TinyTensor* find(const std::string& name) const {
    for (const TinyTensor& t : model_.tensors)
      if (t.name == name) return &t;
    return nullptr;
  }

  Row matrix_row(const std::string& name, size_t index) const {
    const TinyTensor& t = *find(name);
    const uint64_t k = t.dims[0], bytes = gguf_row_bytes(t.type, k);
    std::vector<float> values(k);
    dequantize_blocks(t.type, k, t.bytes.data() + index * bytes, values.data());
    return Row(values.begin(), values.end());
  }

  Row vector(const std::string& name) const { return matrix_row(name, 0); }

  static Row sum(Row a, const Row& b) {
    for (size_t i = 0; i < a.size(); i++) a[i] += b[i];
    return a;
  }

  Row product(const std::string& name, const Row& x) const {
    const TinyTensor& t = *find(name + ".weight");
    Row y(t.dims[1]);
    for (size_t r = 0; r < y.size(); r++) {
      const Row w = matrix_row(t.name, r);
      for (size_t i = 0; i < x.size(); i++) y[r] += w[i] * x[i];
    }
    return find(name + ".bias") ? sum(y, vector(name + ".bias")) : y;
  }

  Row norm(const std::string& name, Row x) const {
    const Row weight = vector(name + ".weight");
    double mean = 0, square = 0;
    const bool centred = find(name + ".bias") != nullptr;
    for (const double v : x) mean += v / double(x.size());
    if (!centred) mean = 0;
    for (const double v : x) square += (v - mean) * (v - mean) / double(x.size());
    const double eps = spec_.architecture == Architecture::kGpt2 ? 1e-5f : 1e-6f;
    for (size_t i = 0; i < x.size(); i++) x[i] = (x[i] - mean) / std::sqrt(square + eps) * weight[i];
    return centred ? sum(x, vector(name + ".bias")) : x;
  }

  bool slides(uint32_t layer) const {
    const uint32_t period = spec_.sliding_period > 0 ? spec_.sliding_period : 6;
    return spec_.sliding_window > 0 && layer % period != period - 1;
  }

  Row rotated(Row head, size_t position, uint32_t layer) const {
    if (spec_.architecture == Architecture::kGpt2) return head;
    const size_t n_rot = spec_.n_rot > 0 ? spec_.n_rot : spec_.head_dim;
    const bool local = slides(layer);
    const double base = local ? 10000.0 : 50000.0;
    for (size_t i = 0; i < n_rot / 2; i++) {
      double angle = double(position) * std::pow(base, -2.0 * double(i) / double(n_rot));
      if (spec_.rope_factors) angle /= vector("rope_freqs.weight")[i];
      if (spec_.rope_linear_factor > 0 && !local) angle /= spec_.rope_linear_factor;
      const bool adjacent = spec_.architecture == Architecture::kLlama;
      double& a = head[adjacent ? 2 * i : i];
      double& b = head[adjacent ? 2 * i + 1 : i + n_rot / 2];
      const double a0 = a, b0 = b;
      a = a0 * std::cos(angle) - b0 * std::sin(angle);
      b = a0 * std::sin(angle) + b0 * std::cos(angle);
    }
    return head;
  }

  Row head_of(const Row& all, size_t head) const {
    const auto at = all.begin() + static_cast<ptrdiff_t>(head * spec_.head_dim);
    return Row(at, at + spec_.head_dim);
  }

  Row prepared(const Row& all, size_t head, const char* norm_name, size_t position, uint32_t layer) const {
    Row h = head_of(all, head);
    if (find(blk_ + norm_name + ".weight")) h = norm(blk_ + norm_name, h);
    return rotated(h, position, layer);
  }

  void attention(uint32_t layer, std::vector<Row>& x) const {
    const bool gpt2 = spec_.architecture == Architecture::kGpt2;
    const size_t n_kv = gpt2 ? spec_.n_heads : spec_.n_kv_heads, q_width = spec_.n_heads * spec_.head_dim;
    const size_t kv_width = n_kv * spec_.head_dim;
    std::vector<Row> q, k, v;
    for (const Row& row : x) {
      const Row in = norm(blk_ + "attn_norm", row);
      if (find(blk_ + "attn_qkv.weight")) {
        const Row all = product(blk_ + "attn_qkv", in);
        const auto at = [&](size_t i) { return all.begin() + static_cast<ptrdiff_t>(i); };
        q.emplace_back(at(0), at(q_width));
        k.emplace_back(at(q_width), at(q_width + kv_width));
        v.emplace_back(at(q_width + kv_width), all.end());
      } else {
        q.push_back(product(blk_ + "attn_q", in));
        k.push_back(product(blk_ + "attn_k", in));
        v.push_back(product(blk_ + "attn_v", in));
      }
    }
    for (size_t t = x.size(); t-- > 0;) {
      Row joined;
      for (size_t h = 0; h < spec_.n_heads; h++) {
        const Row out = attend(q[t], k, v, h, h / (spec_.n_heads / n_kv), t, layer);
        joined.insert(joined.end(), out.begin(), out.end());
      }
      Row out = product(blk_ + "attn_output", joined);
      if (find(blk_ + "post_attention_norm.weight")) out = norm(blk_ + "post_attention_norm", out);
      x[t] = sum(x[t], out);
    }
  }

  Row attend(const Row& q, const std::vector<Row>& k, const std::vector<Row>& v, size_t head, size_t kv_head,
             size_t t, uint32_t layer) const {
    const Row query = prepared(q, head, "attn_q_norm", t, layer);
    const size_t first = slides(layer) && t >= spec_.sliding_window ? t - spec_.sliding_window + 1 : 0;
    Row weights, out(spec_.head_dim);
    double total = 0;
    for (size_t j = first; j <= t; j++) {
      const Row key = prepared(k[j], kv_head, "attn_k_norm", j, layer);
      double score = 0;
      for (size_t d = 0; d < key.size(); d++) score += query[d] * key[d];
      score /= std::sqrt(double(spec_.head_dim));
      if (spec_.attention_softcap > 0)
        score = spec_.attention_softcap * std::tanh(score / spec_.attention_softcap);
      weights.push_back(std::exp(score));
      total += weights.back();
    }
    for (size_t j = first; j <= t; j++) {
      const Row value = head_of(v[j], kv_head);
      for (size_t d = 0; d < out.size(); d++) out[d] += weights[j - first] / total * value[d];
    }
    return out;
  }

  static double gelu(double x) {
    return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  }

  void feed_forward(std::vector<Row>& x) const {
    for (Row& row : x) {
      const Row in = norm(blk_ + "ffn_norm", row);
      Row hidden = product(blk_ + "ffn_up", in);
      if (find(blk_ + "ffn_gate.weight")) {
        const Row gate = product(blk_ + "ffn_gate", in);
        const bool gemma = spec_.architecture == Architecture::kGemma3;
        for (size_t i = 0; i < hidden.size(); i++)
          hidden[i] *= gemma ? gelu(gate[i]) : gate[i] / (1 + std::exp(-gate[i]));
      } else {
        for (double& h : hidden) h = gelu(h);
      }
      Row out = product(blk_ + "ffn_down", hidden);
      if (find(blk_ + "post_ffw_norm.weight")) out = norm(blk_ + "post_ffw_norm", out);
      row = sum(row, out);
    }
  }

  const TinySpec& spec_;
  const TinyModel& model_;
  std::string blk_;
};

}  // namespace

std::vector<std::vector<double>> reference_logits(const TinySpec& spec, const TinyModel& model,
                                                  std::span<const TokenId> ids) {
  return Reference(spec, model).run(ids);
}

double relative_rms(std::span<const float> values, std::span<const double> truth) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < truth.size(); i++) {
    difference += (values[i] - truth[i]) * (values[i] - truth[i]);
    size += truth[i] * truth[i];
  }
  return std::sqrt(difference / size);
}

}  // namespace pixellm
