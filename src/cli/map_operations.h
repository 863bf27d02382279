// The operations on a world as JSON objects: what a line of `pixellm map script` asks and answers, and what
// the commands that do one operation at a time print.
//   {"op":"get","x":-5,"y":7}  ->  {"ok":true,"rgb":[0,0,0]}
#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "map/mounts.h"
#include "map/world.h"

namespace pixellm::cli {

using Json = nlohmann::ordered_json;

// Most bytes of one answer's or question's data, and the length of a line that holds them.
inline constexpr uint64_t kMaxDataBytes = uint64_t{1} << 28;
inline constexpr uint64_t kMaxLineLength = kMaxDataBytes / 3 * 4 + 4096;

// The answer, with "ok": true. Fields that the operation does not have are ignored.
Result<Json> run_operation(World& world, const Json& operation);

// Whatever the line holds, the answer is one line, without its end. `number`: which line, for messages.
std::string answer_line(World& world, std::string_view line, uint64_t number);
std::string error_line(std::string_view message);  // {"ok":false,"error":message}

// {model, tensor, type, elements [{row, column, value}]}; nulls and no elements where no tensor lies. A value that is no finite
// number becomes null when it is printed.
Json to_json(const std::optional<WeightPlace>& place);

std::string to_line(const Json& json);  // bytes that are not UTF-8 replaced

}  // namespace pixellm::cli
