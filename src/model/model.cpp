#include "model/model.h"

#include <fmt/format.h>

#include <algorithm>

#include "model/format.h"
#include "model/text.h"

namespace pixellm {
namespace {

// The gaps between the parts of the head and behind it.
Result<void> check_gaps(Bytes head, const ModelHeader& h, const HeadSections& s) {
  const std::pair<uint64_t, uint64_t> gaps[] = {
      {s.directory + h.tensor_count * kDirectoryEntryBytes, s.strings},
      {s.strings + h.strings_bytes, s.metadata},
      {s.metadata + h.metadata_bytes, s.source},
      {s.end, head.size()}};
  for (const auto& [begin, end] : gaps)
    if (std::ranges::any_of(head.subspan(begin, end - begin), [](uint8_t b) { return b != 0; }))
      return fail(
          ErrorCode::kCorrupt,
          fmt::format("pxim: bytes {} to {} between the parts of the head are not zero", begin, end - 1));
  return {};
}

Result<void> check_repeated_fields(const ModelHeader& header, const Metadata& metadata) {
  ModelHeader expected = header;
  fill_from_metadata(expected, metadata);
  const std::tuple<std::string_view, uint32_t, uint32_t> fields[] = {
      {"architecture", header.architecture, expected.architecture},
      {"vocab_size", header.vocab_size, expected.vocab_size},
      {"num_layers", header.n_layers, expected.n_layers},
      {"embed_dim", header.embedding_length, expected.embedding_length},
      {"num_heads", header.n_heads, expected.n_heads},
      {"hidden_dim", header.feed_forward_length, expected.feed_forward_length},
      {"context_length", header.context_length, expected.context_length}};
  for (const auto& [name, found, needed] : fields)
    if (found != needed)
      return fail(ErrorCode::kCorrupt,
                  fmt::format("pxim: {} is {}, the metadata says {}", name, found, needed));
  return {};
}

Result<void> check_is_vector(const TensorInfo& t) {
  if (t.n_rows() == 1) return {};
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("pxim: tensor {} has {} rows where a vector is needed", quoted(t.name), t.n_rows()));
}

std::string join_lines(const std::vector<std::string>& lines) {
  constexpr size_t kShown = 5;
  std::string out;
  for (size_t i = 0; i < std::min(lines.size(), kShown); i++) out += (i ? "; " : "") + lines[i];
  if (lines.size() > kShown) out += fmt::format("; and {} more", lines.size() - kShown);
  return out;
}

}  // namespace

// ---- opening

Result<void> Model::load() {
  std::array<uint8_t, ModelHeader::kEncodedLength> first{};
  if (plane_.payload_bytes() < first.size())
    return fail(ErrorCode::kUnsupported,
                fmt::format("pxim: the picture holds {} bytes, too few for a model's header",
                            plane_.payload_bytes()));
  PIXELLM_CHECK(plane_.read(0, first));
  if (std::equal(first.begin(), first.begin() + 5, "PXIM\x01")) {
    Version1 v1 = PIXELLM_TRY(read_version1(plane_));
    header_ = v1.header;
    tensors_ = std::move(v1.tensors);
    by_name_ = PIXELLM_TRY(index_names(tensors_));
    return {};
  }
  header_ = PIXELLM_TRY(ModelHeader::decode(first));
  const ModelHeader& h = header_;
  PIXELLM_CHECK(validate_head(h, plane_));

  std::vector<uint8_t> head(h.first_weight_row * plane_.row_bytes());
  PIXELLM_CHECK(plane_.read(0, head));
  const Bytes all = head;
  const HeadSections s(h.tensor_count, h.strings_bytes, h.metadata_bytes, h.source_bytes);
  PIXELLM_CHECK(check_gaps(all, h, s));
  tensors_ = PIXELLM_TRY(decode_directory(all.subspan(s.directory, h.tensor_count * kDirectoryEntryBytes),
                                          all.subspan(s.strings, h.strings_bytes)));
  source_ = PIXELLM_TRY(decode_source(all.subspan(s.source, h.source_bytes)));
  PIXELLM_CHECK(validate_tensors(h, tensors_, plane_.row_bytes(), by_name_));
  PIXELLM_CHECK(validate_source(source_, tensors_, plane_.payload_bytes()));
  // What is left of `head` becomes the metadata's bytes: vocabularies are large, and new memory is slow.
  head.resize(s.metadata + h.metadata_bytes);
  head.erase(head.begin(), head.begin() + static_cast<ptrdiff_t>(s.metadata));
  metadata_ = PIXELLM_TRY(Metadata::parse(std::move(head), h.metadata_count));
  return check_repeated_fields(h, metadata_);
}

Result<Model> Model::from_plane(PixelPlane plane) {
  Model model(std::move(plane));
  if (auto loaded = model.load(); !loaded) return fail_in(model.plane_.path(), std::move(loaded).error());
  return model;
}

