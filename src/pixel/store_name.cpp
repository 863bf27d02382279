#include "pixel/store_name.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

namespace pixellm {
namespace {

constexpr size_t kMaxName = 1024, kMaxFolder = 255;
constexpr size_t kMaxFile = 220;  // a hidden file beside it has a longer name

std::unexpected<Error> refuse(std::string_view name, std::string_view why) {
  return fail(ErrorCode::kInvalidArgument, fmt::format("the name '{}' {}", name.substr(0, 80), why));
}

// Bytes of the UTF-8 character at the start of a text; 0 where there is none.
size_t character_bytes(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t n = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  if (n == 0 || text.size() < n) return 0;
  for (size_t i = 1; i < n; i++)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  // Too long a form, a surrogate, beyond U+10FFFF.
  const unsigned second = byte(1);
  const bool wrong = (lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) ||
                     (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f);
  return wrong ? 0 : n;
}

Result<void> check_characters(std::string_view name) {
  for (std::string_view rest = name; !rest.empty();) {
    const size_t n = character_bytes(rest);
    if (n == 0) return refuse(name, "is not UTF-8");
    const auto first = static_cast<uint8_t>(rest[0]);
    if (first < 0x20 || first == 0x7f) return refuse(name, "holds a control character");
    if (first == '\\') return refuse(name, "holds a backslash; parts are separated by /");
    rest.remove_prefix(n);
  }
  return {};
}

}  // namespace

std::string StoreName::path() const {
  std::string out;
  for (const std::string& folder : folders) out += folder + "/";
  return out + file;
}

std::string StoreName::name() const {
  std::string out = path();
  out.resize(out.size() - kPxifSuffix.size());
  return out;
}

Result<StoreName> StoreName::parse(std::string_view name) {
  if (name.empty()) return refuse(name, "is empty");
  if (name.front() == '/') return refuse(name, "is absolute; names are relative to the store's root");
  if (name.size() > kMaxName)
    return refuse(name, fmt::format("has {} bytes, {} are allowed", name.size(), kMaxName));
  PIXELLM_CHECK(check_characters(name));
  StoreName out;
  for (std::string_view rest = name;;) {
    const size_t slash = rest.find('/');
    const std::string_view part = rest.substr(0, slash);
    if (part.empty()) return refuse(name, "has an empty part");
    if (part == "." || part == "..") return refuse(name, fmt::format("has the part '{}'", part));
    if (slash == rest.npos) {
      out.file = part;
      break;
    }
    if (part.size() > kMaxFolder)
      return refuse(name, fmt::format("has a part of {} bytes, {} are allowed", part.size(), kMaxFolder));
    out.folders.emplace_back(part);
    rest.remove_prefix(slash + 1);
  }
  if (!out.file.ends_with(kPxifSuffix)) out.file += kPxifSuffix;
  if (out.file == kPxifSuffix) return refuse(name, "has nothing before the suffix .pxi");
  if (out.file.size() > kMaxFile)
    return refuse(name, fmt::format("ends with a part of {} bytes, suffix included; {} are allowed",
                                    out.file.size(), kMaxFile));
  if (!out.folders.empty() && out.folders[0] == kTrashFolder)
    return refuse(name, "begins with the trash folder");
  return out;
}

}  // namespace pixellm
