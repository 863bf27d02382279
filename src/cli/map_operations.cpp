#include "cli/map_operations.h"

#include <fmt/format.h>

#include <limits>
#include <new>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/base64.h"

namespace pixellm::cli {
namespace {

constexpr size_t kMaxNameBytes = 4096;  // of a model's path or a tensor's name, as a record's name
constexpr int kMaxDepth = 3;  // of JSON that is kept; deeper parts mean nothing here

std::unexpected<Error> wrong(std::string_view field, std::string_view expected, const Json& found) {
  const std::string text = to_line(found);
  return fail(ErrorCode::kInvalidArgument, fmt::format("\"{}\": expected {}, found {}{}", field, expected,
                                                       text.substr(0, 64), text.size() > 64 ? "..." : ""));
}

Result<const Json*> field(const Json& operation, std::string_view name) {
  const auto it = operation.find(std::string(name));
  if (it == operation.end()) return fail(ErrorCode::kInvalidArgument, fmt::format("\"{}\" is missing", name));
  return &*it;
}

// A whole number that T holds; JSON with a fraction or an exponent is none.
template <class T>
Result<T> number(const Json& operation, std::string_view name) {
  const Json* value = PIXELLM_TRY(field(operation, name));
  using Limits = std::numeric_limits<T>;
  const bool fits = value->is_number_unsigned()
                        ? std::in_range<T>(value->get<uint64_t>())
                        : value->is_number_integer() && std::in_range<T>(value->get<int64_t>());
  if (!fits)
    return wrong(name, fmt::format("a whole number from {} to {}", Limits::min(), Limits::max()), *value);
  return value->is_number_unsigned() ? static_cast<T>(value->get<uint64_t>())
                                     : static_cast<T>(value->get<int64_t>());
}

Result<uint32_t> radius(const Json& operation) {
  if (!operation.contains("radius")) return 1;
  return number<uint32_t>(operation, "radius");
}

Result<std::pair<int64_t, int64_t>> point(const Json& operation) {
  const int64_t x = PIXELLM_TRY(number<int64_t>(operation, "x"));
  return std::pair(x, PIXELLM_TRY(number<int64_t>(operation, "y")));
}

Result<PixelRect> rect(const Json& operation) {
  const auto [x, y] = PIXELLM_TRY(point(operation));
  return PixelRect{x, y, PIXELLM_TRY(number<uint64_t>(operation, "w")),
                   PIXELLM_TRY(number<uint64_t>(operation, "h"))};
}

Result<Rgb> rgb(const Json& operation) {
  const Json* value = PIXELLM_TRY(field(operation, "rgb"));
  Rgb color;
  bool fits = value->is_array() && value->size() == color.size();
  for (size_t i = 0; fits && i < color.size(); i++) {
    const Json& part = (*value)[i];
    fits = part.is_number_unsigned() && part.get<uint64_t>() <= 255;
    if (fits) color[i] = part.get<uint8_t>();
  }
  if (!fits) return wrong("rgb", "three whole numbers from 0 to 255", *value);
  return color;
}

Result<std::vector<uint8_t>> data(const Json& operation) {
  const Json* value = PIXELLM_TRY(field(operation, "data"));
  if (!value->is_string()) return wrong("data", "a string", *value);
  auto bytes = from_base64(value->get_ref<const std::string&>());
  if (!bytes) return wrong("data", "Base64 with its padding and nothing else", *value);
  return std::move(*bytes);
}

Json ok() { return {{"ok", true}}; }

Json with_data(Bytes bytes) { return {{"ok", true}, {"data", to_base64(bytes)}}; }

Json with_tiles(std::string_view name, const std::vector<TileCoord>& tiles) {
  Json list = Json::array();
  for (const TileCoord t : tiles) list.push_back({t.x, t.y});
  Json answer = ok();
  answer[std::string(name)] = std::move(list);
  return answer;
}

Result<void> check_data_size(uint64_t size) {
  if (size <= kMaxDataBytes) return {};
  return fail(ErrorCode::kTooLarge,
              fmt::format("{} bytes of pixels, at most {} in an answer", size, kMaxDataBytes));
}

Result<Json> do_get(World& world, const Json& operation) {
  const auto [x, y] = PIXELLM_TRY(point(operation));
  const Rgb rgb = PIXELLM_TRY(world.get(x, y));
  return Json{{"ok", true}, {"rgb", rgb}};
}

Result<Json> do_set(World& world, const Json& operation) {
  const auto [x, y] = PIXELLM_TRY(point(operation));
  const Rgb color = PIXELLM_TRY(rgb(operation));
  PIXELLM_CHECK(world.set(x, y, color));
  return ok();
}

Result<Json> do_read(World& world, const Json& operation) {
  const PixelRect r = PIXELLM_TRY(rect(operation));
  const uint64_t size = PIXELLM_TRY(region_bytes(r));
  PIXELLM_CHECK(check_data_size(size));
  std::vector<uint8_t> pixels(size);
  PIXELLM_CHECK(world.read(r, pixels));
  return with_data(pixels);
}

Result<Json> do_write(World& world, const Json& operation) {
  const PixelRect r = PIXELLM_TRY(rect(operation));
  const auto pixels = PIXELLM_TRY(data(operation));
  PIXELLM_CHECK(world.write(r, pixels));
  return ok();
}

Result<Json> do_read_bytes(World& world, const Json& operation) {
  const auto [x, y] = PIXELLM_TRY(point(operation));
  const auto bytes = PIXELLM_TRY(world.read_bytes(x, y));
  PIXELLM_CHECK(check_data_size(bytes.size()));
  return with_data(bytes);
}

Result<Json> do_write_bytes(World& world, const Json& operation) {
  const auto [x, y] = PIXELLM_TRY(point(operation));
  const auto bytes = PIXELLM_TRY(data(operation));
  PIXELLM_CHECK(world.write_bytes(x, y, bytes));
  return ok();
}

Result<Json> do_neighbors(World& world, const Json& operation) {
  const auto [x, y] = PIXELLM_TRY(point(operation));
  const uint32_t r = PIXELLM_TRY(radius(operation));
  Json pixels = Json::array();
  for (const PixelAt& p : PIXELLM_TRY(world.neighbors(x, y, r)))
    pixels.push_back({{"x", p.x}, {"y", p.y}, {"rgb", p.rgb}});
  return Json{{"ok", true}, {"pixels", std::move(pixels)}};
}

Result<Json> do_tiles(World& world, const Json& operation) {
  const PixelRect r = PIXELLM_TRY(rect(operation));
  return with_tiles("tiles", PIXELLM_TRY(world.tiles(r)));
}

Result<Json> do_count(World& world, const Json& operation) {
  const PixelRect r = PIXELLM_TRY(rect(operation));
  const uint64_t count = PIXELLM_TRY(world.count(r));
  return Json{{"ok", true}, {"count", count}};
}

Result<Json> do_regions(World& world, const Json& operation) {
  const auto [x, y] = PIXELLM_TRY(point(operation));
  const uint32_t r = PIXELLM_TRY(radius(operation));
  Json answer = with_tiles("regions", PIXELLM_TRY(world.neighbor_tiles(x, y, r)));
  answer["tiles"] = answer["regions"];
  return answer;
}

// The pixels of the tiles, both ends inclusive; tiles at the end of the coordinates have fewer.
Result<Json> do_bounds(World& world, const Json&) {
  const auto box = PIXELLM_TRY(world.bounds());
  Json answer = {{"ok", true}, {"bounds", nullptr}};
  if (!box) return answer;
  const auto clamp = [](__int128 v) {
    using Limits = std::numeric_limits<int64_t>;
    return v < Limits::min() ? Limits::min() : v > Limits::max() ? Limits::max() : static_cast<int64_t>(v);
  };
  const __int128 size = world.tile_size();
  answer["bounds"] = {clamp(box->min.x * size), clamp(box->min.y * size), clamp((box->max.x + 1) * size - 1),
                      clamp((box->max.y + 1) * size - 1)};
  return answer;
}

template <Result<uint64_t> (World::*kMethod)(const PixelRect&)>
Result<Json> do_rect(World& world, const Json& operation) {
  const PixelRect r = PIXELLM_TRY(rect(operation));
  const uint64_t count = PIXELLM_TRY((world.*kMethod)(r));
  return Json{{"ok", true}, {"count", count}};
}

Result<std::string> text(const Json& operation, std::string_view name) {
  const Json* value = PIXELLM_TRY(field(operation, name));
  if (!value->is_string()) return wrong(name, "a string", *value);
  if (value->get_ref<const std::string&>().size() > kMaxNameBytes)
    return wrong(name, fmt::format("at most {} bytes", kMaxNameBytes), *value);
  return value->get<std::string>();
}

Result<Json> do_where(World& world, const Json& operation) {
  const auto [x, y] = PIXELLM_TRY(point(operation));
  Json answer = ok();
  answer.update(to_json(PIXELLM_TRY(where(world, x, y))));
  return answer;
}

Result<Json> do_locate(World& world, const Json& operation) {
  const std::string model = PIXELLM_TRY(text(operation, "model")),
                    tensor = PIXELLM_TRY(text(operation, "tensor"));
  if (!operation.contains("row") && !operation.contains("column")) {
    const PixelRect r = PIXELLM_TRY(locate_tensor(world, model, tensor));
    return Json{{"ok", true}, {"x", r.x}, {"y", r.y}, {"w", r.w}, {"h", r.h}};
  }
  const auto row = PIXELLM_TRY(number<uint64_t>(operation, "row"));
  const auto column = PIXELLM_TRY(number<uint64_t>(operation, "column"));
  const auto [x, y] = PIXELLM_TRY(locate_element(world, model, tensor, row, column));
  return Json{{"ok", true}, {"x", x}, {"y", y}};
}

Result<Json> do_flush(World& world, const Json&) {
  PIXELLM_CHECK(world.flush());
  return ok();
}

Result<Json> do_stats(World& world, const Json&) {
  const WorldStats s = PIXELLM_TRY(world.stats());
  return Json{{"ok", true},
              {"tile_size", s.tile_size},
              {"tiles_in_memory", s.tiles_in_memory},
              {"tiles_on_disk", s.tiles_on_disk},
              {"dirty_tiles", s.dirty_tiles},
              {"pinned_tiles", s.pinned_tiles},
              {"cache_bytes", s.cache_bytes},
              {"cache_budget", s.cache_budget},
              {"hits", s.hits},
              {"misses", s.misses},
              {"evictions", s.evictions},
              {"mounted_models", world.layers().size()},
              {"old_versions", s.store.old_versions},
              {"file_bytes", s.store.file_bytes},
              {"used_bytes", s.store.used_bytes},
              {"version", s.store.version}};
}

struct Operation {
  std::string_view name;
  Result<Json> (*run)(World&, const Json&);
};

constexpr Operation kOperations[] = {{"get", do_get},
                                     {"set", do_set},
                                     {"read", do_read},
                                     {"write", do_write},
                                     {"read_bytes", do_read_bytes},
                                     {"write_bytes", do_write_bytes},
                                     {"neighbors", do_neighbors},
                                     {"tiles", do_tiles},
                                     {"count", do_count},
                                     {"regions", do_regions},
                                     {"bounds", do_bounds},
                                     {"erase", do_rect<&World::erase>},
                                     {"restore", do_rect<&World::restore>},
                                     {"prefetch", do_rect<&World::prefetch>},
                                     {"where", do_where},
                                     {"locate", do_locate},
                                     {"flush", do_flush},
                                     {"stats", do_stats}};

}  // namespace

Json to_json(const std::optional<WeightPlace>& place) {
  if (!place)
    return {{"model", nullptr}, {"tensor", nullptr}, {"type", nullptr}, {"elements", Json::array()}};
  Json elements = Json::array();
  for (const ElementAt& e : place->elements)
    elements.push_back({{"row", e.row}, {"column", e.column}, {"value", static_cast<double>(e.value)}});
  return {{"model", place->model},
          {"tensor", place->tensor},
          {"type", place->type},
          {"elements", std::move(elements)}};
}

std::string to_line(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string error_line(std::string_view message) { return to_line({{"ok", false}, {"error", message}}); }

Result<Json> run_operation(World& world, const Json& operation) {
  if (!operation.is_object()) return wrong("op", "an object with an operation", operation);
  const Json* name = PIXELLM_TRY(field(operation, "op"));
  if (!name->is_string()) return wrong("op", "a string", *name);
  for (const Operation& known : kOperations)
    if (known.name == name->get_ref<const std::string&>()) return known.run(world, operation);
  std::string names;
  for (const Operation& known : kOperations)
    names += fmt::format("{}{}", names.empty() ? "" : ", ", known.name);
  return wrong("op", "one of " + names, *name);
}

std::string answer_line(World& world, std::string_view line, uint64_t number) {
  try {
    const auto keep = [](int depth, Json::parse_event_t, Json&) { return depth <= kMaxDepth; };
    const Json operation = Json::parse(line, keep);
    auto answer = run_operation(world, operation);
    return answer ? to_line(*answer) : error_line(answer.error().message);
  } catch (const Json::parse_error& e) {
    return error_line(fmt::format("line {}: not a JSON object: byte {} of the line is wrong", number, e.byte));
  } catch (const Json::out_of_range&) {
    return error_line(fmt::format("line {}: a number is too large for any field", number));
  } catch (const Json::exception&) {
    return error_line(fmt::format("line {}: not a JSON object that an operation is read from", number));
  } catch (const std::bad_alloc&) {
    return error_line("not enough memory for this operation");
  }
}

}  // namespace pixellm::cli