Result<Model> Model::open(const std::string& path, VerifyLevel verify, ThreadPool& pool, bool release_pages) {
  Model model(PIXELLM_TRY(PixelPlane::open(path)));
  auto loaded = model.load();
  if (!loaded) {
    // Damage explains a contradiction in the head better than the contradiction itself.
    Error error = std::move(loaded).error();
    const PlaneDamage damage = PIXELLM_TRY(model.plane_.verify(verify, pool, release_pages));
    model.tensors_.clear();
    if (!damage.empty()) {
      error.code = ErrorCode::kCorrupt;
      error.message = fmt::format("damaged: {}; so {}", join_lines(model.describe(damage)), error.message);
    }
    return fail_in(path, std::move(error));
  }
  if (verify == VerifyLevel::kNone) return model;
  const std::vector<std::string> damage = PIXELLM_TRY(model.verify(verify, pool, release_pages));
  if (!damage.empty())
    return fail(ErrorCode::kCorrupt, fmt::format("{}: damaged: {}", path, join_lines(damage)));
  return model;
}

// ---- reading

const TensorInfo* Model::find(std::string_view name) const {
  const auto name_of = [this](uint32_t i) -> std::string_view { return tensors_[i].name; };
  const auto it = std::ranges::lower_bound(by_name_, name, {}, name_of);
  return it != by_name_.end() && name_of(*it) == name ? &tensors_[*it] : nullptr;
}

CellMatrixView Model::matrix(const TensorInfo& t) const {
  PIXELLM_ASSERT(t.layout == Layout::kCells);
  const TensorExtent extent = tensor_extent(t, plane_.row_bytes());
  const uint64_t row = t.offset / plane_.row_bytes(), column = t.offset % plane_.row_bytes();
  const uint8_t* row_start = plane_.base() + row * plane_.row_stride();
  return {.type = t.type,
          .n_rows = t.n_rows(),
          .k = t.k(),
          .first = row_start + column,
          .first_cells = extent.first_cells,
          .next_row = row_start + plane_.row_stride(),
          .cells_per_row = extent.cells_per_row,
          .row_stride = plane_.row_stride()};
}

Result<std::vector<float>> Model::read_floats(const TensorInfo& t) const {
  PIXELLM_CHECK(check_is_vector(t));
  if (t.layout == Layout::kCells) {
    std::vector<float> out(t.k());
    dequantize_row(matrix(t), 0, out.data());
    return out;
  }
  std::vector<uint8_t> blocks(t.source_bytes());
  PIXELLM_CHECK(plane_.read(t.offset, blocks));
  return decode_floats(t, blocks);
}

Result<std::vector<float>> Model::decode_floats(const TensorInfo& t, Bytes stored) const {
  PIXELLM_CHECK(check_is_vector(t));
  if (t.layout != Layout::kLinear || stored.size() != t.source_bytes())
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("pxim: {} bytes are given for tensor {}, which is stored {} in {}", stored.size(),
                            quoted(t.name), t.layout == Layout::kLinear ? "linearly" : "as cells", t.stored_bytes));
  std::vector<float> out(t.k());
  dequantize_blocks(t.type, t.k(), stored.data(), out.data());
  return out;
}

std::pair<uint64_t, uint64_t> Model::picture_rows(const TensorInfo& t) const {
  const uint64_t row_bytes = plane_.row_bytes();
  return {t.offset / row_bytes, (tensor_extent(t, row_bytes).end - 1) / row_bytes};
}

// The linear tensor's bytes from `position` to the end of that row of the picture.
Bytes Model::linear_run(const TensorInfo& t, uint64_t position) const {
  const uint64_t at = t.offset + position, column = at % plane_.row_bytes();
  const uint64_t n = std::min(t.stored_bytes - position, plane_.row_bytes() - column);
  return plane_.row(at / plane_.row_bytes()).subspan(column, n);
}

Result<void> Model::read_cells(const TensorInfo& t, const std::function<Result<void>(Bytes)>& sink,
                               bool release_pages) const {
  const CellMatrixView view = matrix(t);
  const uint64_t row_bytes = gguf_row_bytes(t.type, t.k()), along_k = view.cells_along_k();
  std::vector<uint8_t> rows(row_bytes * std::min<uint64_t>(kCellRows, t.n_rows()));
  uint64_t released = picture_rows(t).first;
  for (uint64_t group = 0; group < view.n_groups(); group++) {
    const auto n = static_cast<uint32_t>(std::min<uint64_t>(kCellRows, t.n_rows() - group * kCellRows));
    for (uint64_t c = 0; c < along_k; c++)
      unpack_cell(t.type, t.k(), c, view.cell(group * along_k + c), n, rows.data(), row_bytes);
    PIXELLM_CHECK(sink(Bytes(rows).first(n * row_bytes)));
    if (!release_pages) continue;
    const auto done =
        static_cast<uint64_t>(view.cell((group + 1) * along_k - 1) - plane_.base()) / plane_.row_stride();
    if (done >= released + 64) {
      plane_.release_rows(released, done - released);
      released = done;
    }
  }
  if (release_pages) plane_.release_rows(released, picture_rows(t).second + 1 - released);
  return {};
}

Result<void> Model::read_source_bytes(const TensorInfo& t, const std::function<Result<void>(Bytes)>& sink,
                                      bool release_pages) const {
  if (t.layout == Layout::kCells) return read_cells(t, sink, release_pages);
  for (uint64_t position = 0; position < t.stored_bytes;) {
    const Bytes run = linear_run(t, position);
    PIXELLM_CHECK(sink(run));
    position += run.size();
  }
  if (release_pages)
    plane_.release_rows(picture_rows(t).first, picture_rows(t).second + 1 - picture_rows(t).first);
  return {};
}

}  // namespace pixellm
