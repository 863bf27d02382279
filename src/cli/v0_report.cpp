#include "cli/v0_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/v0_common.h"

namespace pixellm::cli {
namespace {

std::string id_list(std::span<const v0::TokenId> ids) {
  std::string list;
  for (const v0::TokenId id : ids) list += (list.empty() ? "" : ", ") + std::to_string(id);
  return "[" + list + "]";
}

}  // namespace

size_t V0Prediction::active_hidden() const {
  return activations.hidden.size() - static_cast<size_t>(std::ranges::count(activations.hidden, 0.0f));
}

void print_v0_stages(std::FILE* out, const v0::Network& n, const V0Prediction& p) {
  fmt::print(out, "PIXEL-LLM v0 FORWARD PASS\n1. Loading weights from pixels...\n");
  for (const auto& t : n.tensors())
    if (t.shape.size() == 2) fmt::print(out, "   {}: {}\n", t.name, v0::shape_text(t.shape));
  const size_t tokens = p.ids.size();
  fmt::print(out, "\n2. Embedding lookup: tokens ({},) → embeddings\n   embeddings: ({}, {})\n", tokens,
             tokens, n.model_dim);
  fmt::print(out, "\n3. Pooling: mean over sequence\n   pooled: ({},)\n", n.model_dim);
  fmt::print(out, "\n4. Hidden layer: [D] @ [D,D] + bias → ReLU\n   hidden activations: ({},)\n",
             n.model_dim);
  fmt::print(out, "   non-zero activations: {}/{}\n", p.active_hidden(), n.model_dim);
  fmt::print(out, "\n5. Output layer: [D] @ [D,V] + bias\n   logits: ({},)\n\n", n.vocab_size);
}

void print_v0_report(const std::string& input, const v0::PixelModel& model, const V0Prediction& p,
                     bool verbose) {
  fmt::print("PIXEL-LLM v0 - INFERENCE FROM PIXELS\n{}\n\n", printable(input));
  fmt::print("Model: {} v{}\n  Parameters: {}\n  Tensors: {}\n\n", printable(model.meta.model_name),
             printable(model.meta.version), with_commas(model.network.parameters()),
             model.meta.tensors.size());
  fmt::print("Tokenized: {} tokens\n  IDs: {}\n\n", p.ids.size(), id_list(p.ids));
  if (verbose) print_v0_stages(stdout, model.network, p);
  const auto [smallest, largest] = std::ranges::minmax(p.activations.logits);
  fmt::print("Output: {} logits\nRange: [{:.4f}, {:.4f}]\n\n", p.activations.logits.size(), smallest,
             largest);
  fmt::print(
      "Top {} predicted tokens (prob: over these {} only, as the original prints it; true: over all {}):\n",
      p.top.size(), p.top.size(), p.activations.logits.size());
  for (size_t i = 0; i < p.top.size(); i++)
    fmt::print("{:>3}. Token {:>4} (logit: {:.4f}, prob: {:.4f}, true: {:.4f}) {}\n", i + 1, p.top[i].id,
               p.top[i].logit, p.top[i].prob_top_k, p.top[i].prob, quoted_char(p.top[i].id));
  fmt::print("\nGreedy prediction: token {} {}\n", p.top[0].id, quoted_char(p.top[0].id));
}

}  // namespace pixellm::cli
