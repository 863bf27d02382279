#include "model/placement.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <tuple>

#include "model/format.h"

namespace pixellm {
namespace {

constexpr uint64_t kWorldGap = 64;    // pixels between neighbours and between bands
constexpr uint64_t kPartsAcross = 8;  // heads stand in a grid this wide

// First match counts. `prefix` is compared with the name after "blk.N.".
struct LayerRule {
  std::string_view prefix;
  uint32_t rank;
  LayerType type;
};
constexpr LayerRule kLayerRules[] = {
    {"attn_qkv", 3, LayerType::kAttention},   {"attn_q", 1, LayerType::kAttention},
    {"attn_k", 2, LayerType::kAttention},     {"attn_v", 3, LayerType::kAttention},
    {"attn_out", 4, LayerType::kAttention},   {"attn", 5, LayerType::kAttention},
    {"ffn_gate", 7, LayerType::kFeedForward}, {"ffn_up", 8, LayerType::kFeedForward},
    {"ffn_down", 9, LayerType::kFeedForward}, {"ffn", 10, LayerType::kFeedForward},
};
constexpr uint32_t kAttentionNormRank = 0, kFeedForwardNormRank = 6, kOtherRank = 11;

struct GlobalRule {
  std::string_view stem;  // the name up to its first dot
  uint32_t band, rank;
  LayerType type;
};
constexpr GlobalRule kGlobalRules[] = {
    {"token_embd", 0, 0, LayerType::kEmbedding},
    {"position_embd", 0, 1, LayerType::kEmbedding},
    {"token_types", 0, 2, LayerType::kEmbedding},
    {"token_embd_norm", 0, 3, LayerType::kNorm},
    {"output_norm", TensorRole::kOutputBand, 0, LayerType::kNorm},
    {"output", TensorRole::kOutputBand, 1, LayerType::kOutput},
};

// N of "blk.N.", and the name behind it; kNoLayer when it does not begin like that.
uint16_t split_layer(std::string_view& name) {
  constexpr std::string_view kPrefix = "blk.";
  if (!name.starts_with(kPrefix)) return kNoLayer;
  uint32_t layer = 0;
  size_t i = kPrefix.size();
  for (; i < name.size() && name[i] >= '0' && name[i] <= '9' && layer < kNoLayer; i++)
    layer = layer * 10 + static_cast<uint32_t>(name[i] - '0');
  if (i == kPrefix.size() || i == name.size() || name[i] != '.' || layer >= kNoLayer) return kNoLayer;
  name.remove_prefix(i + 1);
  return static_cast<uint16_t>(layer);
}

TensorRole classify_in_layer(std::string_view name, uint16_t layer) {
  TensorRole role{.band = 1u + layer, .rank = kOtherRank, .layer_type = LayerType::kOther, .layer = layer};
  if (name.find("norm") != std::string_view::npos) {
    role.layer_type = LayerType::kNorm;
    if (name.starts_with("attn") || name.starts_with("post_attention")) role.rank = kAttentionNormRank;
    if (name.starts_with("ffn") || name.starts_with("post_ffw")) role.rank = kFeedForwardNormRank;
    return role;
  }
  for (const LayerRule& rule : kLayerRules)
    if (name.starts_with(rule.prefix)) {
      role.rank = rule.rank;
      role.layer_type = rule.type;
      break;
    }
  return role;
}

uint64_t square_root(uint64_t n) {
  uint64_t root = 0;
  for (uint64_t bit = uint64_t{1} << 31; bit != 0; bit >>= 1)
    if ((root + bit) * (root + bit) <= n) root += bit;
  return root;
}

}  // namespace

TensorRole classify_tensor(std::string_view name) {
  if (const uint16_t layer = split_layer(name); layer != kNoLayer) return classify_in_layer(name, layer);
  const std::string_view stem = name.substr(0, name.find('.'));
  for (const GlobalRule& rule : kGlobalRules)
    if (stem == rule.stem) return {.band = rule.band, .rank = rule.rank, .layer_type = rule.type};
  const bool is_norm = stem.find("norm") != std::string_view::npos;
  return {.band = TensorRole::kOtherBand, .layer_type = is_norm ? LayerType::kNorm : LayerType::kOther};
}

std::vector<size_t> order_tensors(std::span<TensorInfo> tensors) {
  std::vector<std::tuple<uint32_t, uint32_t, size_t>> keys(tensors.size());
  for (size_t i = 0; i < tensors.size(); i++) {
    const TensorRole role = classify_tensor(tensors[i].name);
    tensors[i].layer = role.layer;
    tensors[i].layer_type = role.layer_type;
    keys[i] = {role.band, role.rank, i};
  }
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, {}, [&](size_t i) { return keys[i]; });
  return order;
}

