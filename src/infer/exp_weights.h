// exp over a whole vocabulary. Internal to infer.
#pragma once
#include <span>

namespace pixellm {

// out[i] = portable_exp((scores[i] - best) * scale), through the widest vectors this CPU has; every width
// gives the same bits. out has at least the size of scores.
void exp_weights(std::span<const float> scores, double best, double scale, std::span<double> out);

// The same without vectors of the CPU's own.
void exp_weights_plain(std::span<const float> scores, double best, double scale, std::span<double> out);

}  // namespace pixellm
