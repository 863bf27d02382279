// Hostile heads: every bit flip, every truncation, and contradictions made on purpose. Nothing may crash,
// whatever is accepted must be readable from end to end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "model/format.h"
#include "model/test_model.h"

namespace pixellm {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

constexpr uint64_t kRowBytes = 4224;

TestModel small_model() {
  TestModel m;
  m.add("blk.0.attn_q.weight", TensorType::kQ8_0, {64, 64})
      .add("blk.0.attn_norm.weight", TensorType::kF32, {64});
  m.add("types.f16", TensorType::kF16, {70, 20}).add("types.q4_k", TensorType::kQ4_K, {256, 3});
  m.source.file_bytes += 5;
  m.source.residues = {{4090, {1, 2, 3}}, {m.source.file_bytes - 1, {7}}};
  return m;
}

// Reads all that a model offers.
uint64_t walk(const Model& model) {
  uint64_t bytes = 0;
  for (const TensorInfo& t : model.tensors()) {
    bytes += source_bytes(model, t).size();
    if (t.n_rows() == 1) bytes += model.read_floats(t).value().size();
    if (t.layout == Layout::kCells) {
      std::vector<float> row(t.k());
      dequantize_row(model.matrix(t), t.n_rows() - 1, row.data());
    }
    EXPECT_LT(model.picture_rows(t).second, model.plane().rows());
    EXPECT_EQ(model.find(t.name), &t);
  }
  const auto lines = model.describe({.rows = {{0, model.plane().rows() - 1}}, .other = {}});
  return bytes + lines.size();
}

class HostileHead : public ::testing::Test {
 protected:
  // Message of the refusal, "" when the payload opens.
  std::string open(const std::vector<uint8_t>& payload) {
    file_ = wrap_in_pxif(payload, kRowBytes);
    const auto model = open_wrapped(file_);
    if (!model) return model.error().message;
    walk(*model);
    return "";
  }
  // The same after a change of the payload's bytes.
  std::string open_with(const std::function<void(uint8_t*)>& change) {
    auto payload = payload_;
    change(payload.data());
    return open(payload);
  }
  uint8_t* entry(uint8_t* payload, uint64_t index) const {
    return payload + 256 + index * kDirectoryEntryBytes;
  }
  ModelHeader header() const { return ModelHeader::decode(payload_).value(); }