uint16_t world_parts_of(const TensorInfo& t, const Metadata& metadata) {
  if (t.layout != Layout::kCells) return 1;
  std::string_view name = t.name;
  if (split_layer(name) == kNoLayer) return 1;
  const std::string arch(metadata.string("general.architecture").value_or(""));
  const int64_t n_heads = metadata.integer(arch + ".attention.head_count").value_or(0);
  const Metadata::Entry* kv = metadata.find(arch + ".attention.head_count_kv");
  const int64_t n_kv_heads = kv ? metadata.integer(arch + ".attention.head_count_kv").value_or(0) : n_heads;
  constexpr int64_t kMaxHeads = 20000;  // so that the sum for a fused tensor fits its field
  if (n_heads < 1 || n_kv_heads < 1 || n_heads > kMaxHeads || n_kv_heads > kMaxHeads) return 1;
  int64_t parts = 1;
  if (name == "attn_q.weight") parts = n_heads;
  if (name == "attn_k.weight" || name == "attn_v.weight") parts = n_kv_heads;
  if (name == "attn_qkv.weight") parts = n_heads + 2 * n_kv_heads;
  const bool splits = t.n_rows() % (kCellRows * static_cast<uint64_t>(parts)) == 0;
  return splits ? static_cast<uint16_t>(parts) : uint16_t{1};
}

Rect world_size(uint64_t stored_bytes, uint16_t parts) {
  const uint64_t pixels = ceil_div(stored_bytes / parts, 3);
  const uint64_t w = 64 * std::max<uint64_t>(1, (square_root(pixels) + 32) / 64);
  const uint64_t h = 64 * ceil_div(pixels, 64 * w);
  return {.w = static_cast<uint32_t>(w * std::min<uint64_t>(kPartsAcross, parts)),
          .h = static_cast<uint32_t>(h * ceil_div(parts, kPartsAcross))};
}

Result<WorldExtent> place_in_world(std::span<TensorInfo> tensors, std::span<const size_t> order) {
  WorldExtent world;
  uint64_t x = 0, top = 0;
  uint32_t band = 0;
  for (const size_t i : order) {
    TensorInfo& t = tensors[i];
    if (const uint32_t b = classify_tensor(t.name).band; b != band) {
      band = b;
      x = 0;
      top = world.height == 0 ? 0 : world.height + kWorldGap;
    }
    t.world = world_size(t.stored_bytes, t.world_parts);
    if (x + t.world.w > kMaxWorldSide || top + t.world.h > kMaxWorldSide)
      return fail(ErrorCode::kTooLarge,
                  fmt::format("pxim: {} would lie at {}, {} of the world, whose sides are at most {}",
                              tensor_label(i, t), x, top, kMaxWorldSide));
    t.world.x = static_cast<uint32_t>(x);
    t.world.y = static_cast<uint32_t>(top);
    world.width = std::max(world.width, x + t.world.w);
    world.height = std::max(world.height, top + t.world.h);
    x += t.world.w + kWorldGap;
  }
  return world;
}

}  // namespace pixellm
