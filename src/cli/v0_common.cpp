#include "cli/v0_common.h"

#include <fmt/format.h>

#include <algorithm>

namespace pixellm::cli {

void add_v0_model_option(CLI::App& app, std::string& path) {
  path = kDefaultV0Model;
  app.add_option("--model", path, "picture of the network, its meta.json beside it")->capture_default_str();
}

void add_seed_option(CLI::App& app, uint64_t& seed, const std::string& help) {
  app.add_option("--seed", seed, help)
      // CLI11 takes "-1" for the largest number.
      ->check([](const std::string& text) { return text.find('-') == text.npos ? "" : "is negative"; },
              "UINT")
      ->capture_default_str();
}

std::string with_commas(uint64_t n) {
  std::string digits = std::to_string(n);
  for (auto at = static_cast<ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<size_t>(at), 1, ',');
  return digits;
}

void print_network(std::string_view title, const v0::Network& network, const std::string& output) {
  std::FILE* out = output == "-" ? stderr : stdout;
  const auto mib = [](uint64_t parameters) {
    return static_cast<double>(parameters * sizeof(float)) / (1 << 20);
  };
  fmt::print(out, "PIXEL-LLM v0 - {}\nVocab size: {}\nModel dim: {}\n\nMODEL STATISTICS\n", title,
             network.vocab_size, network.model_dim);
  auto tensors = network.tensors();
  std::ranges::sort(tensors, {}, &v0::Tensor::name);
  for (const v0::Tensor& t : tensors)
    fmt::print(out, "{:<12}: {:<12} → {:>7} params | {:.2f} MB\n", t.name, v0::shape_text(t.shape),
               with_commas(t.values.size()), mib(t.values.size()));
  fmt::print(out, "{:<12}  {:<12} → {:>7} params | {:.2f} MB\n", "TOTAL", "",
             with_commas(network.parameters()), mib(network.parameters()));
}

Result<std::vector<v0::TokenId>> tokenize_prompt(const std::string& text, const v0::Network& network) {
  if (text.empty())
    return fail(ErrorCode::kInvalidArgument,
                "v0: the text is empty; a prediction needs at least one character");
  return v0::tokenize(text, network.vocab_size);
}

std::string quoted_char(uint32_t id) {
  const char c = v0::token_char(id);
  if (c == '\n') return "'\\n'";
  if (c == '\t') return "'\\t'";
  if (c == '\r') return "'\\r'";
  return "'" + printable({&c, 1}) + "'";
}

}  // namespace pixellm::cli
