#include "pixel/store_name.h"

#include <fmt/format.h>

#include <cstdint>

#include "base/utf8.h"

namespace pixellm {
namespace {

constexpr size_t kMaxName = 1024, kMaxFolder = 255;
constexpr size_t kMaxFile = 220;  // a hidden file beside it has a longer name

std::unexpected<Error> refuse(std::string_view name, std::string_view why) {
  return fail(ErrorCode::kInvalidArgument, fmt::format("the name '{}' {}", name.substr(0, 80), why));
}

Result<void> check_characters(std::string_view name) {
  for (std::string_view rest = name; !rest.empty();) {
    const size_t n = utf8_character_length(rest);
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
    if (part.front() == '.' && part.find(".pixellm-") != part.npos)
      return refuse(name, fmt::format("has the part '{}', as the store's own hidden files have", part));
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
