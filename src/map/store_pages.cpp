#include "map/store_pages.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <deque>
#include <optional>
#include <vector>

#include "base/bytes.h"

namespace pixellm {
namespace {

constexpr uint64_t kNodeHeader = 8;
constexpr uint16_t kBranch = 0x01, kLeaf = 0x02, kOverflow = 0x04;  // kinds of pages
constexpr uint16_t kBigData = 0x01, kSubTree = 0x02;                // kinds of values in leaves
constexpr uint64_t kLongestKey = 511, kDeepest = 32;

// ---- the walk

// A page to look at: where in which tree, and the keys that must lie in [low, high).
struct Visit {
  size_t tree = 0;
  uint64_t page = 0;
  unsigned depth = 1;
  std::vector<uint8_t> low;
  std::optional<std::vector<uint8_t>> high;
};

struct TreeState {
  PageTree tree;
  std::string name;
  bool is_free_list = false, is_databases = false;
  PageTree seen;  // counted on the way
};

struct Node {
  uint64_t at = 0, end = 0;  // place in the page; even
  uint16_t flags = 0;
  Bytes key;
  uint64_t child = 0;  // branch
  uint64_t size = 0;   // leaf: of the value
  Bytes inline_value;  // leaf: the value, or with kBigData its page's number
};

class PageWalk {
 public:
  PageWalk(int fd, const std::string& path, const MetaPage& meta, uint64_t file_bytes, uint64_t limit)
      : fd_(fd),
        path_(path),
        meta_(meta),
        file_pages_(file_bytes / meta.page_size),
        limit_(limit),
        page_(meta.page_size) {}
  Result<void> run();
  const std::vector<uint8_t>& world_record() const { return world_record_; }

 private:
  std::unexpected<Error> bad(const TreeState& t, uint64_t page, std::string_view what) const;
  Result<void> add_tree(const PageTree& tree, std::string name);
  void put_off(Visit v);
  Result<void> take_page(const TreeState& t, uint64_t page, uint64_t count = 1);
  Result<void> visit(const Visit& v);
  Result<Node> node(const TreeState& t, uint64_t page, uint64_t index, uint64_t upper, bool leaf) const;
  Result<std::vector<Node>> nodes(const TreeState& t, uint64_t page, bool leaf) const;
  Result<void> check_key(const TreeState& t, const Visit& v, Bytes key, Bytes before, bool first) const;
  Result<void> visit_branch(const Visit& v);
  Result<void> visit_leaf(const Visit& v);
  Result<void> check_value(size_t tree, uint64_t page, const Node& n);
  Result<void> check_free_pages(const TreeState& t, uint64_t page, Bytes list);
  Result<void> check_totals() const;

