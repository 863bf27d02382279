// The functions of the WebAssembly module, as web/runtime/wasm.ts calls them. A C interface: numbers and
// addresses in the module's memory, one model at a time.
//
// A call that fails returns -1 and leaves its message as the result; one that gives text, numbers or JSON
// leaves them there: result_data() and result_bytes(), until the next call. Sizes and offsets of files are
// doubles, exact up to 2^53.
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "browser_model.h"

#define PIXELLM_EXPORT(name) __attribute__((export_name(#name))) name

namespace pixellm {
namespace {

std::unique_ptr<BrowserModel> open_model;
std::vector<uint8_t> result;

void set_result(const void* data, size_t size) {
  result.resize(size);
  if (size != 0) std::memcpy(result.data(), data, size);
}

int32_t give(std::string_view text) {
  set_result(text.data(), text.size());
  return 0;
}

template <class T>
int32_t give(const std::vector<T>& values) {
  set_result(values.data(), values.size() * sizeof(T));
  return 0;
}

int32_t give_error(const Error& error) {
  give(error.message);
  return -1;
}

template <class T>
int32_t give(const Result<T>& value) {
  if (!value) return give_error(value.error());
  if constexpr (std::is_void_v<T>)
    return 0;
  else
    return give(*value);
}

// What every call but the first needs.
BrowserModel& model() {
  PIXELLM_ASSERT(open_model != nullptr);
  return *open_model;
}

Result<uint64_t> whole(double value) {
  if (value >= 0 && value <= 0x1p53 && value == std::floor(value)) return static_cast<uint64_t>(value);
  return fail(ErrorCode::kInvalidArgument, "a size that is no whole number");
}

std::string_view text_at(const char* data, size_t size) { return {data, size}; }

}  // namespace

extern "C" {

uint8_t* PIXELLM_EXPORT(allocate)(size_t size) { return new (std::nothrow) uint8_t[size]; }  // 0: no memory
void PIXELLM_EXPORT(release)(uint8_t* data) { delete[] data; }
const uint8_t* PIXELLM_EXPORT(result_data)() { return result.data(); }
size_t PIXELLM_EXPORT(result_bytes)() { return result.size(); }

// Bytes of the file that hold the head; -1: see the result.
double PIXELLM_EXPORT(head_bytes)(const uint8_t* start, size_t size, double file_bytes) {
  const auto total = whole(file_bytes);
  const auto needed =
      total ? BrowserModel::head_bytes({start, size}, *total) : std::unexpected(total.error());
  if (!needed) return give_error(needed.error());
  return static_cast<double>(*needed);
}

// Gives what describe() says.
int32_t PIXELLM_EXPORT(open)(const uint8_t* start, size_t size, double file_bytes) {
  open_model.reset();
  const auto total = whole(file_bytes);
  if (!total) return give_error(total.error());
  auto opened = BrowserModel::open({start, start + size}, *total);
  if (!opened) return give_error(opened.error());
  open_model = std::move(*opened);
  return give(open_model->describe());
}

// Where the chunks of rows begin and end in the file.
double PIXELLM_EXPORT(chunks_begin)(uint32_t first, uint32_t count) {
  return static_cast<double>(model().model().plane().chunk_range(first, count).first);
}
double PIXELLM_EXPORT(chunks_end)(uint32_t first, uint32_t count) {
  return static_cast<double>(model().model().plane().chunk_range(first, count).second);
}
int32_t PIXELLM_EXPORT(check_rows)(uint32_t first, uint32_t count, const uint8_t* chunks, size_t size) {
  return give(model().check_rows(first, count, {chunks, size}));
}

// Gives the plan's JSON. Then vector_places() gives [{name, offset, bytes, at}]: tensors of one dimension
// whose payload bytes vector_floats() turns into floats; at: where those belong in the plan's `vectors`, -1:
// nowhere.
int32_t PIXELLM_EXPORT(make_plan)(uint32_t context, uint32_t batch, uint32_t texture_size,
                                  uint32_t texture_layers, double buffer_bytes) {
  gpu::Limits limits;
  limits.max_texture_size = texture_size;
  limits.max_texture_layers = texture_layers;
  const auto bytes = whole(buffer_bytes);
  if (!bytes) return give_error(bytes.error());
  limits.max_buffer_bytes = *bytes;
  return give(model().plan(context, batch, limits));
}
int32_t PIXELLM_EXPORT(vector_places)() {
  auto places = nlohmann::ordered_json::array();
  for (const VectorPlace& place : model().vectors()) {
    const double at = place.at == VectorPlace::kNowhere ? -1.0 : static_cast<double>(place.at);
    places.push_back({{"name", place.tensor->name},
                      {"offset", place.tensor->offset},
                      {"bytes", place.tensor->stored_bytes},
                      {"at", at}});
  }
  return give(places.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}
int32_t PIXELLM_EXPORT(vector_floats)(uint32_t index, const uint8_t* stored, size_t size) {
  return give(model().vector(index, {stored, size}));
}

int32_t PIXELLM_EXPORT(rope_table)(uint32_t position, uint32_t n, int32_t local) {
  return give(model().rope(position, n, local != 0));
}

// Token ids are int32.
int32_t PIXELLM_EXPORT(encode)(const char* text, size_t size, int32_t special) {
  return give(model().encode(text_at(text, size), special != 0));
}
int32_t PIXELLM_EXPORT(encode_prompt)(const char* text, size_t size, const char* system, size_t system_size,
                                      int32_t chat) {
  return give(model().encode_prompt(text_at(text, size), text_at(system, system_size), chat != 0));
}
int32_t PIXELLM_EXPORT(decode)(const TokenId* ids, size_t count) {
  return give(model().decode({ids, count}));
}

// 1: the largest logit alone decides, so that no logits need be read; 0: sample() is to be asked.
int32_t PIXELLM_EXPORT(begin)(const TokenId* prompt, size_t count, int32_t chat, float temperature,
                              uint32_t top_k, float top_p, float min_p, float repeat_penalty, uint64_t seed) {
  const SamplerOptions options = {.temperature = temperature,
                                  .top_k = top_k,
                                  .top_p = top_p,
                                  .min_p = min_p,
                                  .repeat_penalty = repeat_penalty,
                                  .seed = seed};
  const auto greedy = model().begin({prompt, count}, options, chat != 0);
  return greedy ? static_cast<int32_t>(*greedy) : give_error(greedy.error());
}
int32_t PIXELLM_EXPORT(sample)(float* logits, size_t count) { return model().sample({logits, count}); }
int32_t PIXELLM_EXPORT(is_end)(TokenId id) { return model().is_end(id); }
// 1: bytes are held back, until the character is whole or the answer flushed.
int32_t PIXELLM_EXPORT(push)(TokenId id) {
  give(model().push(id));
  return model().holds_text();
}
int32_t PIXELLM_EXPORT(flush)() { return give(model().flush()); }

}  // extern "C"
}  // namespace pixellm
