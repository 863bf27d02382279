#include "model/model_writer.h"

#include <fmt/format.h>

#include <algorithm>

#include "model/format.h"
#include "model/head.h"
#include "model/text.h"
#include "pixel/flat_png.h"

namespace pixellm {
namespace {

constexpr uint64_t kLinearPiece = uint64_t{1} << 16;

using ReadBytes = std::function<Result<void>(uint64_t, MutableBytes)>;

}  // namespace

struct ModelWriter::Impl {
  ModelPlan plan;
  FlatPngWriter png;
  std::vector<uint8_t> head;  // as written first
  std::vector<uint8_t> row;   // the row being filled
  uint64_t position = 0;      // payload bytes put so far
  size_t n_written = 0;       // tensors, in plan.order
  bool failed = false;
  Sha256 weights;

  Impl(ModelPlan p, FlatPngWriter w) : plan(std::move(p)), png(std::move(w)), row(plan.row_bytes) {}

  uint64_t column() const { return position % plan.row_bytes; }

  Result<void> flush_row() {
    weights.update(row);
    return png.write_row(row);
  }

  // Appends to the payload; full rows go to the file.
  Result<void> put(Bytes bytes) {
    while (!bytes.empty()) {
      const uint64_t n = std::min<uint64_t>(bytes.size(), plan.row_bytes - column());
      std::copy_n(bytes.begin(), n, row.begin() + static_cast<ptrdiff_t>(column()));
      bytes = bytes.subspan(n);
      position += n;
      if (column() == 0) PIXELLM_CHECK(flush_row());
    }
    return {};
  }

  Result<void> put_zeros(uint64_t n) {
    static constexpr std::array<uint8_t, 4096> kZeros{};
    for (; n != 0; n -= std::min<uint64_t>(n, kZeros.size()))
      PIXELLM_CHECK(put(Bytes(kZeros).first(std::min<uint64_t>(n, kZeros.size()))));
    return {};
  }

  Result<void> write_head() {
    head = encode_head(plan);
    for (uint64_t at = 0; at < head.size(); at += plan.row_bytes)
      PIXELLM_CHECK(png.write_row(Bytes(head).subspan(at, plan.row_bytes)));
    position = head.size();
    return {};
  }

  Result<void> write_linear(const TensorInfo& t, const ReadBytes& read, Sha256& sha) {
    std::vector<uint8_t> piece(std::min(t.stored_bytes, kLinearPiece));
    for (uint64_t at = 0; at < t.stored_bytes; at += piece.size()) {
      piece.resize(std::min(t.stored_bytes - at, kLinearPiece));
      PIXELLM_CHECK(read(at, piece));
      sha.update(piece);
      PIXELLM_CHECK(put(piece));
    }
    return {};
  }

  Result<void> write_cells(const TensorInfo& t, const ReadBytes& read, Sha256& sha) {
    const uint64_t row_bytes = gguf_row_bytes(t.type, t.k()), cell_bytes = traits(t.type).cell_bytes;
    std::vector<uint8_t> rows(row_bytes * std::min<uint64_t>(kCellRows, t.n_rows()));
    std::vector<uint8_t> cells(ceil_div(t.k(), traits(t.type).cell_columns) * cell_bytes);
    for (uint64_t first = 0; first < t.n_rows(); first += kCellRows) {
      const auto n = static_cast<uint32_t>(std::min<uint64_t>(kCellRows, t.n_rows() - first));
      const MutableBytes group = MutableBytes(rows).first(n * row_bytes);
      PIXELLM_CHECK(read(first * row_bytes, group));
      sha.update(group);
      pack_group(t.type, t.k(), rows.data(), row_bytes, n, cells.data());
      for (uint64_t at = 0; at < cells.size(); at += cell_bytes) {
        if (plan.row_bytes - column() < cell_bytes) PIXELLM_CHECK(put_zeros(plan.row_bytes - column()));
        PIXELLM_CHECK(put(Bytes(cells).subspan(at, cell_bytes)));
      }
    }
    return {};
  }

  Result<void> write_tensor(size_t index, const ReadBytes& read) {
    if (failed) return fail(ErrorCode::kInvalidArgument, "pxim: an earlier write failed");
    if (n_written == plan.order.size() || plan.order[n_written] != index)
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("pxim: tensor {} is not the next one in the plan's order", index));
    TensorInfo& t = plan.tensors[index];
    PIXELLM_CHECK(put_zeros(t.offset - position));
    Sha256 sha;
    PIXELLM_CHECK(t.layout == Layout::kLinear ? write_linear(t, read, sha) : write_cells(t, read, sha));
    PIXELLM_ASSERT(position == tensor_extent(t, plan.row_bytes).end);
    t.sha256 = sha.finish();
    n_written++;
    return {};
  }

  // The head again, now with every hash; only rows that differ are written.
  Result<void> rewrite_head() {
    plan.header.weights_sha256 = weights.finish();
    std::vector<uint8_t> final_head = encode_head(plan);
    plan.header.head_sha256 = head_digest(final_head);
    std::ranges::copy(plan.header.head_sha256, final_head.begin() + kHeadDigestOffset);
    for (uint64_t at = 0; at < head.size(); at += plan.row_bytes) {
      const Bytes now = Bytes(final_head).subspan(at, plan.row_bytes);
      if (!std::ranges::equal(now, Bytes(head).subspan(at, plan.row_bytes)))
        PIXELLM_CHECK(png.rewrite_row(at / plan.row_bytes, now));
    }
    return {};
  }
};

ModelWriter::ModelWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ModelWriter::ModelWriter(ModelWriter&&) noexcept = default;
ModelWriter::~ModelWriter() = default;

const std::vector<size_t>& ModelWriter::order() const { return impl_->plan.order; }

Result<ModelWriter> ModelWriter::create(const std::string& path, ModelPlan plan) {
  auto png = PIXELLM_TRY(FlatPngWriter::create(path, plan.row_bytes, plan.rows));
  png.expect_rewrites();
  auto impl = std::make_unique<Impl>(std::move(plan), std::move(png));
  PIXELLM_CHECK(impl->write_head());
  return ModelWriter(std::move(impl));
}

Result<void> ModelWriter::write_tensor(size_t index, const ReadBytes& read) {
  auto written = impl_->write_tensor(index, read);
  if (!written) impl_->failed = true;
  return written;
}

Result<void> ModelWriter::finish() {
  Impl& w = *impl_;
  if (w.failed || w.n_written != w.plan.order.size())
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("pxim: {} of {} tensors are written", w.n_written, w.plan.order.size()));
  if (w.column() != 0) PIXELLM_CHECK(w.put_zeros(w.plan.row_bytes - w.column()));
  PIXELLM_CHECK(w.rewrite_head());
  PIXELLM_CHECK(w.png.finish());
  return {};
}

}  // namespace pixellm