  int fd_;
  const std::string& path_;
  const MetaPage& meta_;
  const uint64_t file_pages_, limit_;
  uint64_t looked_at_ = 0;
  std::vector<uint8_t> page_;
  std::vector<TreeState> trees_;
  // Branches and the list of databases come first: what is damaged there leads LMDB astray the furthest.
  std::deque<Visit> branches_, leaves_;
  std::vector<bool> used_;
  std::vector<uint8_t> world_record_;
};

std::unexpected<Error> PageWalk::bad(const TreeState& t, uint64_t page, std::string_view what) const {
  return fail(ErrorCode::kCorrupt, fmt::format("{}: page {} ({}) is damaged: {}", path_, page, t.name, what));
}

Result<void> PageWalk::add_tree(const PageTree& tree, std::string name) {
  TreeState t;
  t.tree = tree;
  t.name = std::move(name);
  t.is_free_list = trees_.empty();
  t.is_databases = trees_.size() == 1;
  trees_.push_back(std::move(t));
  if (tree.root == PageTree::kNoRoot) {
    if (tree.depth == 0 && tree.entries == 0) return {};
    return bad(trees_.back(), tree.root, "an empty tree with entries");
  }
  if (tree.depth < 1 || tree.depth > kDeepest) return bad(trees_.back(), tree.root, "the depth of its tree");
  put_off({trees_.size() - 1, tree.root, 1, {}, std::nullopt});
  return {};
}

// Leaves beyond the limit would not be looked at.
void PageWalk::put_off(Visit v) {
  const TreeState& t = trees_[v.tree];
  if (v.depth < t.tree.depth || t.is_databases) return branches_.push_back(std::move(v));
  if (leaves_.size() < limit_) return leaves_.push_back(std::move(v));
}

Result<void> PageWalk::take_page(const TreeState& t, uint64_t page, uint64_t count) {
  if (page < 2 || page > meta_.last_page || count > meta_.last_page - page + 1)
    return bad(t, page, fmt::format("pages are numbered 2 to {}", meta_.last_page));
  for (uint64_t i = page; i < page + count; ++i) {
    if (used_[i]) return bad(t, i, "it is used twice");
    used_[i] = true;
  }
  return {};
}

Result<Node> PageWalk::node(const TreeState& t, uint64_t page, uint64_t index, uint64_t upper,
                            bool leaf) const {
  const uint64_t at = load_native<uint16_t>(page_.data() + kPageHeader + 2 * index);
  if (at < upper || at % 2 != 0 || at + kNodeHeader > page_.size())
    return bad(t, page, fmt::format("the place of node {}", index));
  const uint8_t* p = page_.data() + at;
  const uint64_t low = load_native<uint16_t>(p), high = load_native<uint16_t>(p + 2), key_size = load_native<uint16_t>(p + 6);
  Node out;
  out.flags = load_native<uint16_t>(p + 4);
  const uint64_t room = page_.size() - at - kNodeHeader;
  if (key_size > kLongestKey || key_size > room)
    return bad(t, page, fmt::format("the key of node {}", index));
  out.key = {p + kNodeHeader, key_size};
  out.at = at;
  out.end = round_up(at + kNodeHeader + key_size, 2);
  if (!leaf) {
    out.child = low | high << 16 | uint64_t{out.flags} << 32;
    return out;
  }
  out.size = low | high << 16;
  const uint64_t here = out.flags & kBigData ? 8 : out.size;
  if (out.flags & ~(kBigData | kSubTree) || here > room - key_size)
    return bad(t, page, fmt::format("the value of node {}", index));
  out.inline_value = {p + kNodeHeader + key_size, here};
  out.end = round_up(at + kNodeHeader + key_size + here, 2);
  return out;
}

// Nodes fill the page from `upper` to its end, without gaps: LMDB moves them about as if they did.
Result<std::vector<Node>> PageWalk::nodes(const TreeState& t, uint64_t page, bool leaf) const {
  const uint64_t lower = load_native<uint16_t>(page_.data() + 12), upper = load_native<uint16_t>(page_.data() + 14);
  std::vector<Node> out((lower - kPageHeader) / 2);
  std::vector<std::pair<uint64_t, uint64_t>> places;
  for (uint64_t i = 0; i < out.size(); ++i) {
    out[i] = PIXELLM_TRY(node(t, page, i, upper, leaf));
    places.emplace_back(out[i].at, out[i].end);
  }
  std::sort(places.begin(), places.end());
  uint64_t expected = upper;
  for (const auto& [at, end] : places) {
    if (at != expected) return bad(t, page, fmt::format("a node at {}, expected at {}", at, expected));
    expected = end;
  }
  if (expected != page_.size()) return bad(t, page, "its nodes end early");
  return out;
}

bool less(const TreeState& t, Bytes a, Bytes b) {
  if (t.tree.flags & kIntegerKeys) return load_native<uint64_t>(a.data()) < load_native<uint64_t>(b.data());
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
}

Result<void> PageWalk::check_key(const TreeState& t, const Visit& v, Bytes key, Bytes before,
                                 bool first) const {
  if (key.empty() || (t.tree.flags & kIntegerKeys && key.size() != 8))
    return bad(t, v.page, "the length of a key");
  if ((!first && !less(t, before, key)) || (!v.low.empty() && less(t, key, v.low)) ||
      (v.high && !less(t, key, *v.high)))
    return bad(t, v.page, "the order of its keys");
  return {};
}

Result<void> PageWalk::visit_branch(const Visit& v) {
  const TreeState& t = trees_[v.tree];
  std::vector<Visit> children;
  for (const Node& n : PIXELLM_TRY(nodes(t, v.page, false))) {
    Visit child{v.tree, n.child, v.depth + 1, v.low, v.high};
    if (!children.empty()) {  // the first child takes all below the second's key
      PIXELLM_CHECK(check_key(t, v, n.key, children.back().low, children.size() == 1));
      child.low.assign(n.key.begin(), n.key.end());
      children.back().high = child.low;
    }
    children.push_back(std::move(child));
  }
  for (Visit& child : children) put_off(std::move(child));
  return {};
}

Result<void> PageWalk::visit_leaf(const Visit& v) {
  Bytes before;
  const auto all = PIXELLM_TRY(nodes(trees_[v.tree], v.page, true));
  for (const Node& n : all) {
    PIXELLM_CHECK(check_key(trees_[v.tree], v, n.key, before, before.empty()));
    before = n.key;
    PIXELLM_CHECK(check_value(v.tree, v.page, n));
  }
  trees_[v.tree].seen.entries += all.size();
  return {};
}

Result<void> PageWalk::check_value(size_t tree, uint64_t page, const Node& n) {
  const TreeState& t = trees_[tree];
  if ((n.flags & kSubTree) != (t.is_databases ? kSubTree : 0)) return bad(t, page, "the kind of a value");
  if (t.is_databases) {
    if (n.flags & kBigData || n.size != kTreeBytes) return bad(t, page, "the record of a database");
    const std::string name(n.key.begin(), n.key.end());
    return add_tree(PageTree::decode(n.inline_value.data()), fmt::format("database '{}'", name));
  }
  std::vector<uint8_t> list;
  if (n.flags & kBigData) {
    const uint64_t first = load_native<uint64_t>(n.inline_value.data());
    if (first < 2 || first >= file_pages_) return bad(t, page, fmt::format("a value in page {}", first));
    std::array<uint8_t, kPageHeader> head;
    PIXELLM_CHECK(read_exactly(fd_, path_, first * meta_.page_size, head));
    ++looked_at_;
    const uint64_t pages = load_native<uint32_t>(head.data() + 12);
    if (load_native<uint64_t>(head.data()) != first || load_native<uint16_t>(head.data() + 10) != kOverflow ||
        pages < ceil_div(kPageHeader + n.size, meta_.page_size) || pages > file_pages_ - first)
      return bad(t, first, "the head of a large value");
    PIXELLM_CHECK(take_page(t, first, pages));
    trees_[tree].seen.overflow_pages += pages;
    if (!t.is_free_list) return {};
    list.resize(n.size);
    PIXELLM_CHECK(read_exactly(fd_, path_, first * meta_.page_size + kPageHeader, list));
  } else {
    list.assign(n.inline_value.begin(), n.inline_value.end());
    if (t.name == "database 'world'") world_record_ = list;
  }
  return t.is_free_list ? check_free_pages(t, page, list) : Result<void>{};
}

// A count, then so many page numbers, falling.
Result<void> PageWalk::check_free_pages(const TreeState& t, uint64_t page, Bytes list) {
  if (list.size() < 8 || load_native<uint64_t>(list.data()) > list.size() / 8 - 1)
    return bad(t, page, "the length of a list of free pages");
  uint64_t before = meta_.last_page + 1;
  for (uint64_t i = 1; i <= load_native<uint64_t>(list.data()); ++i) {
    const uint64_t free = load_native<uint64_t>(list.data() + 8 * i);
    if (free >= before) return bad(t, page, "the order of a list of free pages");
    PIXELLM_CHECK(take_page(t, free));
    before = free;
  }
  return {};
}

Result<void> PageWalk::visit(const Visit& v) {
  const TreeState& t = trees_[v.tree];
  PIXELLM_CHECK(take_page(t, v.page));
  PIXELLM_CHECK(read_exactly(fd_, path_, v.page * meta_.page_size, page_));
  ++looked_at_;
  const bool leaf = v.depth == t.tree.depth;
  const uint64_t lower = load_native<uint16_t>(page_.data() + 12), upper = load_native<uint16_t>(page_.data() + 14);
  if (load_native<uint64_t>(page_.data()) != v.page || load_native<uint16_t>(page_.data() + 10) != (leaf ? kLeaf : kBranch))
    return bad(t, v.page, "its number or kind");
  if (lower < kPageHeader || lower % 2 != 0 || lower > upper || upper > page_.size())
    return bad(t, v.page, "its bounds");
  const uint64_t count = (lower - kPageHeader) / 2;
  if (count < (leaf || t.is_free_list ? 1 : 2))
    return bad(t, v.page, fmt::format("it has {} entries", count));
  ++(leaf ? trees_[v.tree].seen.leaf_pages : trees_[v.tree].seen.branch_pages);
  return leaf ? visit_leaf(v) : visit_branch(v);
}

Result<void> PageWalk::check_totals() const {
  for (const TreeState& t : trees_)
    if (t.seen.branch_pages != t.tree.branch_pages || t.seen.leaf_pages != t.tree.leaf_pages ||
        t.seen.overflow_pages != t.tree.overflow_pages || t.seen.entries != t.tree.entries)
      return bad(t, t.tree.root,
                 fmt::format("its tree has {} entries in {} pages, its record says {} in {}", t.seen.entries,
                             t.seen.branch_pages + t.seen.leaf_pages + t.seen.overflow_pages, t.tree.entries,
                             t.tree.branch_pages + t.tree.leaf_pages + t.tree.overflow_pages));
  return {};
}

Result<void> PageWalk::run() {
  used_.resize(meta_.last_page + 1);
  PIXELLM_CHECK(add_tree(meta_.free_list, "list of free pages"));
  PIXELLM_CHECK(add_tree(meta_.databases, "list of databases"));
  while (!branches_.empty() || !leaves_.empty()) {
    if (looked_at_ >= limit_) return {};
    auto& queue = branches_.empty() ? leaves_ : branches_;
    const Visit v = std::move(queue.front());
    queue.pop_front();
    PIXELLM_CHECK(visit(v));
  }
  return check_totals();
}

}  // namespace

Result<void> check_pages(int fd, const std::string& path, const MetaPage& meta, uint64_t limit,
                         std::vector<uint8_t>* world_record) {
  const uint64_t file_bytes = PIXELLM_TRY(size_of(fd, path));
  if (meta.last_page >= file_bytes / meta.page_size)
    limit = ~uint64_t{0};  // a part may be missing: which one?
  PageWalk walk(fd, path, meta, file_bytes, limit);
  PIXELLM_CHECK(walk.run());
  if (world_record) *world_record = walk.world_record();
  return {};
}

}  // namespace pixellm
