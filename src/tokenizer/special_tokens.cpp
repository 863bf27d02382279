#include "tokenizer/special_tokens.h"

#include <algorithm>
#include <queue>

namespace pixellm {
namespace {

constexpr uint8_t kSpecialFlags = token_flag::kControl | token_flag::kUserDefined | token_flag::kUnknown;
constexpr uint8_t kCallerAllows = token_flag::kControl | token_flag::kUnknown;

bool is_c_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

bool overlaps(std::span<const TextRange> ranges, size_t begin, size_t end) {
  const auto after = std::upper_bound(ranges.begin(), ranges.end(), begin,
                                      [](size_t at, const TextRange& range) { return at < range.end; });
  return after != ranges.end() && after->begin < end;
}

// The longest token at a position that is still to be tried; the queue's top comes first.
struct Candidate {
  int32_t rank;
  size_t at;
  bool operator<(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : at > other.at;
  }
};

}  // namespace

SpecialTokens::SpecialTokens(const Vocabulary& vocabulary) {
  roots_.fill(-1);
  std::vector<TokenId> ids;
  for (uint32_t i = 0; i < vocabulary.size(); ++i) {
    if (vocabulary.has(static_cast<TokenId>(i), kSpecialFlags)) ids.push_back(static_cast<TokenId>(i));
  }
  // Not a stable sort: tokens of one length that overlap in a text then come in the reference's order.
  std::sort(ids.begin(), ids.end(),
            [&](TokenId a, TokenId b) { return vocabulary.text(a).size() > vocabulary.text(b).size(); });
  for (const TokenId id : ids) {
    const bool always = !vocabulary.has(id, kCallerAllows);
    any_always_ |= always;
    by_rank_.push_back({id, static_cast<uint32_t>(vocabulary.text(id).size()), always,
                        vocabulary.has(id, token_flag::kStripRight)});
    insert(vocabulary.text(id), static_cast<int32_t>(by_rank_.size() - 1));
  }
}

void SpecialTokens::insert(std::string_view text, int32_t rank) {
  int32_t node = -1;
  for (const char c : text) {
    const uint8_t byte = static_cast<uint8_t>(c);
    int32_t next = child(node, byte);
    if (next < 0) {
      next = static_cast<int32_t>(nodes_.size());
      int32_t& head = node < 0 ? roots_[byte] : nodes_[static_cast<size_t>(node)].child;
      const int32_t sibling = node < 0 ? -1 : head;
      head = next;
      nodes_.push_back({-1, sibling, -1, byte});
    }
    node = next;
  }
  nodes_[static_cast<size_t>(node)].rank = rank;
}

int32_t SpecialTokens::child(int32_t node, uint8_t byte) const {
  if (node < 0) return roots_[byte];
  int32_t at = nodes_[static_cast<size_t>(node)].child;
  while (at >= 0 && nodes_[static_cast<size_t>(at)].byte != byte)
    at = nodes_[static_cast<size_t>(at)].sibling;
  return at;
}

// One search: candidates leave the queue in the order in which the tokens are to be looked for.
struct SpecialTokens::Finder {
  const SpecialTokens& tokens;
  std::string_view text;
  std::span<const TextRange> guarded;
  std::vector<bool> taken;

  // Rank of the longest token at `at` that is shorter than `below` bytes and allowed there; -1 when none is.
  int32_t longest(size_t at, size_t below) const {
    int32_t best = -1, node = -1;
    for (size_t i = at; i < text.size() && i - at + 1 < below; ++i) {
      node = tokens.child(node, static_cast<uint8_t>(text[i]));
      if (node < 0) break;
      const int32_t rank = tokens.nodes_[static_cast<size_t>(node)].rank;
      if (rank < 0) continue;
      if (tokens.by_rank_[static_cast<size_t>(rank)].always || !overlaps(guarded, at, i + 1)) best = rank;
    }
    return best;
  }

  // Marks the token's text, and the white space that it swallows, as used; where ordinary text goes on.
  size_t take(const Entry& token, size_t at) {
    size_t end = at + token.length;
    std::fill(taken.begin() + static_cast<ptrdiff_t>(at), taken.begin() + static_cast<ptrdiff_t>(end), true);
    while (token.strips_right && end < text.size() && !taken[end] && is_c_space(text[end]))
      taken[end++] = true;
    return end;
  }

  std::vector<SpecialMatch> run() {
    std::vector<Candidate> first;
    for (size_t at = 0; at < text.size(); ++at) {
      if (tokens.roots_[static_cast<uint8_t>(text[at])] < 0) continue;
      if (const int32_t rank = longest(at, text.size() + 2); rank >= 0) first.push_back({rank, at});
    }
    std::vector<SpecialMatch> matches;
    if (first.empty()) return matches;
    taken.assign(text.size(), false);
    std::priority_queue<Candidate> queue(std::less<Candidate>(), std::move(first));
    while (!queue.empty()) {
      const Candidate candidate = queue.top();
      queue.pop();
      if (taken[candidate.at]) continue;
      const Entry& token = tokens.by_rank_[static_cast<size_t>(candidate.rank)];
      // What was taken before is at least as long: it covers an end of this match or none of it.
      if (!taken[candidate.at + token.length - 1]) {
        const size_t next_begin = take(token, candidate.at);
        matches.push_back({token.id, candidate.at, candidate.at + token.length, next_begin});
      } else if (const int32_t shorter = longest(candidate.at, token.length); shorter >= 0) {
        queue.push({shorter, candidate.at});
      }
    }
    std::sort(matches.begin(), matches.end(),
              [](const SpecialMatch& a, const SpecialMatch& b) { return a.begin < b.begin; });
    return matches;
  }
};

std::vector<SpecialMatch> SpecialTokens::find(std::string_view text,
                                              std::span<const TextRange> guarded) const {
  if (by_rank_.empty() || text.empty()) return {};
  const bool all_guarded = guarded.size() == 1 && guarded[0].begin == 0 && guarded[0].end == text.size();
  if (all_guarded && !any_always_) return {};
  return Finder{*this, text, guarded, {}}.run();
}

}  // namespace pixellm
