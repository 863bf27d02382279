// What `pixellm info` prints, as JSON and as text.
#pragma once
#include <nlohmann/json.hpp>

#include "cli/any_file.h"

namespace pixellm::cli {

nlohmann::ordered_json info_json(const AnyFile& file);

// The same for people, to standard output.
void print_info(const AnyFile& file);

// Text that a program can read; bytes that are not UTF-8 become U+FFFD.
std::string dump_json(const nlohmann::ordered_json& json);

// The encoded value of one pair, arrays whole (or their first `limit` elements). A float keeps its shortest digits.
nlohmann::ordered_json value_json(const Metadata::Entry& entry, uint64_t limit = ~uint64_t{0});

std::string_view layer_type_name(LayerType type);
std::string_view architecture_name(uint16_t id);

// Where the bytes of a picture go.
struct Overhead {
  uint64_t source_bytes = 0;      // of the tensors, as a GGUF stores them
  uint64_t padding_bytes = 0;     // rows and columns that fill cells
  uint64_t head_bytes = 0;        // header, directory, metadata: the rows before the weights
  uint64_t leftover_bytes = 0;    // after whole cells at rows' ends, and behind the last tensor
  uint64_t container_bytes = 0;   // PNG: everything that is no pixel
};
Overhead overhead_of(const Model& model);

}  // namespace pixellm::cli
