// A tiny model of any architecture whose metadata and tensors the input has changed: reading the
// configuration, the vocabulary and the tensors must end with an error or with an engine that runs tokens.
//
// Input: byte 0 chooses the architecture, then edits of 7 bytes: what, which, a detail, a value of 4 bytes.
#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include "infer/session.h"
#include "infer/tiny_model.h"
#include "model/head.h"
#include "model/model_writer.h"
#include "pixel/pxif.h"

using namespace pixellm;

namespace {

constexpr size_t kEditBytes = 7;
constexpr std::array<Architecture, 6> kArchitectures = {Architecture::kGpt2,   Architecture::kLlama,
                                                        Architecture::kQwen2,  Architecture::kQwen3,
                                                        Architecture::kGemma3, Architecture::kMlp};
// Keys that the tiny models have no pair for; the architecture's name stands before the dotted ones.
constexpr std::array<const char*, 14> kMoreKeys = {".vocab_size",
                                                   ".expert_count",
                                                   ".attention.scale",
                                                   ".attention.causal",
                                                   ".rope.dimension_count",
                                                   ".rope.scaling.type",
                                                   ".rope.scaling.factor",
                                                   ".rope.scale_linear",
                                                   ".rope.scaling.attn_factor",
                                                   ".rope.freq_base_swa",
                                                   ".attention.sliding_window",
                                                   ".attention.sliding_window_pattern",
                                                   "tokenizer.ggml.bos_token_id",
                                                   "tokenizer.ggml.padding_token_id"};
constexpr std::array<const char*, 10> kTexts = {"",     "linear", "none",       "yarn",  "llama",
                                                "gpt2", "mlp",    "code-point", "qwen3", "smollm"};

struct Edit {
  uint8_t what, which, detail;
  uint32_t value;
};

const TinyModel& base(size_t index) {
  static const auto models = [] {
    std::vector<TinyModel> made;
    for (const Architecture a : kArchitectures)
      made.push_back(make_tiny_model({.architecture = a,
                                      .n_layers = 1,
                                      .embedding_length = 32,
                                      .n_heads = 2,
                                      .n_kv_heads = a == Architecture::kGpt2 ? 2u : 1u,
                                      .head_dim = 16,
                                      .feed_forward_length = 32,
                                      .vocab_size = 260,
                                      .context_length = 16,
                                      .sliding_window = a == Architecture::kGemma3 ? 3u : 0u}));
    return made;
  }();
  return models[index];
}

void put(PairWriter& pairs, std::string_view key, const Edit& e) {
  switch (e.detail % 6) {
    case 0:
      return pairs.integer(key, e.value);
    case 1:
      return pairs.number(key, std::bit_cast<float>(e.value));
    case 2:
      return pairs.flag(key, e.value & 1);
    case 3:
      return pairs.text(key, kTexts[e.value % kTexts.size()]);
    case 4:
      return pairs.integers(key, std::vector<int32_t>(e.value % 9, static_cast<int32_t>(e.value >> 8)));
    default:
      return pairs.integer(key, e.value % 300);
  }
}

// Copies a pair of the tiny model as it is.
void copy(PairWriter& pairs, const Metadata& from, const Metadata::Entry& e) {
  if (e.type == MetadataType::kString) return pairs.text(e.key, *from.string(e.key));
  if (e.type == MetadataType::kUint32)
    return pairs.integer(e.key, static_cast<uint32_t>(*from.integer(e.key)));
  if (e.type == MetadataType::kFloat32) return pairs.number(e.key, static_cast<float>(*from.number(e.key)));
  if (const auto texts = from.strings(e.key)) return pairs.texts(e.key, {texts->begin(), texts->end()});
  std::vector<int32_t> integers;
  for (const int64_t v : from.integers(e.key).value_or(std::vector<int64_t>{}))
    integers.push_back(static_cast<int32_t>(v));
  pairs.integers(e.key, integers);
}

PairWriter edited_pairs(const TinyModel& tiny, std::span<const Edit> edits) {
  const auto from = tiny.pairs.metadata();
  const std::string architecture(*from->string("general.architecture"));
  PairWriter pairs;
  for (size_t i = 0; i < from->entries().size(); i++) {
    const auto edit = std::ranges::find_if(
        edits, [&](const Edit& e) { return e.what % 8 < 2 && e.which % from->entries().size() == i; });
    if (edit == edits.end())
      copy(pairs, *from, from->entries()[i]);
    else if (edit->what % 8 == 0)
      put(pairs, from->entries()[i].key, *edit);  // 1: the pair is left out
  }
  std::array<bool, kMoreKeys.size()> added{};
  for (const Edit& e : edits) {
    const size_t index = e.which % kMoreKeys.size();
    const std::string key = (kMoreKeys[index][0] == '.' ? architecture : "") + kMoreKeys[index];
    if (e.what % 8 == 2 && !from->find(key) && !std::exchange(added[index], true)) put(pairs, key, e);
  }
  return pairs;
}

std::vector<TensorInfo> edited_tensors(const TinyModel& tiny, std::span<const Edit> edits) {
  std::vector<TensorInfo> tensors;
  for (const TinyTensor& t : tiny.tensors) {
    TensorInfo info;
    info.name = t.name;
    info.n_dims = static_cast<uint32_t>(t.dims.size());
    std::ranges::copy(t.dims, info.dims.begin());
    tensors.push_back(std::move(info));
  }
  for (const Edit& e : edits) {
    if (tensors.empty()) break;
    TensorInfo& t = tensors[e.which % tensors.size()];
    switch (e.what % 8) {
      case 3:
        t.dims[e.detail % 4] = e.value % 320;
        break;
      case 4:
        t.n_dims = e.detail % 5;
        break;
      case 5:
        t.type = kTypes[e.detail % kTypes.size()].type;
        break;
      case 6:
        t.name = e.detail % 2 ? "output.weight" : t.name + "x";
        break;
      case 7:
        tensors.erase(tensors.begin() + e.which % static_cast<ptrdiff_t>(tensors.size()));
        break;
      default:
        break;
    }
  }
  return tensors;
}

// The picture as a PXIF with every weight byte `fill`.
std::vector<uint8_t> picture(const ModelPlan& plan, uint8_t fill) {
  const uint64_t bytes = plan.row_bytes * plan.rows;
  const PxifHeader header{.original_size = bytes,
                          .width = static_cast<uint32_t>(plan.row_bytes / 3),
                          .height = static_cast<uint32_t>(plan.rows),
                          .compression = PxifCompression::kNone,
                          .checksum = {}};
  std::array<uint8_t, PxifHeader::kEncodedLength> encoded;
  header.encode(encoded);
  std::vector<uint8_t> file(encoded.size() + bytes, fill);
  std::ranges::copy(encoded, file.begin());
  std::ranges::copy(encode_head(plan), file.begin() + static_cast<ptrdiff_t>(encoded.size()));
  return file;
}

template <class T>
void check_error(const Result<T>& r) {
  PIXELLM_ASSERT(r || !r.error().message.empty());
}

void run(const Model& model) {
  static ThreadPool pool(2);
  if (const auto spec = read_tokenizer_spec(model.metadata())) {
    const auto tokenizer = Tokenizer::create(*spec);
    check_error(tokenizer);
    if (tokenizer)
      for (const TokenId id : tokenizer->encode("a\xC3\xA9\xFF", true))
        PIXELLM_ASSERT(tokenizer->is_valid(id));
  } else {
    check_error(spec);
  }
  const auto engine = Engine::create(model);
  check_error(engine);
  if (!engine) return;
  const uint32_t context = std::min(engine->config().context_length, 5u);
  const auto session = Session::create(*engine, pool, {.context = context, .batch = 3});
  check_error(session);
  if (!session) return;
  const std::array<TokenId, 5> ids = {0, static_cast<TokenId>(engine->config().vocab_size - 1), 0, 0, 0};
  const auto fed = (*session)->feed(std::span(ids).first(context));
  check_error(fed);
  PIXELLM_ASSERT(fed ? (*session)->logits().size() == engine->config().vocab_size
                     : (*session)->position() == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0 || size > 1 + 32 * kEditBytes) return 0;
  std::vector<Edit> edits;
  for (size_t at = 1; at + kEditBytes <= size; at += kEditBytes)
    edits.push_back({data[at], data[at + 1], data[at + 2], load_le<uint32_t>(data + at + 3)});
  const TinyModel& tiny = base(data[0] % kArchitectures.size());
  const auto metadata = edited_pairs(tiny, edits).metadata();
  PIXELLM_ASSERT(metadata);
  const auto plan = plan_model(edited_tensors(tiny, edits), *metadata, SourceRecord{});
  check_error(plan);
  if (!plan) return 0;
  const std::vector<uint8_t> file = picture(*plan, data[0] / 8);
  const auto model = Model::from_plane(*PixelPlane::open_bytes(file, "input"));
  PIXELLM_ASSERT(model);
  run(*model);
  return 0;
}
