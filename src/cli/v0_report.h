// A prediction of v0 as text for people, laid out as the original prints it.
#pragma once
#include <cstdio>
#include <string>
#include <vector>

#include "v0/pixel_model.h"
#include "v0/ranking.h"

namespace pixellm::cli {

struct V0Prediction {
  std::vector<v0::TokenId> ids;
  v0::Activations activations;
  std::vector<v0::Ranked> top;
  size_t active_hidden() const;
};

// The five stages of the forward pass with their shapes.
void print_v0_stages(std::FILE* out, const v0::Network& network, const V0Prediction& prediction);

// Banner, model, tokens, the stages when `verbose`, range of the logits, table, greedy choice; on standard
// output. `input`: "Input text: 'pxOS'".
void print_v0_report(const std::string& input, const v0::PixelModel& model, const V0Prediction& prediction,
                     bool verbose);

}  // namespace pixellm::cli
