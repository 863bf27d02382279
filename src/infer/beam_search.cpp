#include "infer/beam_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <ranges>

#include "infer/answer_text.h"

namespace pixellm {
namespace {

template <class T>
bool has(const std::vector<T>& all, const T& one) {
  return std::ranges::find(all, one) != all.end();
}

struct Beam {
  Session* session = nullptr;  // holds prompt and ids when the beam lives
  Sampler sampler;
  AnswerText answer;
  std::vector<TokenId> ids;
  std::string text;
  double log_probability = 0;
  size_t n_scored = 0;  // ids and, when it was drawn, the end token
  std::string stop_reason;

  double mean() const { return n_scored == 0 ? 0 : log_probability / static_cast<double>(n_scored); }
};

struct Candidate {
  double log_probability;
  size_t parent;
  TokenId id;

  bool operator<(const Candidate& other) const {  // better first
    if (log_probability != other.log_probability) return log_probability > other.log_probability;
    return parent != other.parent ? parent < other.parent : id < other.id;
  }
};

class Search {
 public:
  Search(Session& session, const Tokenizer& tokenizer, const GenerateOptions& options, uint32_t room)
      : tokenizer_(tokenizer), options_(options), limit_(std::min(options.max_tokens, room)) {
    sessions_.push_back(&session);
    // Enough candidates of one parent that `beams` of them live even if every end token is among them.
    size_t ends = 0;
    for (TokenId id = 0; tokenizer.is_valid(id); id++) ends += is_end(id);
    candidates_per_beam_ = options.beams + ends;
  }

  Result<Generation> run(const Sampler& sampler) {
    live_.push_back(Beam{sessions_[0], sampler, AnswerText(tokenizer_, options_.stop), {}, {}, 0, 0, {}});
    std::string reason;
    while (true) {
      if (options_.interrupted && options_.interrupted->load(std::memory_order_relaxed))
        reason = "interrupted";
      else if (live_[0].ids.size() == limit_)
        reason = limit_ == options_.max_tokens ? "length" : "context";
      if (!reason.empty()) break;
      PIXELLM_CHECK(step());
      if (live_.empty() || is_decided()) return best(finished_);
      if (live_[0].ids.size() < limit_) PIXELLM_CHECK(feed_children());
    }
    for (Beam& beam : live_) {
      beam.stop_reason = reason;
      finished_.push_back(std::move(beam));
    }
    auto g = best(finished_);
    if (reason == "interrupted") g.stop_reason = reason;
    return g;
  }

 private:
  bool is_end(TokenId id) const {
    return tokenizer_.is_end_of_generation(id) || has(options_.end_tokens, id);
  }

  // The best candidates of one beam; tokens that are forbidden are none.
  void collect(size_t parent, std::vector<Candidate>& out) {
    Beam& beam = live_[parent];
    const auto scores = beam.sampler.adjust(beam.session->logits());
    const double log_sum = log_sum_exp(scores);
    keys_.resize(scores.size());
    for (size_t i = 0; i < scores.size(); i++) keys_[i] = rank_key(scores[i], static_cast<TokenId>(i));
    const size_t n = std::min(candidates_per_beam_, keys_.size());
    std::partial_sort(keys_.begin(), keys_.begin() + static_cast<ptrdiff_t>(n), keys_.end());
    for (size_t i = 0; i < n; i++) {
      const TokenId id = rank_key_id(keys_[i]);
      const double log_probability = static_cast<double>(scores[static_cast<size_t>(id)]) - log_sum;
      if (std::isfinite(log_probability)) out.push_back({beam.log_probability + log_probability, parent, id});
    }
  }

  // Replaces the live beams by their best continuations, not fed yet; moves ended ones to finished_.
  Result<void> step() {
    std::vector<Candidate> candidates;
    for (size_t i = 0; i < live_.size(); i++) collect(i, candidates);
    if (candidates.empty())
      return fail(ErrorCode::kInvalidArgument,
                  "generate: no token is possible: every one has a bias of -inf");
    std::sort(candidates.begin(), candidates.end());
    std::vector<Beam> children;
    for (size_t rank = 0; rank < candidates.size() && children.size() < options_.beams; rank++) {
      Beam child = extend(live_[candidates[rank].parent], candidates[rank]);
      if (child.stop_reason.empty())
        children.push_back(std::move(child));
      else if (rank < options_.beams)
        finished_.push_back(std::move(child));
    }
    live_ = std::move(children);
    return {};
  }

  Beam extend(const Beam& parent, const Candidate& candidate) const {
    Beam child = parent;
    child.log_probability = candidate.log_probability;
    child.n_scored++;
    if (is_end(candidate.id)) {
      child.stop_reason = "eos";
      return child;
    }
    child.ids.push_back(candidate.id);
    child.sampler.accept(candidate.id);
    child.text += child.answer.push(candidate.id);
    if (child.answer.stopped()) child.stop_reason = "stop";
    return child;
  }

  bool is_decided() const {
    if (finished_.size() < options_.beams) return false;
    const auto mean = [](const Beam& beam) { return beam.mean(); };
    return std::ranges::max(finished_ | std::views::transform(mean)) >=
           std::ranges::max(live_ | std::views::transform(mean));
  }

  // A parent's first child takes its session over; the others copy it into sessions that no live beam uses.
  Result<void> feed_children() {
    std::vector<Session*> owners;
    std::vector<Beam*> copies;
    for (Beam& beam : live_) {
      if (has(owners, beam.session))
        copies.push_back(&beam);
      else
        owners.push_back(beam.session);
    }
    for (Beam* beam : copies) {
      Session* free_session = PIXELLM_TRY(find_session(owners));
      free_session->copy_from(*beam->session);
      beam->session = free_session;
      owners.push_back(free_session);
    }
    for (Beam& beam : live_) PIXELLM_CHECK(beam.session->feed({&beam.ids.back(), 1}));
    return {};
  }

  Result<Session*> find_session(const std::vector<Session*>& used) {
    for (Session* session : sessions_)
      if (!has(used, session)) return session;
    owned_.push_back(PIXELLM_TRY(options_.new_session()));
    sessions_.push_back(owned_.back().get());
    return sessions_.back();
  }

  static Generation best(std::vector<Beam>& beams) {
    Beam& winner = *std::ranges::max_element(beams, {}, [](const Beam& beam) { return beam.mean(); });
    Generation g;
    g.text = std::move(winner.text) + winner.answer.flush();
    g.ids = std::move(winner.ids);
    g.stop_reason = winner.answer.stopped() ? "stop" : winner.stop_reason;
    g.log_probability = winner.log_probability;
    return g;
  }

  const Tokenizer& tokenizer_;
  const GenerateOptions& options_;
  const size_t limit_;
  size_t candidates_per_beam_ = 0;
  std::vector<Session*> sessions_;
  std::vector<std::unique_ptr<Session>> owned_;
  std::vector<Beam> live_, finished_;
  std::vector<uint64_t> keys_;
};

}  // namespace

Result<Generation> beam_search(Session& session, const Tokenizer& tokenizer, const GenerateOptions& options,
                               const Sampler& sampler, uint32_t room) {
  if (!options.new_session) return fail(ErrorCode::kInternal, "generate: beam search without new_session");
  return Search(session, tokenizer, options, room).run(sampler);
}

}  // namespace pixellm
