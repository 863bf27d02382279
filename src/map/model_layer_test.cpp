#include "map/model_layer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <map>
#include <random>
#include <tuple>

#include "model/test_model.h"
#include "model/test_version1.h"
#include "tensor/element_bytes.h"

namespace pixellm {
namespace {

using ::testing::HasSubstr;

// Twelve heads in two rows of the grid, two for k and v, everything of every_type().
TestModel many_heads() {
  TestModel m("llama", 12, 2);
  m.add("blk.0.attn_q.weight", TensorType::kQ8_0, {96, 192})
      .add("blk.0.attn_k.weight", TensorType::kQ4_K, {256, 32});
  m.add("blk.0.attn_norm.weight", TensorType::kF32, {96})
      .add("blk.0.ffn_up.weight", TensorType::kQ6_K, {512, 40});
  return m;
}

struct OpenModel {
  std::vector<uint8_t> payload, file;
  std::optional<ModelWorld> world;

  OpenModel(const TestModel& m, uint64_t row_bytes)
      : payload(m.payload(row_bytes)), file(wrap_in_pxif(payload, row_bytes)) {
    auto model = open_wrapped(file);
    PIXELLM_ASSERT(model);
    auto made = ModelWorld::create(std::move(*model));
    PIXELLM_ASSERT(made);
    world = std::move(*made);
  }
  const Model& model() const { return world->model(); }
};

// spec/pxi-llm.md, section 4: where stored byte `i` of the tensor stands in the payload.
uint64_t payload_place(const TensorInfo& t, uint64_t i, uint64_t row_bytes) {
  if (t.layout == Layout::kLinear) return t.offset + i;
  const uint64_t cell_bytes = traits(t.type).cell_bytes, c = i / cell_bytes, in_cell = i % cell_bytes;
  const uint64_t first = (row_bytes - t.offset % row_bytes) / cell_bytes, per_row = row_bytes / cell_bytes;
  if (c < first) return t.offset + c * cell_bytes + in_cell;
  const uint64_t row = t.offset / row_bytes + 1 + (c - first) / per_row;
  return row * row_bytes + (c - first) % per_row * cell_bytes + in_cell;
}

// Section 7: the place of stored byte `i` among the samples of a world `width` pixels wide.
uint64_t world_place(const TensorInfo& t, uint64_t i, uint64_t width) {
  const uint64_t piece_bytes = t.stored_bytes / t.world_parts, piece = i / piece_bytes,
                 in_piece = i % piece_bytes;
  const uint64_t across = std::min<uint64_t>(8, t.world_parts), w = t.world.w / across;
  const uint64_t h = t.world.h / ((t.world_parts + 7) / 8), pixel = in_piece / 3;
  const uint64_t x = t.world.x + piece % 8 * w + pixel % w, y = t.world.y + piece / 8 * h + pixel / w;
  return 3 * (y * width + x) + in_piece % 3;
}

class ModelPixels : public ::testing::TestWithParam<std::tuple<int, uint64_t>> {
 protected:
  OpenModel open() const {
    const auto [model, row_bytes] = GetParam();
    return OpenModel(model == 0 ? TestModel::every_type() : many_heads(), row_bytes);
  }
};
// Rows that hold one cell and a bit, rows with left-overs, rows that hold most tensors whole.
INSTANTIATE_TEST_SUITE_P(All, ModelPixels,
                         ::testing::Combine(::testing::Values(0, 1),
                                            ::testing::Values(4224, 6720, 13056, 65472)));

TEST_P(ModelPixels, AreTheStoredBytes) {
  const OpenModel m = open();
  const uint64_t width = m.world->width(), height = m.world->height();
  std::vector<uint8_t> expected(3 * width * height), found(expected.size(), 0xAA);
  for (const TensorInfo& t : m.model().tensors())
    for (uint64_t i = 0; i < t.stored_bytes; i++)
      expected.at(world_place(t, i, width)) =
          m.payload.at(payload_place(t, i, m.model().plane().row_bytes()));
  m.world->read({.w = m.world->width(), .h = m.world->height()}, found.data(), 3 * width);
  ASSERT_TRUE(expected == found);

  // Any part of it is the same as cut out of the whole, and nothing around the part is written.
  std::mt19937 random(7);
  for (int trial = 0; trial < 300; trial++) {
    const auto pick = [&](uint64_t n) { return static_cast<uint32_t>(random() % n); };
    Rect part{.x = pick(width), .y = pick(height)};
    part.w = 1 + pick(std::min<uint64_t>(width - part.x, 200));
    part.h = 1 + pick(std::min<uint64_t>(height - part.y, 200));
    const uint64_t stride = 3 * uint64_t{part.w} + 5;
    std::vector<uint8_t> out(stride * part.h, 0x55);
    m.world->read(part, out.data(), stride);
    for (uint64_t y = 0; y < part.h; y++) {
      ASSERT_EQ(std::memcmp(&out[y * stride], &expected[3 * ((part.y + y) * width + part.x)], 3 * part.w), 0);
      for (uint64_t i = 3 * part.w; i < stride; i++) ASSERT_EQ(out[y * stride + i], 0x55);
    }
  }
}

TEST_P(ModelPixels, OccupiedRectanglesHoldEverything) {
  const OpenModel m = open();
  const Rect all{.w = m.world->width(), .h = m.world->height()};
  EXPECT_EQ(m.world->occupied(all).size(), m.model().tensors().size());
  const Rect part{.x = all.w / 3, .y = all.h / 3, .w = all.w / 4, .h = all.h / 4};
  std::vector<uint8_t> pixels(3 * uint64_t{part.w} * part.h);
  m.world->read(part, pixels.data(), 3 * uint64_t{part.w});
  for (const Rect& r : m.world->occupied(part)) {
    ASSERT_TRUE(r.x >= part.x && r.x + r.w <= part.x + part.w && r.y >= part.y &&
                r.y + r.h <= part.y + part.h);
    for (uint32_t y = r.y; y < r.y + r.h; y++)
      std::memset(&pixels[3 * (uint64_t{y - part.y} * part.w + (r.x - part.x))], 0, 3 * uint64_t{r.w});
  }
  EXPECT_EQ(std::count(pixels.begin(), pixels.end(), 0), std::ssize(pixels));
}

// The row and the byte of that row in GGUF order that stand at each stored byte, found by packing numbers;
// -1: padding.
std::vector<std::pair<int64_t, uint64_t>> stored_origins(const TensorInfo& t) {
  std::vector<std::pair<int64_t, uint64_t>> origins(t.stored_bytes, {-1, 0});
  if (t.layout == Layout::kLinear) {
    for (uint64_t i = 0; i < t.stored_bytes; i++) origins[i] = {0, i};
    return origins;
  }
  const uint64_t row_bytes = gguf_row_bytes(t.type, t.k());
  const uint64_t group_bytes = ceil_div(t.k(), traits(t.type).cell_columns) * traits(t.type).cell_bytes;
  std::vector<uint8_t> rows(row_bytes * kCellRows), cells(group_bytes);
  for (uint64_t first = 0; first < t.n_rows(); first += kCellRows) {
    std::vector<uint64_t> numbers(group_bytes);
    const auto n = static_cast<uint32_t>(std::min<uint64_t>(kCellRows, t.n_rows() - first));
    for (int shift = 0; shift < 24; shift += 8) {
      for (uint64_t i = 0; i < rows.size(); i++) rows[i] = static_cast<uint8_t>((i + 1) >> shift);
      pack_group(t.type, t.k(), rows.data(), row_bytes, n, cells.data());
      for (uint64_t i = 0; i < group_bytes; i++) numbers[i] |= uint64_t{cells[i]} << shift;
    }
    for (uint64_t i = 0; i < group_bytes; i++)
      if (numbers[i] != 0)
        origins[first / kCellRows * group_bytes + i] = {
            static_cast<int64_t>(first + (numbers[i] - 1) / row_bytes), (numbers[i] - 1) % row_bytes};
  }
  return origins;
}

using Elements = std::map<std::pair<uint64_t, uint64_t>, float>;

void check_weights(const OpenModel& m, const TensorInfo& t) {
  const TypeTraits& type = traits(t.type);
  const uint64_t width = m.world->width();
  const auto source = source_bytes(m.model(), t);
  std::vector<float> values(t.n_elements());
  const uint64_t row_bytes = gguf_row_bytes(t.type, t.k());
  for (uint64_t r = 0; r < t.n_rows(); r++)
    dequantize_blocks(t.type, t.k(), &source[r * row_bytes], &values[r * t.k()]);

  std::map<uint64_t, Elements> expected;  // by pixel
  const auto origins = stored_origins(t);
  for (uint64_t i = 0; i < t.stored_bytes; i++) {
    Elements& here = expected[world_place(t, i, width) / 3];
    const auto [row, byte] = origins[i];
    if (row < 0) continue;
    const uint64_t first = byte / type.block_bytes * type.block_elements, r = static_cast<uint64_t>(row);
    elements_of_byte(t.type, static_cast<uint32_t>(byte % type.block_bytes)).for_each([&](uint32_t e) {
      here[{r, first + e}] = values[r * t.k() + first + e];
    });
  }
  for (uint32_t y = t.world.y; y < t.world.y + t.world.h; y++)
    for (uint32_t x = t.world.x; x < t.world.x + t.world.w; x++) {
      const auto found = m.world->weights_at(x, y);
      const auto wanted = expected.find(y * width + x);
      ASSERT_EQ(found.has_value(), wanted != expected.end()) << t.name << " " << x << "," << y;
      if (!found) continue;
      ASSERT_EQ(found->tensor, &t);
      ASSERT_EQ(found->elements.size(), wanted->second.size()) << t.name << " " << x << "," << y;
      auto next = wanted->second.begin();
      for (const ElementAt& e : found->elements) {
        ASSERT_EQ(std::pair(e.row, e.column), next->first);
        ASSERT_EQ(std::memcmp(&e.value, &next->second, sizeof e.value), 0);
        ++next;
      }
    }
  for (uint64_t r = 0; r < t.n_rows(); r++)
    for (uint64_t c = 0; c < t.k(); c++) {
      const auto place = m.world->place_of(t, r, c);
      ASSERT_TRUE(place);
      ASSERT_TRUE(expected.at(place->second * width + place->first).contains({r, c}))
          << t.name << " " << r << "," << c;
    }
}

TEST_P(ModelPixels, WeightsOfEveryPixelAndBack) {
  const OpenModel m = open();
  if (m.model().plane().row_bytes() > 7000) return;  // rows make no difference here, two widths are enough
  for (const TensorInfo& t : m.model().tensors()) {
    ASSERT_NO_FATAL_FAILURE(check_weights(m, t));
    EXPECT_FALSE(m.world->place_of(t, t.n_rows(), 0));
    EXPECT_FALSE(m.world->place_of(t, 0, t.k()));
  }
}

TEST(ModelWorld, HeadsAreNeighboursInAnEightWideGrid) {
  const OpenModel m(many_heads(), 6720);
  const TensorInfo& q = *m.model().find("blk.0.attn_q.weight");
  ASSERT_EQ(q.world_parts, 12);
  const uint32_t w = q.world.w / 8, h = q.world.h / 2, rows = 192 / 12;
  for (uint32_t head = 0; head < 12; head++) {
    const auto first = m.world->place_of(q, uint64_t{head} * rows, 0),
               last = m.world->place_of(q, (head + 1) * rows - 1, 95);
    for (const auto& place : {first, last}) {
      EXPECT_EQ((place->first - q.world.x) / w, head % 8);
      EXPECT_EQ((place->second - q.world.y) / h, head / 8);
    }
    // The head's first bytes are its first rows' scales, at the corner of its rectangle.
    const auto corner = m.world->weights_at(q.world.x + head % 8 * w, q.world.y + head / 8 * h);
    ASSERT_TRUE(corner);
    EXPECT_EQ(corner->elements.front().row, head * rows);
    EXPECT_EQ(corner->elements.front().column, 0u);
  }
  // The last four places of the grid are nobody's.
  EXPECT_FALSE(m.world->weights_at(q.world.x + 4 * w, q.world.y + h));
}

TEST(ModelWorld, RefusesWhatHasNoWorld) {
  TestFolder folder;
  const auto file = wrap_in_pxif(version1_payload({}), 3 * kVersion1Width);
  ASSERT_TRUE(write_file(folder.path("v1.pxif"), file));
  const auto opened = open_model_world(folder.path("v1.pxif"));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(opened.error().message, HasSubstr("version 1 picture has no world"));
  ASSERT_TRUE(TestModel().write(folder.path("none.png")));
  const auto empty = open_model_world(folder.path("none.png"));
  ASSERT_FALSE(empty);
  EXPECT_THAT(empty.error().message, HasSubstr("no tensors"));
}

TEST(BoxTree, FindsWhatASearchOfAllFinds) {
  std::mt19937 random(3);
  std::vector<Rect> boxes;
  for (int i = 0; i < 500; i++)
    boxes.push_back({.x = static_cast<uint32_t>(random() % 3000),
                     .y = static_cast<uint32_t>(random() % 3000),
                     .w = static_cast<uint32_t>(random() % 90),
                     .h = static_cast<uint32_t>(random() % 90)});
  boxes.push_back({.x = 0, .y = 0x7fffffff, .w = 0x80000000, .h = 1});  // as far as a world goes
  const BoxTree tree(boxes);
  for (int trial = 0; trial < 2000; trial++) {
    Rect part{.x = static_cast<uint32_t>(random() % 3000),
              .y = static_cast<uint32_t>(random() % 3000),
              .w = static_cast<uint32_t>(random() % 300),
              .h = static_cast<uint32_t>(random() % 300)};
    if (trial % 100 == 0) part.h = 0x7fffffff;
    std::vector<uint32_t> expected;
    for (uint32_t i = 0; i < boxes.size(); i++) {
      const Rect& b = boxes[i];
      if (b.w && b.h && part.w && part.h && b.x < uint64_t{part.x} + part.w && part.x < uint64_t{b.x} + b.w &&
          b.y < uint64_t{part.y} + part.h && part.y < uint64_t{b.y} + b.h)
        expected.push_back(i);
    }
    ASSERT_EQ(tree.meeting(part), expected);
  }
  EXPECT_TRUE(BoxTree().meeting({.w = 10, .h = 10}).empty());
}

}  // namespace
}  // namespace pixellm
