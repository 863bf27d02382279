// The head of a picture as bytes.
#pragma once
#include <cstdint>
#include <vector>

#include "model/model_writer.h"

namespace pixellm {

// Rows 0 .. first_weight_row - 1 joined: header, directory, names, metadata, source record, with the hashes
// that the plan holds at the moment. The head's own SHA-256 is not computed here.
std::vector<uint8_t> encode_head(const ModelPlan& plan);

}  // namespace pixellm