  std::vector<uint8_t> payload_ = small_model().payload(kRowBytes);
  std::vector<uint8_t> file_;
};

TEST_F(HostileHead, EveryBitFlip) {
  const ModelHeader h = header();
  const uint64_t end = h.source_offset + h.source_bytes + 64;
  ASSERT_LT(end, kRowBytes);
  std::vector<uint64_t> accepted;
  file_ = wrap_in_pxif(payload_, kRowBytes);
  for (uint64_t bit = 0; bit < end * 8; bit++) {
    uint8_t& byte = file_[PxifHeader::kEncodedLength + bit / 8];
    byte ^= static_cast<uint8_t>(1 << bit % 8);
    if (const auto model = open_wrapped(file_)) {
      walk(*model);
      accepted.push_back(bit / 8);
    }
    byte ^= static_cast<uint8_t>(1 << bit % 8);
  }
  // In the header only the hashes carry bits that nothing else in the head repeats.
  for (const uint64_t at : accepted)
    EXPECT_TRUE(at >= 256 || (at >= 0x34 && at < 0x54) || (at >= 0xA0 && at < 0xC0)) << at;
  EXPECT_EQ(std::ranges::count_if(accepted, [](uint64_t at) { return at < 256; }), 512);
}

// Rows cut off, with the header as it was and with one that says as many rows as there are; the last row's
// rest is zero.
TEST_F(HostileHead, EveryTruncation) {
  const uint64_t all_rows = payload_.size() / kRowBytes;
  ThreadPool pool(1);
  for (uint64_t n = 0; n < payload_.size(); n += n < 2048 ? 1 : 37) {
    std::vector<uint8_t> cut(payload_.begin(), payload_.begin() + static_cast<ptrdiff_t>(n));
    const uint64_t rows = ceil_div(n, kRowBytes);
    cut.resize(rows * kRowBytes);
    const std::string message = open(cut);
    if (rows < all_rows) {
      EXPECT_NE(message, "") << n;
      if (n < 256) continue;
      store_le<uint32_t>(&cut[0x30], static_cast<uint32_t>(rows));
      EXPECT_NE(open(cut), "") << n;
    } else if (cut != payload_) {
      EXPECT_THAT(*open_wrapped(file_)->verify(VerifyLevel::kSha256, pool),
                  ::testing::Not(::testing::IsEmpty()))
          << n;
    }
  }
  EXPECT_EQ(open(payload_), "");
}

TEST_F(HostileHead, SizesThatOverflow) {
  const uint64_t huge[] = {uint64_t{1} << 60, ~uint64_t{0}, uint64_t{1} << 63, (uint64_t{1} << 58) + 64};
  for (const uint64_t v : huge) {
    for (const uint64_t field : {0x08, 0x58, 0x60, 0x68, 0x70, 0x78, 0x88, 0x90})
      EXPECT_NE(open_with([&](uint8_t* p) { store_le<uint64_t>(p + field, v); }), "") << field << " " << v;
    for (uint64_t e = 0; e < 4; e++)
      for (const uint64_t field : {0x00, 0x20, 0x30, 0x38, 0x40, 0x48, 0x50, 0x58})
        EXPECT_NE(open_with([&](uint8_t* p) { store_le<uint64_t>(entry(p, e) + field, v); }), "")
            << e << " " << field;
    for (const uint64_t field : {16, 24, 32, 40})
      EXPECT_NE(open_with([&](uint8_t* p) { store_le<uint64_t>(p + header().source_offset + field, v); }), "")
          << field;
  }
  // Shape and stored bytes that agree with each other, but not with the picture.
  EXPECT_THAT(open_with([&](uint8_t* p) {
                store_le<uint64_t>(entry(p, 0) + 0x40, uint64_t{1} << 24);
                store_le<uint64_t>(entry(p, 0) + 0x20, (uint64_t{1} << 20) * 1088);
              }),
              HasSubstr("ends at byte"));
  EXPECT_THAT(open_with([&](uint8_t* p) { store_le<uint64_t>(entry(p, 0) + 0x40, uint64_t{1} << 60); }),
              HasSubstr("more than 1152921504606846976 elements"));
  EXPECT_THAT(open_with([&](uint8_t* p) { store_le<uint64_t>(entry(p, 0) + 0x40, uint64_t{1} << 50); }),
              HasSubstr("needs more than any picture holds"));
}

TEST_F(HostileHead, NegativeAndHugeCounts) {
  for (const uint32_t v : {0xffffffffu, 0x80000000u, 0x7fffffffu, 0u, 3u, 5u, uint32_t{kMaxTensors}})
    for (const uint64_t field : {0x54, 0x80, 0x84})
      if (load_le<uint32_t>(&payload_[field]) != v) {
        EXPECT_NE(open_with([&](uint8_t* p) { store_le<uint32_t>(p + field, v); }), "") << field << " " << v;
      }
  EXPECT_THAT(open_with([&](uint8_t* p) { store_le<uint32_t>(p + 0x54, 0xffffffff); }),
              HasSubstr("4294967295 tensors, at most"));
  EXPECT_NE(open_with([&](uint8_t* p) { store_le<uint32_t>(p + header().source_offset + 12, 0xffffffff); }),
            "");
}

TEST_F(HostileHead, ContradictionsAreNamed) {
  const auto set64 = [&](uint64_t e, uint64_t field, uint64_t v) {
    return open_with([&](uint8_t* p) { store_le<uint64_t>(entry(p, e) + field, v); });
  };
  const auto set16 = [&](uint64_t e, uint64_t field, uint16_t v) {
    return open_with([&](uint8_t* p) { store_le<uint16_t>(entry(p, e) + field, v); });
  };
  const uint64_t norm = load_le<uint64_t>(entry(payload_.data(), 1));
  const uint64_t q = load_le<uint64_t>(entry(payload_.data(), 0));
  EXPECT_THAT(set64(0, 0x00, norm), HasSubstr("inside tensor 0 'blk.0.attn_q.weight', which ends at"));
  EXPECT_THAT(set64(1, 0x00, q), AnyOf(HasSubstr("inside tensor"), HasSubstr("begins at byte")));
  EXPECT_THAT(set64(1, 0x00, 0), HasSubstr("multiples of 64 from"));
  EXPECT_THAT(set64(1, 0x00, norm + 32), HasSubstr("multiples of 64 from"));
  EXPECT_THAT(set64(0, 0x00, q / kRowBytes * kRowBytes + 4160), HasSubstr("no cell of 1088 bytes fits"));
  EXPECT_THAT(set64(0, 0x38, 63), HasSubstr("rows of 63 elements, Q8_0 needs a multiple of 32"));
  EXPECT_THAT(set64(0, 0x38, 0), HasSubstr("dimension 0 is 0"));
  EXPECT_THAT(set64(1, 0x40, 2), HasSubstr("dimension 1 is 2 but only 1 count"));
  EXPECT_THAT(set16(0, 0x28, 5), HasSubstr("5 dimensions"));
  EXPECT_THAT(set16(0, 0x28, 1), HasSubstr("layout 0 and 1 dimensions"));
  EXPECT_THAT(set16(0, 0x2A, 0), HasSubstr("shown in 0 parts"));
  EXPECT_THAT(set16(0, 0x2A, 3), HasSubstr("shown in 3 parts"));
  EXPECT_THAT(open_with([&](uint8_t* p) { store_le<uint32_t>(entry(p, 0) + 0x14, 23); }),
              HasSubstr("has type 23 (IQ4_XS), which pictures do not hold"));
  EXPECT_THAT(open_with([&](uint8_t* p) { store_le<uint32_t>(entry(p, 0) + 0x14, 99); }),
              HasSubstr("99 (unknown)"));
  EXPECT_THAT(open_with([&](uint8_t* p) { entry(p, 0)[0x10] = 6; }), HasSubstr("layer type 6"));
  EXPECT_THAT(open_with([&](uint8_t* p) { store_le<uint32_t>(entry(p, 0) + 0x2C, 0); }),
              HasSubstr("a name of 0 bytes"));
  EXPECT_THAT(open_with([&](uint8_t* p) { store_le<uint32_t>(entry(p, 3) + 0x2C, 1); }),
              HasSubstr("the names use"));
  EXPECT_THAT(open_with([&](uint8_t* p) { p[header().strings_offset + header().strings_bytes] = 1; }),
              HasSubstr("between the parts of the head are not zero"));
  EXPECT_THAT(open_with([&](uint8_t* p) { p[0x14] = 9; }), HasSubstr("num_layers is 9, the metadata says 1"));
  EXPECT_THAT(open_with([&](uint8_t* p) { p[4] = 3; }),
              HasSubstr("version 3.0, this program reads 1.0 and 2.0"));
  EXPECT_THAT(open_with([&](uint8_t* p) { p[0xC0] = 1; }), HasSubstr("reserved header bytes"));
  EXPECT_THAT(open_with([&](uint8_t* p) { p[0] = 'Q'; }), HasSubstr("a picture, but not a model"));
  EXPECT_THAT(open({}), AnyOf(HasSubstr("too few for a model's header"), HasSubstr("pxif")));
}

TEST_F(HostileHead, DuplicateNames) {
  TestModel m = small_model();
  m.tensors[2].name = "typesXq4_k";
  payload_ = m.payload(kRowBytes);
  const uint64_t strings = header().strings_offset;
  const std::string all(payload_.begin() + static_cast<ptrdiff_t>(strings),
                        payload_.begin() + static_cast<ptrdiff_t>(strings + header().strings_bytes));
  EXPECT_THAT(open_with([&](uint8_t* p) { p[strings + all.find('X')] = '.'; }),
              HasSubstr("two tensors are named 'types.q4_k'"));
}

TEST_F(HostileHead, WorldRectangles) {
  const auto set = [&](uint64_t e, uint64_t field, uint32_t v) {
    return open_with([&](uint8_t* p) { store_le<uint32_t>(entry(p, e) + field, v); });
  };
  const auto at = [&](uint64_t e, uint64_t field) {
    return load_le<uint32_t>(entry(payload_.data(), e) + field);
  };
  EXPECT_THAT(set(0, 0x08, 128 + at(0, 0x08)), HasSubstr("world rectangle"));
  EXPECT_THAT(set(0, 0x0C, 0), HasSubstr("world rectangle"));
  EXPECT_THAT(set(0, 0x18, 0xffffffc0), HasSubstr("whose sides are at most"));
  EXPECT_THAT(set(0, 0x18, at(0, 0x18) + 64), HasSubstr("world_width is"));
  // The norm stands left of Q in the same band: moved into it.
  EXPECT_THAT(set(1, 0x18, at(0, 0x18)), HasSubstr("overlap"));
}

TEST_F(HostileHead, SourceRecord) {
  const uint64_t s = header().source_offset;
  const auto set = [&](uint64_t field, uint64_t v) {
    return open_with([&](uint8_t* p) { store_le<uint64_t>(p + s + field, v); });
  };
  const auto set32 = [&](uint64_t field, uint32_t v) {
    return open_with([&](uint8_t* p) { store_le<uint32_t>(p + s + field, v); });
  };
  EXPECT_THAT(set32(0, 2), HasSubstr("source format 2"));
  EXPECT_THAT(set32(4, 4), HasSubstr("source version 4"));
  EXPECT_THAT(set32(8, 12), HasSubstr("source alignment 12"));
  EXPECT_THAT(set32(8, 0), HasSubstr("source alignment 0"));
  EXPECT_THAT(set32(12, 1), HasSubstr("behind the source record"));
  EXPECT_THAT(set(16, 100), HasSubstr("source residue"));
  EXPECT_THAT(set(24, 90000), HasSubstr("source data begins"));
  EXPECT_THAT(set(32, uint64_t{1} << 62), HasSubstr("source residue 0"));
  EXPECT_THAT(open_with([&](uint8_t* p) { store_le<uint64_t>(entry(p, 1) + 0x58, 0); }),
              HasSubstr("of the source's data"));
}

TEST_F(HostileHead, PlainPicturesAreNoModels) {
  std::vector<uint8_t> payload(kRowBytes * 3, 0x20);
  EXPECT_THAT(open(payload), HasSubstr("not a model"));
}

}  // namespace
}  // namespace pixellm
