#include "cli/speculation.h"

#include <fmt/format.h>

#include <algorithm>

#include "infer/model_drafter.h"

namespace pixellm::cli {

Result<Speculation> Speculation::open(const GenerateFlags& flags, const ModelFlags& common,
                                      const Runtime& runtime, uint32_t context) {
  Speculation s;
  if (flags.longest_draft > 0)
    s.speculator = std::make_unique<Speculator>(Speculator::ngram({.longest = flags.longest_draft}));
  if (!flags.draft) return s;
  s.draft_model =
      std::make_unique<Model>(PIXELLM_TRY(open_model(*flags.draft, common.level(), *runtime.pool)));
  const auto vocabulary = PIXELLM_TRY(read_tokenizer_spec(runtime.model->metadata()));
  const auto draft_vocabulary = read_tokenizer_spec(s.draft_model->metadata());
  if (!draft_vocabulary) return fail_in(*flags.draft, draft_vocabulary.error());
  auto same = check_same_vocabulary(vocabulary, *draft_vocabulary);
  if (!same) return fail_in(*flags.draft, std::move(same).error());
  auto engine = Engine::create(*s.draft_model);
  if (!engine) return fail_in(*flags.draft, std::move(engine).error());
  s.draft_engine = std::make_unique<Engine>(std::move(*engine));
  const SessionOptions options{.context = std::min(context, s.draft_engine->config().context_length),
                               .batch = flags.session.batch};
  auto session = PIXELLM_TRY(Session::create(*s.draft_engine, *runtime.pool, options));
  s.speculator = std::make_unique<Speculator>(Speculator::draft_model(std::move(session)));
  return s;
}

std::string speculation_note(const Generation& g, const Speculator& speculator) {
  if (!speculator.failure().empty()) warn(speculator.failure());
  return fmt::format("accepted {} of {} drafted", g.accepted, g.drafted);
}

}  // namespace pixellm::cli
