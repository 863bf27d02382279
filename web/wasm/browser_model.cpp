#include "browser_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "gpu/plan.h"
#include "gpu/weight_textures.h"
#include "infer/rope_rows.h"

namespace pixellm {
namespace {

constexpr std::string_view kRopeFactors = "rope_freqs.weight";
constexpr std::string_view kName = "model";  // what messages call the picture; the caller knows its address

Result<void> check_head(const Model& model, Bytes start) {
  const PixelPlane& plane = model.plane();
  const uint64_t rows = model.header().first_weight_row;
  const auto [begin, end] = plane.chunk_range(0, rows);
  PlaneDamage damage;
  damage.rows = PIXELLM_TRY(plane.check_chunks(0, rows, start.subspan(begin, end - begin)));
  if (!damage.empty())
    return fail(ErrorCode::kCorrupt, fmt::format("damaged: {}", fmt::join(model.describe(damage), "; ")));
  const Digest found = PIXELLM_TRY(model.hash_head());
  if (found == model.header().head_sha256) return {};
  return fail(ErrorCode::kCorrupt, fmt::format("damaged: the head's SHA-256 is {}, the file says {}",
                                               to_hex(found), to_hex(model.header().head_sha256)));
}

Result<Model> open_head(Bytes start, uint64_t file_bytes) {
  PixelPlane plane = PIXELLM_TRY(PixelPlane::open_start(start, file_bytes, std::string(kName)));
  return Model::from_plane(std::move(plane));
}

}  // namespace

Result<uint64_t> BrowserModel::head_bytes(Bytes start, uint64_t file_bytes) {
  const PixelPlane plane = PIXELLM_TRY(PixelPlane::open_start(start, file_bytes, std::string(kName)));
  std::array<uint8_t, ModelHeader::kEncodedLength> first{};
  PIXELLM_CHECK(plane.read(0, first));
  const ModelHeader header = PIXELLM_TRY(ModelHeader::decode(first));
  if (header.first_weight_row == 0 || header.first_weight_row > plane.rows())
    return fail(ErrorCode::kCorrupt, fmt::format("pxim: first_weight_row is {}, the picture has {} rows",
                                                 header.first_weight_row, plane.rows()));
  return plane.chunk_range(0, header.first_weight_row).second;
}

Result<std::unique_ptr<BrowserModel>> BrowserModel::open(std::vector<uint8_t> start, uint64_t file_bytes) {
  Model model = PIXELLM_TRY(open_head(start, file_bytes));
  PIXELLM_CHECK(check_head(model, start));
  ModelConfig config = PIXELLM_TRY(read_config(model));
  Tokenizer tokenizer = PIXELLM_TRY(Tokenizer::create(PIXELLM_TRY(read_tokenizer_spec(model.metadata()))));
  std::unique_ptr<BrowserModel> made(
      new BrowserModel(std::move(start), std::move(model), std::move(config), std::move(tokenizer)));
  if (const auto jinja = made->model_.metadata().string("tokenizer.chat_template")) {
    auto chat = ChatTemplate::detect(*jinja);
    if (chat)
      made->chat_ = std::move(*chat);
    else
      made->no_chat_ = chat.error().message;
  } else {
    made->no_chat_ = "the model has no chat template";
  }
  return made;
}

std::string BrowserModel::describe() const {
  const PixelPlane& plane = model_.plane();
  const auto name = model_.metadata().string("general.name");
  return nlohmann::ordered_json{{"name", name.value_or("")},
                                {"architecture", architecture_name(config_.architecture)},
                                {"vocabSize", config_.vocab_size},
                                {"contextLength", config_.context_length},
                                {"base", plane.base_offset()},
                                {"rowBytes", plane.row_bytes()},
                                {"rowStride", plane.row_stride()},
                                {"rows", plane.rows()},
                                {"firstWeightRow", model_.header().first_weight_row},
                                {"rotated", config_.n_rot},
                                {"chat", chat_ ? std::string(chat_->name()) : ""},
                                {"noChat", no_chat_}}
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Result<void> BrowserModel::check_rows(uint64_t first, uint64_t count, Bytes chunks) const {
  PlaneDamage damage;
  damage.rows = PIXELLM_TRY(model_.plane().check_chunks(first, count, chunks));
  if (damage.empty()) return {};
  return fail(ErrorCode::kCorrupt, fmt::format("damaged: {}", fmt::join(model_.describe(damage), "; ")));
}

Result<std::string> BrowserModel::plan(uint32_t context, uint32_t batch, const gpu::Limits& limits) {
  gpu::PlanOptions options;
  options.context = context;
  if (batch > 0) options.batch = batch;
  options.rows_per_layer = std::min(options.rows_per_layer, limits.max_texture_size);
  options.max_texture_rows =
      gpu::max_texture_rows(limits, model_.plane().row_bytes(), options.rows_per_layer);
  if (options.max_texture_rows == 0)
    return fail(
        ErrorCode::kTooLarge,
        fmt::format("the picture's rows are {} texels wide, this GPU's textures at most {} by {}, {} bytes",
                    model_.plane().row_bytes() / 16, limits.max_texture_size, limits.max_texture_layers,
                    limits.max_buffer_bytes));
  const gpu::Plan plan = PIXELLM_TRY(gpu::build_plan(model_, options));
  vectors_.clear();
  for (const gpu::Plan::Vector& v : plan.vectors) vectors_.push_back({model_.find(v.tensor), v.at});
  if (const TensorInfo* factors = model_.find(kRopeFactors);
      factors && config_.architecture == Architecture::kLlama)
    vectors_.push_back({factors, VectorPlace::kNowhere});
  return gpu::plan_json(plan);
}

Result<std::vector<float>> BrowserModel::vector(size_t index, Bytes stored) {
  if (index >= vectors_.size())
    return fail(ErrorCode::kInvalidArgument, fmt::format("vector {} of {}", index, vectors_.size()));
  const VectorPlace& place = vectors_[index];
  auto values = PIXELLM_TRY(model_.decode_floats(*place.tensor, stored));
  if (config_.architecture != Architecture::kLlama || place.tensor != model_.find(kRopeFactors))
    return values;
  if (values.size() != config_.n_rot / 2 || !std::ranges::all_of(values, [](float f) { return f > 0; }))
    return fail(ErrorCode::kCorrupt, fmt::format("{} holds {} values, {} above 0 are needed", kRopeFactors,
                                                 values.size(), config_.n_rot / 2));
  rope_factors_ = values;
  return values;
}

std::vector<float> BrowserModel::rope(uint32_t position, uint32_t n, bool local) const {
  std::vector<float> table(uint64_t{n} * config_.n_rot);
  for (uint32_t i = 0; i < n; i++)
    rope_pairs(config_, rope_factors_, local, position + i, &table[uint64_t{i} * config_.n_rot]);
  return table;
}

// ---- text

Result<std::vector<TokenId>> BrowserModel::encode_prompt(std::string_view text, std::string_view system,
                                                         bool chat) const {
  if (chat) {
    if (!chat_) return fail(ErrorCode::kNotFound, no_chat_);
    std::vector<ChatMessage> messages;
    if (!system.empty()) messages.push_back({"system", std::string(system)});
    messages.push_back({"user", std::string(text)});
    return chat_->encode(tokenizer_, messages, true);
  }
  std::vector<TokenId> ids = tokenizer_.encode(text, false);
  if (tokenizer_.should_add_bos() && tokenizer_.bos()) ids.insert(ids.begin(), *tokenizer_.bos());
  if (ids.empty())
    return fail(ErrorCode::kInvalidArgument,
                "the prompt is empty, and this model's texts do not begin with a start token");
  return ids;
}

Result<bool> BrowserModel::begin(std::span<const TokenId> prompt, const SamplerOptions& options, bool chat) {
  PIXELLM_CHECK(validate(options));
  for (const TokenId id : prompt)
    if (id < 0 || static_cast<uint32_t>(id) >= vocab_size())
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("token {} in the prompt, the vocabulary has {}", id, vocab_size()));
  sampler_ = PIXELLM_TRY(Sampler::create(options, vocab_size()));
  for (const TokenId id : prompt) sampler_->accept(id);
  answer_.emplace(tokenizer_, std::vector<std::string>());
  end_ = chat && chat_ ? tokenizer_.find(chat_->end_marker()) : std::nullopt;
  return options.temperature == 0 && options.repeat_penalty == 1 && options.presence_penalty == 0 &&
         options.frequency_penalty == 0 && options.bias.empty();
}

TokenId BrowserModel::sample(std::span<float> logits) {
  if (const float cap = config_.final_softcap; cap != 0)
    for (float& v : logits) v = cap * std::tanh(v / cap);
  return sampler_->sample(logits);
}

bool BrowserModel::is_end(TokenId id) const { return tokenizer_.is_end_of_generation(id) || end_ == id; }

std::string BrowserModel::push(TokenId id) {
  sampler_->accept(id);
  return answer_->push(id);
}

bool BrowserModel::holds_text() const {
  AnswerText copy = *answer_;
  return !copy.flush().empty();
}

std::string BrowserModel::flush() { return answer_->flush(); }

}  // namespace pixellm
