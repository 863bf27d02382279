// Base64 (RFC 4648, section 4): the alphabet with + and /, padded with =, no line breaks.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace pixellm {

std::string to_base64(Bytes data);

// nullopt unless the text is exactly what to_base64() makes of some bytes: padding complete, unused bits
// zero.
std::optional<std::vector<uint8_t>> from_base64(std::string_view text);

}  // namespace pixellm
